"""How much of the validation text stands in the training text too, by n-grams of words, in bounded memory."""

from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from scaling.data.manifest import Overlap

NGRAM_WORDS = 13

_CHUNK_BYTES = 1 << 20
_SPACE = 32  # this byte and all below separate words
_FILTER_BITS = 22

# A word's hash: a polynomial in an odd base modulo 2^64 over one random number a byte, upper case as lower.
_BASE = np.uint64(0x9E3779B97F4A7C15)
_BASE_INVERSE = np.uint64(pow(int(_BASE), -1, 1 << 64))
_NGRAM_BASE = np.uint64(0xD1342543DE82EF95)


class KnownNgrams:
    """The n-grams of the validation documents, to look up those of training in.

    They are compared by 64-bit hash: with a million in validation and a billion in training, fewer than one in ten
    thousand runs would see a single false match. N-grams do not cross documents.
    """

    def __init__(self, validation: Iterable[bytes]) -> None:
        hashes = [chunk for text in validation for chunk in ngram_hashes(text, NGRAM_WORDS)]
        self._hashes, self._counts = np.unique(np.concatenate(hashes or [np.empty(0, np.uint64)]), return_counts=True)
        self._seen = np.zeros(len(self._hashes), dtype=np.bool_)
        self._mask = np.uint64((1 << _FILTER_BITS) - 1)
        self._may_be_known = np.zeros(1 << _FILTER_BITS, dtype=np.bool_)
        self._may_be_known[self._hashes & self._mask] = True

    def find(self, ngrams: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Places in `ngrams` of those that validation has too; they count as seen."""
        candidates = np.flatnonzero(self._may_be_known[ngrams & self._mask])
        if not len(candidates):
            return candidates
        ranks = np.minimum(np.searchsorted(self._hashes, ngrams[candidates]), len(self._hashes) - 1)
        found = self._hashes[ranks] == ngrams[candidates]
        self._seen[ranks[found]] = True
        places: NDArray[np.int64] = candidates[found]
        return places

    def overlap(self) -> Overlap:
        """How many n-grams of validation, with repetition, `find` has seen so far."""
        return Overlap(NGRAM_WORDS, int(self._counts.sum()), int(self._counts[self._seen].sum()))


def measure_overlaps(training: Iterable[bytes], validations: Iterable[Iterable[bytes]]) -> list[Overlap]:
    """For each set of validation documents, count its n-grams, and those that some training document has too."""
    sets = [KnownNgrams(validation) for validation in validations]
    for text in training:
        for ngrams in ngram_hashes(text, NGRAM_WORDS):
            for known in sets:
                known.find(ngrams)
    return [known.overlap() for known in sets]


def without_overlap(text: bytes, known: KnownNgrams) -> tuple[bytes, int]:
    """A training document without the lines that an n-gram of validation touches, and how many they were."""
    first_words: list[NDArray[np.int64]] = []
    words = 0
    for ngrams in ngram_hashes(text, NGRAM_WORDS):
        first_words.append(words + known.find(ngrams))
        words += len(ngrams)
    touched = np.unique(np.concatenate(first_words or [np.empty(0, np.int64)])[:, None] + np.arange(NGRAM_WORDS))
    if not len(touched):
        return text, 0
    lines = text.splitlines(keepends=True)
    last_word = np.cumsum([_count_words(line) for line in lines])
    dropped = set(np.searchsorted(last_word, touched, side="right").tolist())
    return b"".join(line for number, line in enumerate(lines) if number not in dropped), len(dropped)


def ngram_hashes(text: bytes, ngram_words: int) -> Iterator[NDArray[np.uint64]]:
    """Hashes of all n-grams of one document, in order, some at a time."""
    carried = np.empty(0, dtype=np.uint64)
    for chunk in _chunks(text):
        words = np.concatenate([carried, word_hashes(chunk)])
        count = len(words) - ngram_words + 1
        if count > 0:
            ngrams = np.zeros(count, dtype=np.uint64)
            for place in range(ngram_words):
                ngrams = ngrams * _NGRAM_BASE + words[place : place + count]
            yield ngrams ^ (ngrams >> np.uint64(29))
        carried = words[-(ngram_words - 1) :]


def word_hashes(text: bytes) -> NDArray[np.uint64]:
    """One hash for each word of a text of at most one chunk, in order."""
    codes = np.frombuffer(text, dtype=np.uint8)
    in_word = np.concatenate([[False], codes > _SPACE, [False]])
    starts = np.flatnonzero(in_word[1:] & ~in_word[:-1])
    ends = np.flatnonzero(in_word[:-1] & ~in_word[1:])
    powers, inverse_powers = _powers()
    prefix = np.zeros(len(codes) + 1, dtype=np.uint64)
    np.cumsum(_BYTE_NUMBERS[codes] * powers[: len(codes)], out=prefix[1:])
    words = (prefix[ends] - prefix[starts]) * inverse_powers[starts]
    words ^= words >> np.uint64(31)
    mixed: NDArray[np.uint64] = words * _BASE
    return mixed


def _count_words(text: bytes) -> int:
    """As many as `word_hashes` gives hashes."""
    codes = np.frombuffer(text, dtype=np.uint8)
    in_word = np.concatenate([[False], codes > _SPACE])
    return int(np.count_nonzero(in_word[1:] & ~in_word[:-1]))


def _chunks(text: bytes) -> Iterator[bytes]:
    """Cut between words; only a word longer than a chunk is cut within."""
    start = 0
    while start < len(text):
        end = min(start + _CHUNK_BYTES, len(text))
        if end < len(text):
            end = max(text.rfind(b" ", start, end), text.rfind(b"\n", start, end)) + 1 or end
        yield text[start:end]
        start = end


@cache
def _powers() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Powers of the base and of its inverse, from 0 on, for a whole chunk."""
    bases = np.full((2, _CHUNK_BYTES), [[_BASE], [_BASE_INVERSE]], dtype=np.uint64)
    bases[:, 0] = 1
    powers, inverse_powers = np.cumprod(bases, axis=1)
    return powers, inverse_powers


def _byte_numbers() -> NDArray[np.uint64]:
    numbers = np.random.PCG64(0).random_raw(256)
    numbers[ord("A") : ord("Z") + 1] = numbers[ord("a") : ord("z") + 1]
    return numbers


_BYTE_NUMBERS = _byte_numbers()
