"""The cleaned documents of a source, on disk; in memory only the place, side and order of each."""

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scaling.data.config import DataConfig, DataError
from scaling.data.documents import Document
from scaling.data.manifest import DroppedCounts
from scaling.data.near_duplicates import NearDuplicates
from scaling.data.normalisation import clean
from scaling.data.overlap import KnownNgrams, without_overlap
from scaling.data.sources import Source


@dataclass(frozen=True)
class Side:
    """The documents of one side of the split in their fixed order, by hash of key; text is read on demand.

    offsets, lengths: uint64 [documents], in bytes of the file at `path`.
    """

    path: Path
    offsets: NDArray[np.uint64]
    lengths: NDArray[np.uint64]

    def texts(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            for offset, length in zip(self.offsets.tolist(), self.lengths.tolist(), strict=True):
                file.seek(offset)
                yield file.read(length)


@dataclass(frozen=True)
class Spool:
    """Both sides, the hash of all that was read, what was dropped, the names of documents held out."""

    train: Side
    validation: Side
    source_sha256: str
    dropped: DroppedCounts
    validation_keys: tuple[str, ...]


class _Places:
    """Where documents lie in a file and the order they shall have: 24 bytes of memory a document."""

    def __init__(self) -> None:
        self._order, self._offsets, self._lengths = array("Q"), array("Q"), array("Q")

    def __len__(self) -> int:
        return len(self._order)

    def add(self, order: int, offset: int, length: int) -> None:
        self._order.append(order)
        self._offsets.append(offset)
        self._lengths.append(length)

    def side(self, path: Path) -> Side:
        offsets, lengths = np.array(self._offsets, dtype=np.uint64), np.array(self._lengths, dtype=np.uint64)
        in_order = np.argsort(np.array(self._order, dtype=np.uint64), kind="stable")
        return Side(path, offsets[in_order], lengths[in_order])


def gather(config: DataConfig, source: Source, path: Path) -> Spool:
    """Read a source to its end into the file at `path`: clean, drop duplicates, split.

    Validation text of the source's own is read first, so that a document on both sides is dropped from
    training. Raises DataError if either side is left without a document.
    """
    seen: set[bytes] = set()
    similarity = config.near_duplicate_similarity
    accepted = None if similarity is None else NearDuplicates(similarity)
    sha256 = hashlib.sha256()
    counts = Counter[str]()
    train, validation = _Places(), _Places()
    validation_keys: list[str] = []
    with path.open("wb") as file:
        for is_validation, document in _all_documents(source):
            sha256.update(f"{document.key or ''}\0{document.text}\0".encode("utf-8", "surrogatepass"))
            text = clean(document.text, normalise=config.normalise)
            counts["control_characters"] += text.control_characters
            counts["replacement_characters"] += text.replacement_characters
            if not text.utf8.strip():
                counts["empty_documents"] += 1
                continue
            digest = hashlib.blake2b(text.utf8, digest_size=16).digest()
            if config.drop_duplicates:
                if digest in seen:
                    counts["duplicate_documents"] += 1
                    continue
                seen.add(digest)
            if accepted is not None and not accepted.accept(text.utf8):
                counts["near_duplicate_documents"] += 1
                continue
            key = digest if document.key is None else document.key.encode()
            if config.validation_fraction is not None:
                is_validation = _is_held_out(key, config.split_salt, config.validation_fraction)
            if is_validation and document.key is not None:
                validation_keys.append(document.key)
            places = validation if is_validation else train
            places.add(_hash(b"order", key), file.tell(), len(text.utf8))
            file.write(text.utf8)
    _require_both_sides(config, len(train), len(validation))
    dropped = DroppedCounts(**counts)
    keys = tuple(sorted(validation_keys))
    spool = Spool(train.side(path), validation.side(path), sha256.hexdigest(), dropped, keys)
    return _without_overlap(spool) if config.remove_overlap else spool


def _without_overlap(spool: Spool) -> Spool:
    """Copy the training documents without the lines that share an n-gram with validation."""
    known = KnownNgrams(spool.validation.texts())
    path = spool.train.path.with_suffix(".clean")
    places, lines, emptied = _Places(), 0, 0
    with path.open("wb") as file:
        for number, text in enumerate(spool.train.texts()):
            kept, dropped_lines = without_overlap(text, known)
            lines += dropped_lines
            if kept.strip():
                places.add(number, file.tell(), len(kept))
                file.write(kept)
            else:
                emptied += 1
    if not len(places):
        raise DataError(
            "data.remove_overlap=true leaves no training text: every line shares 13 words with validation; use other "
            "validation text, or set it to false."
        )
    dropped = replace(spool.dropped, overlapping_lines=lines, empty_documents=spool.dropped.empty_documents + emptied)
    return replace(spool, train=places.side(path), dropped=dropped)


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
