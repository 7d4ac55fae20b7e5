"""The cleaned documents of a source, on disk; in memory only the place, side and order of each."""

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO

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
class SpooledSet:
    """A further validation set: its documents, and the hash of all that was read for it."""

    side: Side
    sha256: str


@dataclass(frozen=True)
class Spool:
    """Both sides, further sets by name, the hash of all that was read, what was dropped, the names of documents held
    out."""

    train: Side
    validation: Side
    sets: dict[str, SpooledSet]
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

    def append(self, file: BinaryIO, found: "_Found") -> None:
        """Write a document at the end of the file, to stand in the order of a hash of its key."""
        self.add(_hash(b"order", found.key), file.tell(), len(found.utf8))
        file.write(found.utf8)

    def side(self, path: Path) -> Side:
        offsets, lengths = np.array(self._offsets, dtype=np.uint64), np.array(self._lengths, dtype=np.uint64)
        in_order = np.argsort(np.array(self._order, dtype=np.uint64), kind="stable")
        return Side(path, offsets[in_order], lengths[in_order])


def gather(config: DataConfig, source: Source, path: Path, further: Mapping[str, Source] | None = None) -> Spool:
    """Read a source, and the `further` validation sets, to their end into the file at `path`: clean, drop duplicates,
    split.

    Validation text of other origin than the split is read first, so that a document on both sides is dropped from
    training. Raises DataError if a side or a set is left without a document.
    """
    similarity = config.near_duplicate_similarity
    accepted = None if similarity is None else NearDuplicates(similarity)
    cleaner = _Cleaner(config)
    with path.open("wb") as file:
        sets = {name: _gather_set(config, name, text, cleaner, file) for name, text in (further or {}).items()}
        known = set().union(*(each.digests for each in sets.values()))
        train, validation = _Places(), _Places()
        validation_keys: list[str] = []
        seen: set[bytes] = set()
        sha256 = hashlib.sha256()
        for is_validation, document in _all_documents(source):
            sha256.update(_identity(document))
            found = cleaner.clean(document, seen)
            if found is None:
                continue
            if accepted is not None and not accepted.accept(found.utf8):
                cleaner.counts["near_duplicate_documents"] += 1
                continue
            if config.validation_fraction is not None:
                is_validation = _is_held_out(found.key, config.split_salt, config.validation_fraction)
            if not is_validation and found.digest in known:
                cleaner.counts["duplicate_documents"] += 1
                continue
            if is_validation and document.key is not None:
                validation_keys.append(document.key)
            (validation if is_validation else train).append(file, found)
    _require_both_sides(config, len(train), len(validation))
    spool = Spool(
        train=train.side(path),
        validation=validation.side(path),
        sets={name: SpooledSet(each.places.side(path), each.sha256) for name, each in sets.items()},
        source_sha256=sha256.hexdigest(),
        dropped=DroppedCounts(**cleaner.counts),
        validation_keys=tuple(sorted(validation_keys)),
    )
    return _without_overlap(spool) if config.remove_overlap else spool


@dataclass(frozen=True)
class _Found:
    """A document as it is tokenised, the hash of its text, and the key that decides its side and order."""

    utf8: bytes
    digest: bytes
    key: bytes


class _Cleaner:
    """What cleaning does to each document, and the counts of what it took away."""

    def __init__(self, config: DataConfig) -> None:
        self._config = config
        self.counts = Counter[str]()

    def clean(self, document: Document, seen: set[bytes]) -> _Found | None:
        """None for an empty document and for a copy of one that is in `seen`, to which others are added."""
        text = clean(document.text, normalise=self._config.normalise)
        self.counts["control_characters"] += text.control_characters
        self.counts["replacement_characters"] += text.replacement_characters
        if not text.utf8.strip():
            self.counts["empty_documents"] += 1
            return None
        digest = hashlib.blake2b(text.utf8, digest_size=16).digest()
        if self._config.drop_duplicates:
            if digest in seen:
                self.counts["duplicate_documents"] += 1
                return None
            seen.add(digest)
        return _Found(text.utf8, digest, digest if document.key is None else document.key.encode())


@dataclass(frozen=True)
class _GatheredSet:
    places: _Places
    digests: set[bytes]
    sha256: str


def _gather_set(config: DataConfig, name: str, source: Source, cleaner: _Cleaner, file: BinaryIO) -> _GatheredSet:
    (wanted,) = (each for each in config.validation_sets if each.name == name)
    places, seen, digests, sha256 = _Places(), set[bytes](), set[bytes](), hashlib.sha256()
    for document in source.train():
        sha256.update(_identity(document))
        found = cleaner.clean(document, seen)
        if found is None:
            continue
        if wanted.fraction is None or _is_held_out(found.key, wanted.split_salt, wanted.fraction):
            digests.add(found.digest)
            places.append(file, found)
    if not len(places):
        raise DataError(
            f"data.validation_sets: {name} holds no text after cleaning: give another source or split, or a larger "
            "fraction."
        )
    return _GatheredSet(places, digests if config.drop_duplicates else set(), sha256.hexdigest())


def _identity(document: Document) -> bytes:
    return f"{document.key or ''}\0{document.text}\0".encode("utf-8", "surrogatepass")


def _without_overlap(spool: Spool) -> Spool:
    """Copy the training documents without the lines that share an n-gram with validation text of any set."""
    known = KnownNgrams(chain(spool.validation.texts(), *(each.side.texts() for each in spool.sets.values())))
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
        f"{missing}: give more documents (a line of a .jsonl is one; a .txt is one, or as many as "
        "data.source.document_separator='...' cuts it into), another fraction, another data.split_salt, or validation "
        "text of its own (data.source.validation_path=FILE)."
    )
