"""A token file that is not as it was written is named and made anew, however it came about."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scaling.data import integrity
from scaling.data.config import DataConfig, DataError
from scaling.data.corpus import Corpus
from scaling.data.integrity import STAMPS_FILE
from scaling.data.manifest import MANIFEST_FILE, TRAIN_FILE, VALIDATION_FILE, read_manifest
from scaling.data.prepare import prepare

Corpora = tuple[DataConfig, Path, Path]


@pytest.fixture
def corpus(
    tmp_path: Path, texts: list[str], write_jsonl: Callable[..., Path], local_config: Callable[..., DataConfig]
) -> Corpora:
    """A config, the folder of corpora, and the folder of the prepared one."""
    config = local_config(write_jsonl(texts))
    return config, tmp_path / "cache", prepare(config, tmp_path / "cache")


def flip(path: Path, at: int, *, unseen: bool = True) -> None:
    """One bit; `unseen`: as a disk does it, with no trace in the file's stamp."""
    state = path.stat()
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(content)
    if unseen:
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def again(corpus: Corpora) -> list[str]:
    """What a further preparation says."""
    config, root, folder = corpus
    said: list[str] = []
    assert prepare(config, root, said.append) == folder
    return said


@pytest.mark.parametrize("name", [TRAIN_FILE, VALIDATION_FILE])
def test_a_flipped_bit_is_named_and_the_corpus_is_as_before(corpus: Corpora, name: str) -> None:
    path = corpus[2] / name
    before = path.read_bytes()
    assert again(corpus) == []
    flip(path, len(before) // 2)
    assert Corpus.open(corpus[2]), "nothing else sees it"
    said = again(corpus)
    assert said[0].startswith(f"{path} is damaged: its SHA-256")
    assert "prepared anew" in said[0]
    assert path.read_bytes() == before
    assert again(corpus) == []


def test_what_is_cut_or_gone_or_no_manifest_is_named_too(corpus: Corpora) -> None:
    folder = corpus[2]
    for damage in (
        lambda: os.truncate(folder / TRAIN_FILE, 10),
        lambda: (folder / VALIDATION_FILE).unlink(),
        lambda: (folder / MANIFEST_FILE).write_text("{"),
    ):
        damage()
        assert str(folder) in again(corpus)[0]
        assert again(corpus) == []


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "mine").write_text("mine")


def nest(path: Path) -> None:
    path.write_text("[" * 100_000)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [(TRAIN_FILE, make_pipe), (VALIDATION_FILE, make_folder), (MANIFEST_FILE, make_pipe), (MANIFEST_FILE, nest)],
)
def test_what_is_no_file_is_made_anew_and_what_is_not_ours_stays(
    corpus: Corpora, name: str, spoil: Callable[[Path], object]
) -> None:
    folder = corpus[2]
    (folder / "notes.txt").write_text("mine")
    spoil(folder / name)
    with pytest.raises(DataError):
        Corpus.open(folder)
    assert "prepared anew" in again(corpus)[0]
    assert again(corpus) == []
    assert (folder / "notes.txt").read_text() == "mine"
    assert [path.read_text() for path in folder.glob("*.moved/mine")] == ["mine"] * (spoil is make_folder)


def test_stamps_that_are_none_are_no_hindrance(corpus: Corpora) -> None:
    os.mkfifo(corpus[2] / STAMPS_FILE)
    assert again(corpus) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("train", "bytes"), -1),
        (("train", "words"), math.nan),
        (("validation", "lines"), True),
        (("overlap", "validation_ngrams"), "x"),
        (("overlap", "seen_in_training"), 10**400),
        (("licence",), None),
        (("vocab_size",), {}),
        (("true_nats_per_byte",), math.inf),
        (("validation_keys",), [3]),
        (("files", TRAIN_FILE, "sha256"), []),
        (("validation_sets",), "none"),
    ],
)
def test_a_manifest_that_cannot_be_is_none(corpus: Corpora, path: tuple[str, ...], value: object) -> None:
    content = json.loads((corpus[2] / MANIFEST_FILE).read_text())
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (corpus[2] / MANIFEST_FILE).write_text(json.dumps(content))
    with pytest.raises(DataError, match="is no prepared corpus"):
        read_manifest(corpus[2])


def test_a_manifest_of_an_earlier_version_is_completed(corpus: Corpora) -> None:
    path = corpus[2] / MANIFEST_FILE
    whole = path.read_text()
    content = json.loads(whole)
    del content["files"]
    path.write_text(json.dumps(content, indent=2) + "\n")
    assert read_manifest(corpus[2]).files == {}
    assert again(corpus) == []
    assert path.read_text() == whole


def test_of_a_large_file_some_blocks_are_read_and_all_where_its_stamp_is_new(
    corpus: Corpora, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, path = corpus[2], corpus[2] / TRAIN_FILE
    (folder / MANIFEST_FILE).unlink()
    monkeypatch.setattr(integrity, "READ_IN_FULL", 100)
    monkeypatch.setattr(integrity, "BLOCK", 1000)
    again(corpus)
    size = path.stat().st_size
    assert len(read_manifest(folder).files[TRAIN_FILE].blocks) == -(-size // 1000) > 2 * integrity.BLOCKS_READ
    read = []
    digest_of = integrity.digest_of
    monkeypatch.setattr(integrity, "digest_of", lambda path: (read.append(path.name), digest_of(path))[1])
    assert again(corpus) == []  # in full, and noted
    assert again(corpus) == []
    assert read == [TRAIN_FILE, VALIDATION_FILE]
    flip(path, size // 2, unseen=False)
    assert again(corpus), "its time of change is new, so all of it is read"
    assert again(corpus) == []
    flip(path, size // 2)
    tries = next(i for i in range(200) if again(corpus))
    assert tries < 200
    (folder / STAMPS_FILE).write_text("[]")
    assert again(corpus) == []


def test_digests_are_of_what_is_on_disk(corpus: Corpora) -> None:
    manifest = read_manifest(corpus[2])
    assert set(manifest.files) == set(manifest.token_files) == {TRAIN_FILE, VALIDATION_FILE}
    tokens = np.fromfile(corpus[2] / TRAIN_FILE, dtype=manifest.token_dtype)
    assert len(tokens) == manifest.train.tokens
