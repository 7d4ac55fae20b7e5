"""Local files of every kind, and what is wrong with them, each in a clear line."""

import gzip
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scaling.data.config import DataConfig, DataError, SourceConfig
from scaling.data.corpus import Corpus
from scaling.data.fingerprint import fingerprint
from scaling.data.prepare import prepare
from scaling.data.sources import open_source

LocalConfig = Callable[..., DataConfig]
WIKITEXT_2 = Path(__file__).parents[3] / "shared" / "data" / "wikitext2"


def read(path: Path, **options: str) -> list[str]:
    source = open_source(SourceConfig("local", str(path), **options))  # type: ignore[arg-type]
    return [document.text for document in source.train()]


def test_text_files_are_documents_and_rows_are_documents(tmp_path: Path, write_jsonl: Callable[..., Path]) -> None:
    folder = tmp_path / "folder"
    (folder / "deep [1]").mkdir(parents=True)
    (folder / "a.txt").write_text("first line\n\nsecond line\n")
    (folder / "deep [1]" / "b.txt.gz").write_bytes(gzip.compress(b"compressed"))
    (folder / "c.jsonl").write_bytes(write_jsonl(["row one", "row two"]).read_bytes())
    (folder / "d.jsonl.gz").write_bytes(gzip.compress(b'{"text": "row three", "other": 1}\n'))
    pq.write_table(pa.table({"text": ["row four", None]}), folder / "e.parquet")
    (folder / "empty.txt").touch()
    (folder / ".hidden.txt").write_text("not read")
    (folder / "README.md").write_text("not read")
    assert sorted(read(folder)) == sorted(
        ["first line\n\nsecond line\n", "compressed", "row one", "row two", "row three", "row four", "", ""]
    )


def test_invalid_utf8_is_replaced_and_counted(tmp_path: Path, local_config: LocalConfig) -> None:
    for number in range(20):
        (tmp_path / f"{number}.txt").write_bytes(b"number %d is caf\xe9\n" % number)
    corpus = Corpus.open(prepare(local_config(tmp_path, validation_fraction=0.3), tmp_path / "cache"))
    assert corpus.manifest.dropped.replacement_characters == 20
    assert corpus.manifest.train.documents + corpus.manifest.validation.documents == 20


def test_invalid_utf8_in_rows_is_counted_or_named(tmp_path: Path, local_config: LocalConfig) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(b"".join(b'{"text": "row %d is caf\xe9"}\n' % number for number in range(20)))
    corpus = Corpus.open(prepare(local_config(rows, validation_fraction=0.3), tmp_path / "cache"))
    assert corpus.manifest.dropped.replacement_characters == 20
    parquet = tmp_path / "latin.parquet"
    bad = pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, 4], np.int32)), pa.py_buffer(b"caf\xe9"))
    pq.write_table(pa.table({"text": bad}), parquet)
    with pytest.raises(DataError, match=r"latin\.parquet cannot be read"):
        read(parquet)


def test_one_giant_document_is_read_but_cannot_be_split(tmp_path: Path, local_config: LocalConfig) -> None:
    path = tmp_path / "giant.txt"
    path.write_text("one line of many\n" * 500_000)
    with pytest.raises(DataError, match="of 1 documents leaves no document for"):
        prepare(local_config(path), tmp_path / "cache")
    other = tmp_path / "other.txt"
    other.write_text("text for validation\n")
    config = local_config(path, {"validation_path": str(other)}, validation_fraction=None)
    assert Corpus.open(prepare(config, tmp_path / "cache")).manifest.train.bytes == 8_500_000


