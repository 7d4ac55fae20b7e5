"""Byte-level BPE several times faster than text by text: each different word is encoded once and then looked up.

Byte-level pre-tokenisation never joins a word to what stands before its leading space, so text may be cut there, and
the tokens of a text are those of its cuts, put together. That holds for the `ByteLevel` pre-tokenizer and is not
promised of another.
"""

import re
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import tokenizers

# White space as the pre-tokenizer's own pattern has it; Python's \\s would add four separators of ASCII.
_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# A word with the one space before it; or a run of white space but its last character; or any other white space.
_CUT = re.compile(f" ?[^{_SPACE}]+|[{_SPACE}]+(?![^{_SPACE}])|[{_SPACE}]")

_MOST_WORDS = 500_000  # about 100 MB; beyond, the memo is begun anew


class WordMemo:
    """The tokens of every different word met so far."""

    def __init__(self, inner: "tokenizers.Tokenizer") -> None:
        self._inner = inner
        self._clear()

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        """Token ids of each text, uint32 [tokens]; many short texts at once are far faster than one by one."""
        if len(self._numbers) > _MOST_WORDS:
            self._clear()
        words = [_CUT.findall(text) for text in texts]
        text_ends = np.cumsum([len(words_of_text) for words_of_text in words])
        numbers = np.fromiter(map(self._numbers.__getitem__, chain.from_iterable(words)), np.int64, int(text_ends[-1]))
        self._encode_new()
        lengths = self._lengths[numbers]
        ends = np.cumsum(lengths)
        places = np.repeat(self._starts[numbers] - (ends - lengths), lengths) + np.arange(lengths.sum())
        token_ends = np.append(0, ends)[text_ends]
        return np.split(self._tokens[places], token_ends[:-1])

    def _clear(self) -> None:
        self._numbers = _Numbers()
        self._tokens = np.empty(0, dtype=np.uint32)
        self._starts = self._lengths = np.empty(0, dtype=np.int64)

    def _encode_new(self) -> None:
        new, self._numbers.new = self._numbers.new, []
        if not new:
            return
        encoded = [encoding.ids for encoding in self._inner.encode_batch_fast(new, add_special_tokens=False)]
        lengths = np.array([len(ids) for ids in encoded], dtype=np.int64)
        tokens = np.fromiter((token for ids in encoded for token in ids), dtype=np.uint32, count=int(lengths.sum()))
        self._starts = np.append(self._starts, len(self._tokens) + np.cumsum(lengths) - lengths)
        self._lengths = np.append(self._lengths, lengths)
        self._tokens = np.append(self._tokens, tokens)


class _Numbers(dict[str, int]):
    """Numbers words in the order of their first look-up; `new`: those not yet encoded."""

    def __init__(self) -> None:
        super().__init__()
        self.new: list[str] = []

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        self.new.append(word)
        return number
