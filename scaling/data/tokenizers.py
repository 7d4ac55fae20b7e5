"""Text to token ids and back: bytes, byte-level BPE trained on the spot, any tokenizer.json, also of the hub."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scaling.data.config import BYTE_VALUES, DataError, TokenizerConfig
from scaling.data.tokenizer_files import tokenizer_file
from scaling.data.word_memo import WordMemo

if TYPE_CHECKING:
    import tokenizers

TOKENIZER_FILE = "tokenizer.json"

# A long document goes to the encoder in pieces, so that memory stays bounded.
_PIECE_BYTES = 1 << 18
_LONGEST_WORD = 5_000  # that BPE is trained on
_ENDLESS = re.compile(rf"\S{{{_LONGEST_WORD + 1},}}|\s{{{_LONGEST_WORD + 1},}}")


class Tokenizer(Protocol):
    """Text as UTF-8 to token ids; `separator` is the id that stands before each document and nowhere else."""

    @property
    def vocab_size(self) -> int: ...

    @property
    def separator(self) -> int: ...

    @property
    def sha256(self) -> str: ...

    def encode(self, documents: Sequence[bytes]) -> list[NDArray[np.uint32]]: ...

    def decode(self, tokens: NDArray[Any]) -> str: ...


@dataclass(frozen=True)
class ByteTokenizer:
    """Token = byte. Byte 0 separates documents: normalisation keeps it out of the text."""

    vocab_size: int = BYTE_VALUES
    separator: int = 0
    sha256: str = hashlib.sha256(b"bytes").hexdigest()

    def encode(self, documents: Sequence[bytes]) -> list[NDArray[np.uint32]]:
        return [np.frombuffer(text, dtype=np.uint8).astype(np.uint32) for text in documents]

    def decode(self, tokens: NDArray[Any]) -> str:
        return tokens.astype(np.uint8).tobytes().decode(errors="replace")


@dataclass(frozen=True)
class SubwordTokenizer:
    """A tokenizer of the `tokenizers` library; `memo`: a faster way to the same tokens, where there is one."""

    inner: "tokenizers.Tokenizer"
    separator: int
    memo: WordMemo | None = None

    @property
    def vocab_size(self) -> int:
        return max(self.inner.get_vocab(with_added_tokens=True).values()) + 1

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.inner.to_str().encode()).hexdigest()

    def encode(self, documents: Sequence[bytes]) -> list[NDArray[np.uint32]]:
        if self.memo is None:
            texts = [text.decode() for text in documents]
            encodings = self.inner.encode_batch_fast(texts, add_special_tokens=False)
            return [np.asarray(encoding.ids, dtype=np.uint32) for encoding in encodings]
        pieces = [list(_pieces(text)) for text in documents]
        encoded = iter(self.memo.encode(list(chain.from_iterable(pieces))))
        return [np.concatenate([next(encoded) for _ in parts]) for parts in pieces]

    def decode(self, tokens: NDArray[Any]) -> str:
        return str(self.inner.decode([int(token) for token in tokens], skip_special_tokens=False))

    def save(self, folder: Path) -> None:
        self.inner.save(str(folder / TOKENIZER_FILE))

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process goes the tokenizer's JSON, not what the memo has gathered."""
        return _restore, (self.inner.to_str(), self.separator, self.memo is not None)


def build(
    config: TokenizerConfig, training_texts: Iterable[bytes], report: Callable[[str], None] | None = None
) -> ByteTokenizer | SubwordTokenizer:
    """The tokenizer of a configuration; only kind bpe looks at the training texts.

    Raises DataError if the texts are too few for the vocabulary, or a tokenizer.json cannot be read or lacks
    the separator.
    """
    if config.kind == "bytes":
        return ByteTokenizer()
    if config.kind == "bpe":
        return restore(train(config, training_texts, report), config)
    return load(tokenizer_file(config), config.separator)


def train(config: TokenizerConfig, training_texts: Iterable[bytes], report: Callable[[str], None] | None = None) -> str:
    """A BPE of its own, as the JSON that `restore` takes. Raises DataError if the texts are too few for it."""
    return _train_bpe(config, training_texts, report).inner.to_str()