def test_files_for_validation_are_left_out_of_training(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("train")
    (tmp_path / "b.txt").write_text("validation")
    source = open_source(SourceConfig("local", str(tmp_path), validation_path=str(tmp_path / "b.txt")))
    assert source.validation is not None
    assert [document.text for document in source.train()] == ["train"]
    assert [document.text for document in source.validation()] == ["validation"]
    with pytest.raises(DataError, match="name the same files"):
        open_source(SourceConfig("local", str(tmp_path), validation_path=str(tmp_path)))


def test_what_cannot_be_read_is_named(tmp_path: Path, write_jsonl: Callable[..., Path]) -> None:
    parquet = tmp_path / "truncated.parquet"
    pq.write_table(pa.table({"text": ["row"] * 1000}), parquet)
    parquet.write_bytes(parquet.read_bytes()[:-100])
    broken_json = tmp_path / "broken.jsonl"
    broken_json.write_text('{"text": "whole"}\n{"text": "cut\n')
    nested = tmp_path / "nested.jsonl"
    nested.write_text('{"text": ' + "[" * 5000 + "]" * 5000 + "}\n")
    broken_gzip = tmp_path / "broken.txt.gz"
    broken_gzip.write_bytes(gzip.compress(os.urandom(5000).hex().encode())[:-2000])
    for path in (parquet, broken_json, nested, broken_gzip):
        with pytest.raises(DataError, match=f"{path.name} cannot be read"):
            read(path)
    good = tmp_path / "good.parquet"
    pq.write_table(pa.table({"text": ["row"]}), good)
    (tmp_path / "good.txt").write_text("text")
    with pytest.raises(DataError, match=r"broken\.txt\.gz cannot be read"):
        read(tmp_path)
    for path in (parquet, broken_json, nested, broken_gzip):
        path.unlink()
    numbers = tmp_path / "numbers.parquet"
    pq.write_table(pa.table({"id": [1, 2]}), numbers)
    with pytest.raises(DataError, match=r"'text' is no column of .*, which has 'id'"):
        read(numbers)
    with pytest.raises(DataError, match=r"numbers\.parquet"):
        read(tmp_path)
    with pytest.raises(DataError, match="holds int, not text"):
        read(numbers, text_column="id")
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "absent")
    empty = tmp_path / "nothing"
    empty.mkdir()
    with pytest.raises(DataError, match=r"holds no file of \.txt"):
        read(empty)
    strange = tmp_path / "text.docx"
    strange.touch()
    with pytest.raises(DataError, match=r"is not a file of \.txt"):
        read(strange)


@pytest.mark.skipif(not WIKITEXT_2.exists(), reason="needs WikiText-2 in ../shared/data, which is not shipped")
def test_wikitext_2_has_its_published_word_counts(tmp_path: Path, local_config: LocalConfig) -> None:
    source = {"document_unit": "wikitext_article", "validation_path": str(WIKITEXT_2 / "valid.txt")}
    config = local_config(WIKITEXT_2, source, validation_fraction=None)
    manifest = Corpus.open(prepare(config, tmp_path / "cache")).manifest
    assert manifest.validation.words + manifest.validation.lines == 217_646
    assert manifest.train.words + manifest.train.lines == 245_569  # the folder's other file: the test split
    assert manifest.validation.bytes == (WIKITEXT_2 / "valid.txt").stat().st_size
    assert (manifest.validation.documents, manifest.train.documents) == (60, 60)


def test_reading_ends_with_the_document_that_passes_max_bytes(
    tmp_path: Path, texts: list[str], write_jsonl: Callable[..., Path], local_config: Callable[..., DataConfig]
) -> None:
    path = write_jsonl(texts)
    sizes = [len(text.encode()) for text in texts]
    config = local_config(path, {"max_bytes": sum(sizes[:50]) - 1})
    counts = [Corpus.open(prepare(each, tmp_path / "cache")).manifest for each in (config, local_config(path))]
    cut, whole = (manifest.train + manifest.validation for manifest in counts)
    assert (cut.documents, cut.bytes) == (50, sum(sizes[:50]))
    assert (whole.documents, whole.bytes) == (200, sum(sizes))
    assert counts[0].fingerprint != counts[1].fingerprint


