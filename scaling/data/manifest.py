"""What a prepared corpus says of itself: one JSON file beside its token files, written last. And their names."""

import json
from dataclasses import asdict, astuple, dataclass, field, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from scaling.data.config import DataError
from scaling.data.integrity import FileDigest, open_file, write_whole

MANIFEST_FILE = "manifest.json"
TRAIN_FILE = "train.bin"
VALIDATION_FILE = "validation.bin"
LARGEST_COUNT = 1 << 63


def set_file(name: str) -> str:
    """The token file of a further validation set."""
    return f"validation-{name}.bin"


@dataclass(frozen=True)
class SplitCounts:
    """What one side of the split holds, after cleaning.

    words are separated by white space; with one token for each line end, words + lines is the count that
    WikiText's authors publish, and the base of word perplexity.
    """

    documents: int
    bytes: int
    characters: int
    words: int
    lines: int
    tokens: int

    def __add__(self, other: "SplitCounts") -> "SplitCounts":
        return SplitCounts(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    @property
    def bytes_per_token(self) -> float:
        """Bytes of text per predicted token: every token but the first, a separator, which nothing precedes.

        bits per byte = (nats per token) / ln 2 / bytes_per_token, exactly, over a whole split.
        """
        return self.bytes / max(self.tokens - 1, 1)

    @property
    def words_per_token(self) -> float:
        """Words and line ends per predicted token, as WikiText's authors count words (Merity et al. 2016, arXiv
        1609.07843): word perplexity = exp((nats per token) / words_per_token), over a whole split.
        """
        return (self.words + self.lines) / max(self.tokens - 1, 1)


@dataclass(frozen=True)
class DroppedCounts:
    """What cleaning took away or repaired, in both splits together."""

    empty_documents: int = 0
    duplicate_documents: int = 0
    control_characters: int = 0
    replacement_characters: int = 0
    near_duplicate_documents: int = 0
    overlapping_lines: int = 0


@dataclass(frozen=True)
class Overlap:
    """How much of the validation text is known from training: n-grams of 13 words, case ignored.

    words rather than the corpus's tokens, so that the share does not depend on the tokenizer. None: no 13
    words.
    """

    ngram_words: int
    validation_ngrams: int
    seen_in_training: int

    @property
    def share(self) -> float | None:
        return self.seen_in_training / self.validation_ngrams if self.validation_ngrams else None


@dataclass(frozen=True)
class ValidationFacts:
    """A further validation set: where its text comes from, what it holds, how much of it training holds too."""

    name: str
    source_kind: str
    source_version: str
    source_sha256: str
    counts: SplitCounts
    overlap: Overlap


@dataclass(frozen=True)
class Manifest:
    """Identity, origin and contents of a prepared corpus.

    source_sha256: of every document's key and text as the source gave them, before cleaning.
    validation_keys: the held-out documents by name, where the source names its documents.
    true_nats_per_byte: the exact entropy rate of the text, known for a synthetic language alone.
    validation_sets: what is evaluated on beside `validation`.
    files: digests of the token files, by name; empty in a manifest of an earlier version, until the
    next preparation completes it.
    """

    format_version: int
    fingerprint: str
    name: str
    description: str
    licence: str
    source_kind: str
    source_version: str
    source_sha256: str
    tokenizer_kind: str
    tokenizer_sha256: str
    vocab_size: int
    separator_token: int
    token_dtype: str
    train: SplitCounts
    validation: SplitCounts
    dropped: DroppedCounts
    overlap: Overlap
    validation_keys: tuple[str, ...]
    true_nats_per_byte: float | None = None
    validation_sets: tuple[ValidationFacts, ...] = ()
    files: dict[str, FileDigest] = field(default_factory=dict)

    @property
    def token_files(self) -> dict[str, SplitCounts]:
        """What each token file holds, by its name."""
        sets = {set_file(each.name): each.counts for each in self.validation_sets}
        return {TRAIN_FILE: self.train, VALIDATION_FILE: self.validation, **sets}

    def write(self, folder: Path) -> None:
        """Write it to disk, not only to the system's memory: the corpus counts as whole when this is there."""
        write_whole(folder / MANIFEST_FILE, json.dumps(_with_rates(self), indent=2) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Raise DataError if the folder has no manifest of this program."""
    path = folder / MANIFEST_FILE
    try:
        with open_file(path) as file:
            content = json.load(file)
        manifest = Manifest(
            **{
                **content,
                "train": _split(content["train"]),
                "validation": _split(content["validation"]),
                "dropped": DroppedCounts(**content["dropped"]),
                "overlap": _overlap(content["overlap"]),
                "validation_keys": tuple(content["validation_keys"]),
                "validation_sets": tuple(_validation_set(each) for each in content.get("validation_sets", [])),
                "files": {name: _digest(each) for name, each in content.get("files", {}).items()},
            }
        )
        _require_kind(manifest, Manifest, "it")
        return manifest
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{str(folder)!r} is no prepared corpus ({type(error).__name__}: {error}): prepare it, "
            "python -m scaling.prepare data=..."
        ) from error


def _require_kind(value: Any, kind: Any, where: str) -> None:
    """Raise TypeError where a field holds what its declaration does not: another type, a number below zero, none."""
    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        for name, hint in get_type_hints(kind).items():
            _require_kind(getattr(value, name), hint, f"{where}.{name}")
    elif origin in (tuple, dict) and isinstance(value, origin):
        for item in value.values() if isinstance(value, dict) else value:
            _require_kind(item, inner[1] if origin is dict else inner[0], where)
    elif origin is UnionType:
        if value is not None:
            _require_kind(value, inner[0], where)
    elif kind in (int, float):
        if type(value) not in {int, kind} or not 0 <= value < LARGEST_COUNT:
            raise TypeError(f"{where} is {value!r:.100}")
    elif origin is not None or not isinstance(value, kind):
        raise TypeError(f"{where} is {value!r:.100}")


def _split(content: dict[str, Any]) -> SplitCounts:
    return SplitCounts(**{key: value for key, value in content.items() if key != "bytes_per_token"})


def _overlap(content: dict[str, Any]) -> Overlap:
    return Overlap(**{key: value for key, value in content.items() if key != "share"})


def _validation_set(content: dict[str, Any]) -> ValidationFacts:
    parts = {"counts": _split(content["counts"]), "overlap": _overlap(content["overlap"])}
    return ValidationFacts(**{**content, **parts})


def _digest(content: dict[str, Any]) -> FileDigest:
    return FileDigest(content["sha256"], tuple(content["blocks"]))


def _with_rates(manifest: Manifest) -> dict[str, Any]:
    """The JSON shows the derived rates as well, for readers; reading them back passes them over."""
    content = asdict(manifest)
    content["train"]["bytes_per_token"] = manifest.train.bytes_per_token
    content["validation"]["bytes_per_token"] = manifest.validation.bytes_per_token
    content["overlap"]["share"] = manifest.overlap.share
    for shown, facts in zip(content["validation_sets"], manifest.validation_sets, strict=True):
        shown["counts"]["bytes_per_token"] = facts.counts.bytes_per_token
        shown["overlap"]["share"] = facts.overlap.share
    return content
