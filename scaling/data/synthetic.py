"""A made-up language whose entropy is known exactly: what a perfect model would lose on it, no model can beat.

A document is a chain of word classes, each followed by another with probabilities of its own; a class has a lexicon
of its own, used by Zipf's law. After each word comes a space, or, with a fixed probability, the line feed that ends the
document. Since a word tells its class and a delimiter ends it, text and chain determine each other, and the entropy of
the text is that of the chain: exact, by a formula. A fitted floor E can so be held against the truth.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scaling.data.config import SourceConfig
from scaling.data.documents import Document

_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"
_DOCUMENTS_AT_A_TIME = 1000


@dataclass(frozen=True)
class Language:
    """The chain and its words.

    words: in the order of their classes. word_class: int64 [words]. word_probability: float64 [words], given the class.
    transitions: float64 [classes, classes], rows sum to 1. stationary: float64 [classes], the classes' overall shares,
    from which a document's first class is drawn too. ending: the probability that a word is its document's last.
    """

    words: tuple[str, ...]
    word_class: NDArray[np.int64]
    word_probability: NDArray[np.float64]
    transitions: NDArray[np.float64]
    stationary: NDArray[np.float64]
    ending: float

    @property
    def mean_word_bytes(self) -> float:
        """Bytes of a word and its delimiter, on average over running text."""
        lengths = np.array([len(word) for word in self.words])
        return float(self.stationary[self.word_class] @ (self.word_probability * lengths)) + 1.0

    @property
    def nats_per_byte(self) -> float:
        """The exact entropy rate: nats per byte of text, whatever the tokenizer.

        A word costs its class (given the last word's, or afresh in a new document), itself given its class, and its
        delimiter. A separator token costs nothing: it always follows a line feed.
        """
        within = self.stationary @ _entropies(self.transitions)
        afresh = _entropies(self.stationary[None, :])[0]
        share = self.stationary[self.word_class]
        word = -float(share @ (self.word_probability * np.log(self.word_probability)))
        delimiter = _entropies(np.array([[self.ending, 1.0 - self.ending]]))[0]
        nats_per_word = (1.0 - self.ending) * within + self.ending * afresh + word + delimiter
        return float(nats_per_word / self.mean_word_bytes)

    @cached_property
    def _text_words(self) -> NDArray[np.object_]:
        return np.array(self.words, dtype=object)


def language(config: SourceConfig) -> Language:
    """The language of a source's `language_` settings; drawn with its seed, the same on every machine."""
    source = np.random.Generator(np.random.PCG64(np.random.SeedSequence([config.language_seed, 0])))
    classes = config.language_classes
    words = _spell(source, config.language_words)
    word_class = np.sort(np.arange(len(words)) % classes)
    counts = np.bincount(word_class, minlength=classes)
    ranks = np.concatenate([np.arange(1, count + 1) for count in counts])
    weights = ranks**-config.language_zipf_exponent
    word_probability = weights / np.bincount(word_class, weights)[word_class]
    # Each class prefers the others in an order of its own, by Zipf's law as well.
    order = np.argsort(source.random((classes, classes)), axis=1, kind="stable")
    transitions = np.asarray(1.0 / (1.0 + order) ** 1.5, dtype=np.float64)
    transitions /= transitions.sum(axis=1, keepdims=True)
    ending = 1.0 / config.language_words_per_document
    return Language(tuple(words), word_class, word_probability, transitions, _stationary(transitions), ending)


def documents(config: SourceConfig) -> Iterator[Document]:
    """Draw the documents; a document's key is its number."""
    spoken = language(config)
    number = 0
    for block in range(0, config.language_documents, _DOCUMENTS_AT_A_TIME):
        source = np.random.Generator(np.random.PCG64(np.random.SeedSequence([config.language_seed, 1, block])))
        for text in _draw(spoken, source, min(_DOCUMENTS_AT_A_TIME, config.language_documents - block)):
            yield Document(text, str(number))
            number += 1


def _draw(spoken: Language, source: np.random.Generator, count: int) -> list[str]:
    """`count` documents side by side, one word of each at a time, until each has ended."""
    first_word = np.searchsorted(spoken.word_class, np.arange(len(spoken.stationary)))
    # Cumulated over all words, class after class: class c owns the stretch from c to c + 1.
    cumulated = np.cumsum(spoken.word_probability)
    next_class = np.cumsum(spoken.transitions, axis=1)
    columns: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    active = np.arange(count)
    current = _choose(np.cumsum(spoken.stationary), source.random(count))
    while len(active):
        drawn = np.searchsorted(cumulated, current + source.random(len(active)), side="right")
        last = np.append(first_word[1:], len(spoken.words)) - 1
        columns.append((active, np.clip(drawn, first_word[current], last[current])))
        goes_on = source.random(len(active)) >= spoken.ending
        active, current = active[goes_on], current[goes_on]
        draws = source.random(len(active))
        current = np.minimum((next_class[current] <= draws[:, None]).sum(axis=1), len(spoken.stationary) - 1)
    texts: list[list[str]] = [[] for _ in range(count)]
    for places, drawn in columns:
        for place, word in zip(places.tolist(), spoken._text_words[drawn].tolist(), strict=True):
            texts[place].append(word)
    return [" ".join(text) + "\n" for text in texts]


def _choose(cumulated: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.minimum(np.searchsorted(cumulated, draws, side="right"), len(cumulated) - 1)


def _spell(source: np.random.Generator, count: int) -> list[str]:
    """Different pronounceable words of one to four syllables, no word of which is spelled like another."""
    words: dict[str, None] = {}
    while len(words) < count:
        syllables = 1 + int(source.random() * 4)
        draws = source.random((syllables, 2)).tolist()
        word = "".join(_CONSONANTS[int(c * len(_CONSONANTS))] + _VOWELS[int(v * len(_VOWELS))] for c, v in draws)
        words[word] = None
    return list(words)


def _stationary(transitions: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distribution that the transitions leave as it is."""
    classes = len(transitions)
    equations = np.vstack([transitions.T - np.eye(classes), np.ones(classes)])
    solution: NDArray[np.float64] = np.linalg.lstsq(equations, np.append(np.zeros(classes), 1.0), rcond=None)[0]
    return solution


def _entropies(distributions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entropy in nats of each row; every entry is above 0."""
    entropies: NDArray[np.float64] = -(distributions * np.log(distributions)).sum(axis=1)
    return entropies