def test_columns_beside_the_text_may_hold_anything(tmp_path: Path) -> None:
    """Other types from row to row, half an emoji, nested values, keys that come and go: only the text counts."""
    lines = [
        '{"text": "one", "id": 1, "meta": {"a": 1}}',
        '{"text": "two", "id": "x", "meta": [1, "y"], "emoji": "\\ud83d"}',
        '{"id": null, "text": "three \\ud83d", "score": 1e400}',
        "",
        '{"other": 1}',
        '{"text": null}',
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert read(tmp_path / "a.jsonl") == ["one", "two", "three \ud83d", "", ""]
    (tmp_path / "b.json").write_text(f"[{lines[0]},\n {lines[1]}]")
    assert read(tmp_path / "b.json") == ["one", "two"]
    (tmp_path / "c.jsonl").write_text('{\n "text": "spread",\n "n": 1\n}\n{"text": "out"}')
    assert read(tmp_path / "c.jsonl") == ["spread", "out"]
    (tmp_path / "d.jsonl").write_text('{"text": "whole"}\n\n{"text": 3}')
    with pytest.raises(DataError, match=r"d\.jsonl holds int, not text"):
        read(tmp_path / "d.jsonl")


def test_half_an_emoji_becomes_a_replacement_character(tmp_path: Path, local_config: LocalConfig) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"text": "number {i} \\ud83d"}}\n' for i in range(20)))
    corpus = Corpus.open(prepare(local_config(path, validation_fraction=0.3), tmp_path / "cache"))
    assert corpus.manifest.dropped.replacement_characters == 20


def test_a_separator_cuts_text_files_into_documents(tmp_path: Path, local_config: LocalConfig) -> None:
    path, whole = tmp_path / "a.txt", [f"document {i}\nof two lines\n" for i in range(30)]
    path.write_text("<|endoftext|>\n".join(whole) + "<|endoftext|>\n")
    assert read(path) == whole
    assert len(read(path, document_separator="")) == 1
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"one\n---\ntwo"))
    assert read(tmp_path / "b.txt.gz", document_separator="---\n") == ["one\n", "two"]
    said: list[str] = []
    config = local_config(path, validation_fraction=0.3)
    corpus = Corpus.open(prepare(config, tmp_path / "cache", progress=said.append))
    assert corpus.manifest.train.documents + corpus.manifest.validation.documents == 30
    assert "text files are cut into documents at '<|endoftext|>'" in said
    # A corpus without the separator keeps the name that it had before there was one.
    plain = tmp_path / "plain.txt"
    plain.write_text("no separator here")
    texts = [SourceConfig("local", str(plain), document_separator=mark) for mark in ("<|endoftext|>", "###", None)]
    assert len({fingerprint(replace(config, source=text)) for text in texts}) == 1
    assert fingerprint(config) != fingerprint(replace(config, source=replace(config.source, document_separator=None)))


@pytest.mark.parametrize("form", ["wiki.{}.raw", "wiki.{}.tokens", "wikitext-2-raw/wiki.{}.raw", "{}.txt"])
def test_wikitext_is_read_as_its_authors_zip_it(tmp_path: Path, local_config: LocalConfig, form: str) -> None:
    for name in ("train", "valid", "test"):
        path = tmp_path / form.format(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f" \n = {name} {i} = \n \n Text of {name} {i} .\n" for i in range(3)) + " \n")
    source = SourceConfig(
        "hub", str(tmp_path), revision="any", document_unit="wikitext_article", validation_split="validation"
    )
    config = replace(local_config(tmp_path), source=source, validation_fraction=None)
    manifest = Corpus.open(prepare(config, tmp_path / "cache")).manifest
    assert (manifest.train.documents, manifest.validation.documents) == (3, 3)
    assert form.format("train").split("/")[-1] in manifest.source_version
    assert manifest.train.lines == 13


def test_several_wikitexts_in_one_folder_are_told(tmp_path: Path) -> None:
    for folder in ("wikitext-2", "wikitext-103"):
        (tmp_path / folder).mkdir()
        for name in ("train", "valid"):
            (tmp_path / folder / f"wiki.{name}.tokens").write_text("text\n")
    config = SourceConfig("hub", str(tmp_path), revision="any")
    with pytest.raises(DataError, match="name the folder of one of them alone"):
        open_source(config)
    source = open_source(replace(config, path=str(tmp_path / "wikitext-2"), validation_split="test"))
    assert source.validation is not None
    with pytest.raises(DataError, match="no file of the split 'test'"):
        list(source.validation())
