"""Documents that are almost copies: MinHash signatures of their runs of five words, looked up by banded hashing."""

from importlib import import_module
from typing import Any

from scaling.data.config import DataError
from scaling.data.overlap import ngram_hashes

_SHINGLE_WORDS = 5
_PERMUTATIONS = 128  # standard error of an estimated similarity: at most 1 / (2 sqrt(128)) = 0.044
_SHINGLES_AT_A_TIME = 10_000


class NearDuplicates:
    """The documents accepted so far; about a kilobyte of memory for each.

    similarity: Jaccard similarity of two documents' sets of word runs from which on the later one is a copy.
    Raises DataError if the package datasketch is not installed.
    """

    def __init__(self, similarity: float) -> None:
        try:
            self._datasketch = import_module("datasketch")
        except ImportError:
            raise DataError(
                f"data.near_duplicate_similarity={similarity} needs the package datasketch: "
                "pip install datasketch, or set data.near_duplicate_similarity=null."
            ) from None
        self._similarity = similarity
        self._index = self._datasketch.MinHashLSH(threshold=similarity, num_perm=_PERMUTATIONS)
        self._signatures: list[Any] = []

    def accept(self, text: bytes) -> bool:
        """Whether the document is unlike all accepted before; if so it is accepted. Under five words it always is."""
        signature = self._datasketch.MinHash(num_perm=_PERMUTATIONS, hashfunc=int)
        for shingles in ngram_hashes(text, _SHINGLE_WORDS):
            short = (shingles >> 32).tolist()
            for start in range(0, len(short), _SHINGLES_AT_A_TIME):
                signature.update_batch(short[start : start + _SHINGLES_AT_A_TIME])
        if signature.is_empty():
            return True
        candidates = (self._signatures[number] for number in self._index.query(signature))
        if any(signature.jaccard(candidate) >= self._similarity for candidate in candidates):
            return False
        self._index.insert(len(self._signatures), signature)
        self._signatures.append(signature)
        return True
