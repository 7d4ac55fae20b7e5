"""Byte-level BPE several times faster than text by text: each different word is encoded once and then looked up.

Byte-level pre-tokenisation never joins a word to what stands before its leading space, so text may be cut there, and
the tokens of a text are those of its cuts, put together. That holds for the `ByteLevel` pre-tokenizer and is not
promised of another. No word becomes a Python object unless it is new to a group of texts: numpy finds the cuts and
Arrow the different words.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import tokenizers

# White space as the pre-tokenizer's own pattern has it; Python's \\s would add four separators of ASCII.
_BLANK, _TAB, _RETURN = b" \t\r"  # and all between the latter two
_OTHER_SPACE = re.compile(  # U+0085, U+00A0, U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F, U+3000
    rb"\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2(?:\x80[\x80-\x8a\xa8\xa9\xaf]|\x81\x9f)|\xe3\x80\x80"
)
_GROUP_BYTES = 1 << 22  # of texts whose words are looked up together
_MOST_WORDS = 500_000  # about 100 MB; beyond, the memo is begun anew
_TOKEN_BYTES = 4


class WordMemo:
    """The tokens of every different word met so far."""

    def __init__(self, inner: "tokenizers.Tokenizer") -> None:
        self._inner = inner
        self._known: dict[bytes, bytes] = {}  # a word's tokens as uint32, one after the other

    def encode(self, texts: Sequence[bytes]) -> list[NDArray[np.uint32]]:
        """Token ids of each text, given as UTF-8, uint32 [tokens]; many short texts at once are far faster than one by
        one."""
        return [tokens for group in _groups(texts) for tokens in self._encode_group(group)]

    def _encode_group(self, texts: Sequence[bytes]) -> list[NDArray[np.uint32]]:
        import pyarrow

        if len(self._known) > _MOST_WORDS:
            self._known.clear()
        text_ends = np.cumsum([len(text) for text in texts])
        joined = b"".join(texts)
        starts = word_starts(joined, text_ends)
        offsets = np.append(starts, len(joined))
        buffers = [None, pyarrow.py_buffer(offsets), pyarrow.py_buffer(joined)]
        words = pyarrow.LargeBinaryArray.from_buffers(pyarrow.large_binary(), len(starts), buffers).dictionary_encode()
        different = words.dictionary.to_pylist()
        self._learn([word for word in different if word not in self._known])
        encoded = pyarrow.array([self._known[word] for word in different], pyarrow.large_binary()).take(words.indices)
        _, ends, tokens = encoded.buffers()
        token_ends = np.frombuffer(ends, dtype=np.int64)[np.searchsorted(starts, text_ends)] // _TOKEN_BYTES
        return np.split(np.frombuffer(tokens or b"", dtype=np.uint32), token_ends)[:-1]

    def _learn(self, words: list[bytes]) -> None:
        encodings = self._inner.encode_batch_fast([word.decode() for word in words], add_special_tokens=False)
        for word, encoding in zip(words, encodings, strict=True):
            self._known[word] = np.array(encoding.ids, dtype=np.uint32).tobytes()


def word_starts(joined: bytes, text_ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the words of texts that stand end to end begin, in bytes.

    A word is one with the one blank before it; or a run of white space but its last character; or any other white
    space. text_ends: where each text ends, int64 [texts]; an empty text has no word.
    """
    codes = np.frombuffer(joined, dtype=np.uint8)
    is_space = np.zeros(len(codes) + 1, dtype=np.bool_)  # one more: what follows the end is no space
    is_space[:-1] = (codes - np.uint8(_TAB) <= _RETURN - _TAB) | (codes == _BLANK)
    further_bytes = np.zeros(len(codes), dtype=np.uint8)  # before the last byte of a space of several bytes
    if not joined.isascii():
        for found in _OTHER_SPACE.finditer(joined):
            is_space[found.start() : found.end()] = True
            further_bytes[found.end() - 1] = found.end() - found.start() - 1
    is_start = np.zeros(len(codes) + 1, dtype=np.bool_)
    is_start[0] = True
    is_start[text_ends] = True
    changes = np.flatnonzero(is_space[1:] != is_space[:-1]) + 1
    follows_space = is_space[changes - 1]
    after_space = changes[follows_space]  # here a run of white space has ended
    after_space = after_space[~is_start[after_space]]  # and a word of the same text follows
    last = after_space - 1 - further_bytes[after_space - 1]  # the first byte of the last space of each run
    is_start[changes[~follows_space]] = True
    is_start[last] = True
    is_start[after_space[codes[last] != _BLANK]] = True
    return np.flatnonzero(is_start[:-1])


def _groups(texts: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    start = size = 0
    for number, text in enumerate(texts):
        if size and size + len(text) > _GROUP_BYTES:
            yield texts[start:number]
            start, size = number, 0
        size += len(text)
    if start < len(texts):
        yield texts[start:]
