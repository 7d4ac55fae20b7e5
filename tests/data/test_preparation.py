"""Preparation: clean, counted, split for good, whole or absent."""

import random
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scaling.data.config import DataConfig, DataError, SourceConfig, TokenizerConfig
from scaling.data.corpus import Corpus
from scaling.data.fingerprint import fingerprint
from scaling.data.finished import Finished
from scaling.data.manifest import SplitCounts
from scaling.data.prepare import is_whole, prepare
from scaling.data.spool import Spool
from scaling.data.tokenizers import ByteTokenizer

WriteJsonl = Callable[..., Path]
LocalConfig = Callable[..., DataConfig]
Python = Callable[..., "subprocess.CompletedProcess[str]"]

PROGRAM = """
import os, signal, sys
from pathlib import Path
from scaling.data.config import DataConfig, DataError, SourceConfig, TokenizerConfig
from scaling.data.prepare import prepare

path, root, fatal_stage = sys.argv[1:]

def progress(message):
    print(message, flush=True)
    if fatal_stage and message.startswith(fatal_stage):
        os.kill(os.getpid(), signal.SIGKILL)

if fatal_stage == "rename":  # all is written, the manifest too
    Path.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if "FILE_BYTES" in os.environ:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ["FILE_BYTES"]),) * 2)
source = SourceConfig(kind="local", path=path)
tokenizer = TokenizerConfig("bpe", 300) if fatal_stage == "training" else TokenizerConfig()
config = DataConfig("tiny", source, tokenizer, "CC0", "made by the test", validation_fraction=0.1)
try:
    prepare(config, Path(root), progress)
except DataError as error:
    sys.exit(str(error))
"""


def documents(corpus: Corpus, split: str) -> list[str]:
    tokens = getattr(corpus, split)
    assert tokens[0] == corpus.manifest.separator_token
    return ByteTokenizer().decode(np.asarray(tokens)).split("\0")[1:]


def test_no_text_is_lost_and_none_is_on_both_sides(
    tmp_path: Path, texts: list[str], write_jsonl: WriteJsonl, local_config: LocalConfig
) -> None:
    corpus = Corpus.open(prepare(local_config(write_jsonl(texts)), tmp_path / "cache"))
    train, validation = documents(corpus, "train"), documents(corpus, "validation")
    assert sorted(train + validation) == sorted(texts)
    counts = corpus.manifest.train
    assert (counts.documents, counts.tokens) == (len(train), len(corpus.train))
    assert counts.bytes == counts.characters == sum(map(len, train))
    assert counts.words == sum(len(text.split()) for text in train)
    assert counts.bytes_per_token == counts.bytes / (counts.tokens - 1)


def test_added_documents_move_none_across_the_split(
    tmp_path: Path, texts: list[str], write_jsonl: WriteJsonl, local_config: LocalConfig
) -> None:
    before = Corpus.open(prepare(local_config(write_jsonl(texts[:100])), tmp_path / "cache"))
    shuffled = texts.copy()
    random.Random(1).shuffle(shuffled)
    after = Corpus.open(prepare(local_config(write_jsonl(shuffled)), tmp_path / "cache"))
    for split in ("train", "validation"):
        assert set(documents(before, split)) < set(documents(after, split))
    # and the order is fixed as well: documents already there keep theirs
    order = documents(after, "train")
    places = [order.index(text) for text in documents(before, "train")]
    assert places == sorted(places)


def test_cleaning_is_done_and_counted(
    tmp_path: Path, texts: list[str], write_jsonl: WriteJsonl, local_config: LocalConfig
) -> None:
    dirty = [
        "cafe\u0301\r\nis\rone word\x00\x07",  # decomposed accent, foreign line ends, two control characters
        "caf\u00e9\nis\none word",  # the same, clean: a duplicate once normalised
        " \n\t ",  # nothing
        "a \ufffd stands for a byte that was not UTF-8",
    ]
    path = write_jsonl(texts + dirty)
    corpus = Corpus.open(prepare(local_config(path), tmp_path / "cache"))
    dropped = corpus.manifest.dropped
    assert (dropped.empty_documents, dropped.duplicate_documents) == (1, 1)
    assert (dropped.control_characters, dropped.replacement_characters) == (2, 1)
    assert "caf\u00e9\nis\none word" in documents(corpus, "train") + documents(corpus, "validation")

    as_it_is = local_config(path, normalise=False, drop_duplicates=False)
    raw = Corpus.open(prepare(as_it_is, tmp_path / "cache"))
    assert raw.manifest.dropped.duplicate_documents == 0
    assert raw.manifest.dropped.control_characters == 1  # NUL separates documents: it may never stay
    assert "cafe\u0301\r\nis\rone word\x07" in documents(raw, "train") + documents(raw, "validation")


