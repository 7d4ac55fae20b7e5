"""Is a tuned recipe better than the default, or was it lucky? Decided on seeds that the search never saw."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaling.laws.distributions import t_quantile

LEVEL = 0.95


@dataclass(frozen=True)
class Contender:
    """A recipe's point of the space (None: the default recipe) and its losses (nats/token), one for each seed."""

    values: dict[str, float] | None
    losses: tuple[float, ...]

    @property
    def mean(self) -> float:
        return math.fsum(self.losses) / len(self.losses)


@dataclass(frozen=True)
class Verdict:
    """`gain` of the best finalist over the default in nats/token, positive where it is better, and the smallest gain
    that counts as one; `noise_sd` is that of a seed, what a seed does to all recipes alike being taken out."""

    default: Contender
    finalists: tuple[Contender, ...]
    gain: float
    needed: float
    noise_sd: float

    @property
    def winner(self) -> Contender:
        """The best finalist where it wins, else the default."""
        return min(self.finalists, key=lambda contender: contender.mean) if self.is_better else self.default

    @property
    def is_better(self) -> bool:
        return self.gain > self.needed

    @property
    def words(self) -> str:
        share = self.gain / self.default.mean
        numbers = (
            f"{self.gain:+.4f} nats/token ({share:+.2%}), where {len(self.default.losses)} seeds with a noise of "
            f"{self.noise_sd:.4f} tell apart {self.needed:.4f}"
        )
        if self.is_better:
            return f"better than the default recipe: {numbers}"
        if self.gain < -self.needed:
            return f"worse than the default recipe, which stays: {numbers}"
        return f"indistinguishable from the default recipe, which stays: {numbers}"


def judge(default: Contender, finalists: Sequence[Contender]) -> Verdict:
    """The best of the finalists against the default, by seed: losses are modelled as recipe + seed + noise.

    `needed` is the two-sided t limit of the difference of two recipes' means, split over the finalists (Bonferroni), as
    the best is chosen after the fact.
    """
    losses = np.array([contender.losses for contender in (default, *finalists)])
    recipes, seeds = losses.shape
    residuals = losses - losses.mean(axis=1, keepdims=True) - losses.mean(axis=0, keepdims=True) + losses.mean()
    freedom = (recipes - 1) * (seeds - 1)
    noise_sd = math.sqrt(float((residuals**2).sum()) / freedom)
    quantile = t_quantile(1.0 - (1.0 - LEVEL) / 2.0 / len(finalists), freedom)
    best = min(contender.mean for contender in finalists)
    return Verdict(
        default, tuple(finalists), default.mean - best, quantile * noise_sd * math.sqrt(2.0 / seeds), noise_sd
    )
