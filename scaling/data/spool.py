"""The cleaned documents of a source, on disk; in memory only the place, side and order of each."""

import hashlib
import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scaling.data.config import DataConfig, DataError
from scaling.data.documents import Document
from scaling.data.manifest import DroppedCounts
from scaling.data.normalisation import clean
from scaling.data.sources import Source


@dataclass(frozen=True)
class Side:
    """The documents of one side of the split in their fixed order, by hash of key; text is read on demand.

    offsets, lengths: int64 [documents], in bytes of the file at `path`.
    """

    path: Path
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def texts(self) -> Iterator[bytes]:
        if not len(self.offsets):
            return
        with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for offset, length in zip(self.offsets.tolist(), self.lengths.tolist(), strict=True):
                yield content[offset : offset + length]


@dataclass(frozen=True)
class Spool:
    """Both sides, the hash of all that was read, what was dropped, the names of documents held out."""

    train: Side
    validation: Side
    source_sha256: str
    dropped: DroppedCounts
    validation_keys: tuple[str, ...]


@dataclass(frozen=True)
class _Place:
    order: int
    offset: int
    length: int


def gather(config: DataConfig, source: Source, path: Path) -> Spool:
    """Read a source to its end into the file at `path`: clean, drop duplicates, split.

    Validation text of the source's own is read first, so that a document on both sides is dropped from
    training. Raises DataError if either side is left without a document.
    """
    seen: set[bytes] = set()
    sha256 = hashlib.sha256()
    empty = duplicates = controls = replacements = 0
    places: dict[bool, list[_Place]] = {False: [], True: []}
    validation_keys: list[str] = []
    offset = 0
    with path.open("wb") as file:
        for is_validation, document in _all_documents(source):
            sha256.update(f"{document.key or ''}\0{document.text}\0".encode("utf-8", "surrogatepass"))
            text = clean(document.text, normalise=config.normalise)
            controls += text.control_characters
            replacements += text.replacement_characters
            if not text.utf8.strip():
                empty += 1
                continue
            digest = hashlib.blake2b(text.utf8, digest_size=16).digest()
            if config.drop_duplicates:
                if digest in seen:
                    duplicates += 1
                    continue
                seen.add(digest)
            key = digest if document.key is None else document.key.encode()
            if source.validation is None:
                assert config.validation_fraction is not None
                is_validation = _is_held_out(key, config.split_salt, config.validation_fraction)
            if is_validation and document.key is not None:
                validation_keys.append(document.key)
            file.write(text.utf8)
            places[is_validation].append(_Place(_hash(b"order", key), offset, len(text.utf8)))
            offset += len(text.utf8)
        file.flush()
        os.fsync(file.fileno())
    _require_both_sides(config, len(places[False]), len(places[True]))
    return Spool(
        _side(path, places[False]),
        _side(path, places[True]),
        sha256.hexdigest(),
        DroppedCounts(empty, duplicates, controls, replacements),
        tuple(sorted(validation_keys)),
    )


def _all_documents(source: Source) -> Iterator[tuple[bool, Document]]:
    if source.validation is not None:
        for document in source.validation():
            yield True, document
    for document in source.train():
        yield False, document


def _is_held_out(key: bytes, salt: str, fraction: float) -> bool:
    return _hash(b"split" + salt.encode(), key) < fraction * 2.0**64


def _hash(purpose: bytes, key: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(purpose + b"\0" + key, digest_size=8).digest(), "big")


def _side(path: Path, places: Sequence[_Place]) -> Side:
    ordered = sorted(places, key=lambda place: (place.order, place.offset))
    return Side(
        path,
        np.array([place.offset for place in ordered], dtype=np.int64),
        np.array([place.length for place in ordered], dtype=np.int64),
    )


def _require_both_sides(config: DataConfig, train_documents: int, validation_documents: int) -> None:
    total = train_documents + validation_documents
    if total == 0:
        raise DataError(
            f"The source of data.name={config.name!r} holds no text: every document is empty; give another."
        )
    if train_documents and validation_documents:
        return
    missing = "training" if not train_documents else "validation"
    if config.source.has_validation:
        raise DataError(
            f"The {missing} text of data.name={config.name!r} is empty after cleaning: check the source's "
            "splits or files."
        )
    raise DataError(
        f"data.validation_fraction={config.validation_fraction} of {total} documents leaves no document for "
        f"{missing}: give more documents (one file is one document, a line of a .jsonl is one), another "
        "fraction, another data.split_salt, or validation text of its own (data.source.validation_path)."
    )