def test_duplicates_between_splits_stay_in_validation(
    tmp_path: Path, texts: list[str], write_jsonl: WriteJsonl, local_config: LocalConfig
) -> None:
    train, validation = write_jsonl(texts, "train.jsonl"), write_jsonl(texts[:10], "validation.jsonl")
    config = local_config(train, {"validation_path": str(validation)}, validation_fraction=None)
    corpus = Corpus.open(prepare(config, tmp_path / "cache"))
    assert sorted(documents(corpus, "validation")) == sorted(texts[:10])
    assert sorted(documents(corpus, "train")) == sorted(texts[10:])
    assert corpus.manifest.dropped.duplicate_documents == 10


def test_overlap_is_the_share_of_known_13_grams(
    tmp_path: Path, write_jsonl: WriteJsonl, local_config: LocalConfig
) -> None:
    words = [f"word{number}" for number in range(40)]
    train = write_jsonl([" ".join(words), "something else"], "train.jsonl")
    # 34 words make 22 n-grams; the first 27 words, in other case and spacing, are known: 15 n-grams.
    known = "  ".join(words[5:32]).upper()
    validation = write_jsonl([known + " " + " ".join(f"new{n}" for n in range(7))], "validation.jsonl")
    config = local_config(train, {"validation_path": str(validation)}, validation_fraction=None)
    overlap = Corpus.open(prepare(config, tmp_path / "cache")).manifest.overlap
    assert (overlap.validation_ngrams, overlap.seen_in_training) == (22, 15)
    assert overlap.share == 15 / 22


def test_the_second_call_does_nothing(
    tmp_path: Path, texts: list[str], write_jsonl: WriteJsonl, local_config: LocalConfig
) -> None:
    config, stages = local_config(write_jsonl(texts)), list[str]()
    folder = prepare(config, tmp_path / "cache", stages.append)
    assert folder.name == f"tiny-{fingerprint(config)[:12]}"
    assert len(stages) == 3
    assert prepare(config, tmp_path / "cache", stages.append) == folder
    assert len(stages) == 3


def test_a_damaged_corpus_is_prepared_again(
    tmp_path: Path, texts: list[str], write_jsonl: WriteJsonl, local_config: LocalConfig
) -> None:
    config = local_config(write_jsonl(texts))
    folder = prepare(config, tmp_path / "cache")
    whole = (folder / "train.bin").read_bytes()
    (folder / "train.bin").write_bytes(whole[:-2])
    with pytest.raises(DataError, match="where its manifest says"):
        Corpus.open(folder)
    assert prepare(config, tmp_path / "cache") == folder
    assert (folder / "train.bin").read_bytes() == whole


@pytest.mark.parametrize("moment", ["reading", "training", "tokenising", "measuring", "rename"])
def test_killed_in_the_middle_it_leaves_nothing_that_looks_whole(
    moment: str,
    tmp_path: Path,
    texts: list[str],
    write_jsonl: WriteJsonl,
    local_config: LocalConfig,
    python: Python,
) -> None:
    path, root = write_jsonl(texts), tmp_path / "cache"
    killed = python(PROGRAM, str(path), str(root), moment)
    assert killed.returncode == -signal.SIGKILL
    assert not [folder for folder in root.iterdir() if not folder.name.startswith(".")]
    config = local_config(path, tokenizer=TokenizerConfig("bpe", 300) if moment == "training" else TokenizerConfig())
    folder = prepare(config, root)
    assert is_whole(folder, fingerprint(config))
    assert [entry for entry in root.iterdir() if entry.is_dir()] == [folder]


