"""The best possible predictor of a synthetic language: it knows the language and, like a model, one context of text.

Its loss on the validation windows is the floor of any model's loss on them. It lies a little above the entropy rate,
since the first tokens of a window have little context, and differs from its own mean by the sampling of this very text.
So of all truths it is the one that a fitted floor E should find; the entropy rate says how much is the context's share.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaling.data.config import DataError, SourceConfig
from scaling.data.corpus import IGNORED_TARGET, Corpus
from scaling.data.synthetic import Language, language

_SEPARATOR, _SPACE, _LINE_FEED = 0, ord(" "), ord("\n")


@dataclass(frozen=True)
class KnownEntropy:
    """What the best possible model would lose, in nats per token.

    rate: by the source's exact entropy rate, over endless text with endless context. floor: on this corpus' validation
    windows of `context` tokens, by a predictor that knows the language; None where the tokens are not bytes. `floor` is
    what the E of a law should find.
    """

    rate: float
    floor: float | None
    context: int


def known_entropy(source: SourceConfig, corpus: Corpus, context: int) -> KnownEntropy | None:
    """None for text whose entropy nobody knows, which is all text but a synthetic language's."""
    manifest = corpus.manifest
    if manifest.true_nats_per_byte is None:
        return None
    floor = validation_floor(source, corpus, context) if manifest.tokenizer_kind == "bytes" else None
    return KnownEntropy(manifest.true_nats_per_byte * manifest.validation.bytes_per_token, floor, context)


def validation_floor(source: SourceConfig, corpus: Corpus, context: int) -> float:
    """Nats per token that the best possible model of this context loses on the corpus's validation split.

    Raises DataError unless the corpus is a synthetic language in byte tokens.
    """
    manifest = corpus.manifest
    if source.kind != "synthetic" or manifest.tokenizer_kind != "bytes":
        raise DataError(
            f"The floor of {manifest.name} (source {source.kind}, tokenizer {manifest.tokenizer_kind}) is not known: "
            "it is for kind synthetic with bytes, data=synthetic."
        )
    inputs, targets = corpus.validation_windows(context)
    losses = oracle_losses(language(source), inputs, targets)
    return float(losses.sum() / np.count_nonzero(targets != IGNORED_TARGET))


def oracle_losses(spoken: Language, inputs: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Loss in nats of each target, float64 [windows, context]; 0 where a target is to be ignored, infinite where the
    language cannot go on like this.

    inputs, targets: int64 [windows, context] as `Corpus.validation_windows` gives them, of byte tokens. Each window
    is predicted from its own inputs alone, by Bayes' rule over every place in every word.
    """
    oracle = _Oracle(spoken)
    losses = np.zeros(targets.shape)
    for window in range(len(inputs)):
        belief, _ = oracle.emit(oracle.prior, int(inputs[window, 0]))
        for place, token in enumerate(targets[window].tolist()):
            if token != IGNORED_TARGET:
                belief, probability = oracle.emit(belief, token)
                losses[window, place] = -math.log(probability) if probability > 0.0 else math.inf
    return losses


@dataclass(frozen=True)
class _Belief:
    """Which states are possible and how probable each is: int64 and float64, both [possible]; sums to 1."""

    states: NDArray[np.int64]
    mass: NDArray[np.float64]


class _Oracle:
    """The language as a machine that stands in a state and emits one byte on leaving it.

    A state is a place in a word or before its delimiter, word after word; the last one is before a separator.
    """

    def __init__(self, spoken: Language) -> None:
        self._spoken = spoken
        sizes = np.array([len(word) + 1 for word in spoken.words])
        self._first = np.cumsum(sizes) - sizes
        self._before_separator = int(sizes.sum())
        self._byte = np.frombuffer(("".join(word + " " for word in spoken.words) + "\0").encode(), dtype=np.uint8)
        self._class = np.append(np.repeat(spoken.word_class, sizes), 0)
        # Over running text a word stands in each of its places equally often.
        shares = np.append(
            np.repeat(spoken.stationary[spoken.word_class] * spoken.word_probability, sizes), spoken.ending
        )
        self.prior = _Belief(np.arange(len(self._byte)), shares / shares.sum())

    def emit(self, belief: _Belief, token: int) -> tuple[_Belief, float]:
        """The belief after `token`, and the probability that the belief before it gave to the token."""
        # A line feed leaves the same states as a space: those before a delimiter.
        leaving = self._byte[belief.states] == (_SPACE if token == _LINE_FEED else token)
        states, mass = belief.states[leaving], belief.mass[leaving]
        if token == _LINE_FEED:
            after = _Belief(np.array([self._before_separator]), np.array([mass.sum() * self._spoken.ending]))
        elif token == _SPACE:
            classes = np.bincount(self._class[states], mass, minlength=len(self._spoken.stationary))
            after = self._before_word((1.0 - self._spoken.ending) * classes @ self._spoken.transitions)
        elif token == _SEPARATOR:
            after = self._before_word(mass.sum() * self._spoken.stationary)
        else:
            after = _Belief(states + 1, mass)
        probability = float(after.mass.sum())
        return _Belief(after.states, after.mass / (probability or 1.0)), probability

    def _before_word(self, classes: NDArray[np.float64]) -> _Belief:
        return _Belief(self._first, classes[self._spoken.word_class] * self._spoken.word_probability)