def restore(trained: str, config: TokenizerConfig) -> SubwordTokenizer:
    import tokenizers

    separator = _separator_id(tokenizers.Tokenizer.from_str(trained), config.separator, "the trained tokenizer")
    return _restore(trained, separator, True)


def load(path: Path, separator: str) -> SubwordTokenizer:
    """Read a tokenizer.json. Raises DataError if it cannot be read or does not know the separator."""
    import tokenizers

    try:
        inner = tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # the library raises no narrower type
        raise DataError(
            f"data.tokenizer.path={str(path)!r} cannot be read as a tokenizer.json ({error}): "
            "give a file written by the `tokenizers` library."
        ) from error
    return SubwordTokenizer(_literal(inner), _separator_id(inner, separator, str(path)))


def _restore(content: str, separator: int, has_memo: bool) -> SubwordTokenizer:
    import tokenizers

    inner = _literal(tokenizers.Tokenizer.from_str(content))
    return SubwordTokenizer(inner, separator, WordMemo(inner) if has_memo else None)


def _literal(inner: "tokenizers.Tokenizer") -> "tokenizers.Tokenizer":
    """Whole texts as they stand: one that spells out the separator is text, since only this program puts the token."""
    inner.encode_special_tokens = True
    inner.no_truncation()
    inner.no_padding()
    return inner


def _train_bpe(
    config: TokenizerConfig, training_texts: Iterable[bytes], report: Callable[[str], None] | None
) -> SubwordTokenizer:
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, trainers

    assert config.vocab_size is not None
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        special_tokens=[config.separator],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    cuts = [0]
    pieces = (piece.decode() for text in training_texts for piece in _pieces(text))
    inner.train_from_iterator((part for piece in pieces for part in _without_endless_words(piece, cuts)), trainer)
    if cuts[0] and report is not None:
        report(f"{cuts[0]} runs of more than {_LONGEST_WORD:,} letters or blanks were cut for training the BPE")
    separator = _separator_id(inner, config.separator, "the trained tokenizer")
    tokenizer = SubwordTokenizer(_literal(inner), separator, WordMemo(inner))
    if tokenizer.vocab_size != config.vocab_size:
        raise DataError(
            f"data.tokenizer.vocab_size={config.vocab_size} is more than the training text can fill: it "
            f"gives {tokenizer.vocab_size} entries; ask for at most that many, or give more text."
        )
    return tokenizer


def _without_endless_words(text: str, cuts: list[int]) -> Iterator[str]:
    """The text in pieces, cut within runs over which BPE would take time that grows with the square of their length;
    `cuts[0]` counts the runs."""
    at = 0
    for run in _ENDLESS.finditer(text):
        cuts[0] += 1
        for cut in range(run.start() + _LONGEST_WORD, run.end(), _LONGEST_WORD):
            yield text[at:cut]
            at = cut
    yield text[at:]


def _separator_id(inner: "tokenizers.Tokenizer", separator: str, origin: str) -> int:
    separator_id = inner.token_to_id(separator)
    if separator_id is None:
        special = sorted(token.content for token in inner.get_added_tokens_decoder().values())
        raise DataError(
            f"data.tokenizer.separator={separator!r} is no token of {origin}, whose special tokens are "
            f"{', '.join(special) or 'none'}: choose the one that stands between documents."
        )
    return separator_id


def _pieces(text: bytes) -> Iterator[bytes]:
    """Cut a text before a line that begins without white space, after a line that ends without.

    There, and not at any line end, byte-level pre-tokenisation falls into two independent halves: a run of
    white space is cut before its last character if a word follows, so it must not end a piece unless it is
    one line feed.
    """
    start = 0
    while len(text) - start > _PIECE_BYTES:
        cut = _next_cut(text, start + _PIECE_BYTES)
        if cut < 0:
            break
        yield text[start:cut]
        start = cut
    yield text[start:]


def _next_cut(text: bytes, position: int) -> int:
    while (line_feed := text.find(b"\n", position)) >= 0 and line_feed + 1 < len(text):
        before, after = text[line_feed - 1 : line_feed], text[line_feed + 1 : line_feed + 2]
        if before.isascii() and after.isascii() and not before.isspace() and not after.isspace():
            return line_feed + 1
        position = line_feed + 1
    return -1