@pytest.mark.parametrize(("moment", "kept"), [("tokenising", "gather"), ("measuring", "write_tokens")])
def test_what_a_killed_one_had_finished_is_not_done_again(
    moment: str,
    kept: str,
    tmp_path: Path,
    texts: list[str],
    write_jsonl: WriteJsonl,
    local_config: LocalConfig,
    python: Python,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same files as in one go, without the parts that were whole; other text under the same name is read anew."""
    path, root = write_jsonl(texts), tmp_path / "cache"
    config = local_config(path)
    straight = prepare(config, tmp_path / "straight")
    assert python(PROGRAM, str(path), str(root), moment).returncode == -signal.SIGKILL

    def refuse(*_: object) -> None:
        raise AssertionError(f"{kept} is done already")

    with monkeypatch.context() as patch:
        patch.setattr(f"scaling.data.prepare.{kept}", refuse)
        folder = prepare(config, root)
    assert sorted(file.name for file in folder.iterdir()) == sorted(file.name for file in straight.iterdir())
    for file in straight.iterdir():
        assert (folder / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_finished_part_whose_words_are_damaged_is_made_anew(tmp_path: Path) -> None:
    finished, counts, file = Finished(tmp_path), SplitCounts(1, 2, 3, 4, 5, 6), tmp_path / "train.bin"
    file.touch()
    assert finished.counts(file, lambda: counts) == counts
    for words in ('{"docu', "[]", '{"tokens": 3}'):
        (tmp_path / "train.bin.json").write_text(words)
        assert finished.counts(file, lambda: counts) == counts
        (tmp_path / "spool.json").write_text(words)
        with pytest.raises(RuntimeError, match="anew"):
            finished.spool(made_anew)


def made_anew() -> Spool:
    raise RuntimeError("anew")


def test_of_two_processes_one_works_and_one_waits(
    tmp_path: Path, texts: list[str], write_jsonl: WriteJsonl, python: Python
) -> None:
    arguments = (PROGRAM, str(write_jsonl(texts)), str(tmp_path / "cache"), "")
    with ThreadPoolExecutor(2) as pool:
        results = [future.result() for future in [pool.submit(python, *arguments) for _ in range(2)]]
    assert [result.returncode for result in results] == [0, 0]
    assert "".join(result.stdout for result in results).count("tokenising") == 1


def test_a_full_disk_is_said_and_cleaned_up(
    tmp_path: Path, texts: list[str], write_jsonl: WriteJsonl, python: Python
) -> None:
    # A limit on file size makes writing fail as a full disk does.
    result = python(PROGRAM, str(write_jsonl(texts)), str(tmp_path / "cache"), "", FILE_BYTES="20000")
    assert result.returncode == 1
    assert result.stderr.startswith("The disk of ")
    assert len(result.stderr.splitlines()) == 1
    assert not [entry for entry in (tmp_path / "cache").iterdir() if entry.is_dir()]


def test_a_folder_that_cannot_be_written_is_said(
    tmp_path: Path, texts: list[str], write_jsonl: WriteJsonl, local_config: LocalConfig
) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(DataError, match="cannot be written"):
        prepare(local_config(write_jsonl(texts)), tmp_path / "cache")


def test_whatever_changes_the_tokens_changes_the_fingerprint(
    texts: list[str], write_jsonl: WriteJsonl, local_config: LocalConfig, tmp_path: Path
) -> None:
    base = local_config(write_jsonl(texts))
    hub = replace(base, source=SourceConfig(kind="hub", path="a/b", name="c", revision="d"))
    changed = [
        base,
        replace(base, validation_fraction=0.2),
        replace(base, split_salt="other"),
        replace(base, normalise=False),
        replace(base, drop_duplicates=False),
        replace(base, near_duplicate_similarity=0.8),
        replace(base, remove_overlap=True),
        replace(base, tokenizer=TokenizerConfig(kind="bpe", vocab_size=300)),
        replace(base, tokenizer=TokenizerConfig(kind="bpe", vocab_size=301)),
        replace(base, source=replace(base.source, text_column="other")),
        replace(base, source=replace(base.source, document_unit="wikitext_article")),
        local_config(write_jsonl(texts[1:], "fewer.jsonl")),
        replace(base, source=SourceConfig(kind="botocore", version="1.0.0")),
        replace(base, source=SourceConfig(kind="botocore", version="1.0.1")),
        replace(base, source=SourceConfig(kind="api_docs", version="1.0.1", google_version="1")),
        replace(base, source=SourceConfig(kind="api_docs", version="1.0.1", google_version="2")),
        replace(base, source=SourceConfig(kind="python_sources")),
        replace(base, source=SourceConfig(kind="synthetic")),
        replace(base, source=SourceConfig(kind="synthetic", language_words=100)),
        hub,
        replace(hub, source=replace(hub.source, path="x")),
        replace(hub, source=replace(hub.source, name="x")),
        replace(hub, source=replace(hub.source, revision="x")),
        replace(hub, source=replace(hub.source, train_split="x")),
        replace(hub, source=replace(hub.source, validation_split="x"), validation_fraction=None),
    ]
    assert len({fingerprint(config) for config in changed}) == len(changed)
    same = [replace(base, name="other"), replace(base, licence="MIT"), replace(base, unique_tokens=10)]
    moved = tmp_path / "moved.jsonl"
    moved.write_bytes(Path(str(base.source.path)).read_bytes())
    assert {fingerprint(config) for config in [*same, local_config(moved)]} == {fingerprint(base)}


def test_too_few_documents_for_a_split(tmp_path: Path, write_jsonl: WriteJsonl, local_config: LocalConfig) -> None:
    with pytest.raises(DataError, match="leaves no document for validation"):
        prepare(local_config(write_jsonl(["only one"]), validation_fraction=0.001), tmp_path / "cache")
    with pytest.raises(DataError, match="every document is empty"):
        prepare(local_config(write_jsonl(["", " "])), tmp_path / "cache")
