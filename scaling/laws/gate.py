"""A few runs of a variant against the law of a baseline: worth promoting, worth dropping, or one more run.

A run of the variant at (N, D) that needs m times less compute has the loss that the baseline reaches with m times as
much on the same ray: L_A(sqrt(m) N, sqrt(m) D), or along the baseline's line. All runs share one m, the noise of a run
is that around the baseline's law, and what is not known of that law is shared by all runs. The decision is Wald's
sequential test (1945) of m = 1 against the multiplier that would be worth it, which may be looked at after every run.

Legend: n runs of the variant; u = ln m.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Literal

import numpy as np

from scaling.laws.backtest import Forecaster
from scaling.laws.distributions import t_quantile, t_two_sided
from scaling.laws.forecast import decades_beyond
from scaling.laws.observations import FloatArray, IntArray, Observations, Points, points

STEP = 1e-3  # of u, on either side
LARGEST = math.log(1e3)  # of u that is looked for
SWEEPS, TOLERANCE = 50, 1e-9
LIKELY = 0.8  # probability with which a further run is to decide

Decision = Literal["promote", "drop", "undecided"]


@dataclass(frozen=True)
class Worth:
    """A multiplier with its interval."""

    multiplier: float
    low: float
    high: float


@dataclass(frozen=True)
class NextRun:
    """A further run of the variant, and the probability that it decides."""

    params: float
    tokens: float
    flops: float
    probability: float


@dataclass(frozen=True)
class Gate:
    """Runs of a variant, whose log losses are compared with what the baseline's law says of them.

    Attributes:
        asked: the forecast of the baseline.
        at: where the runs are.
        log_loss: of each run, [n].
        runs: number of the training run that each row belongs to, [n].
        worth: the multiplier that would be worth it, above 1.
        risk: of promoting a variant that is worth no more, and of dropping one that is worth it.
    """

    asked: Forecaster
    at: Points
    log_loss: FloatArray
    runs: IntArray
    worth: float
    risk: float

    @cached_property
    def gain(self) -> FloatArray:
        """By how much the log losses lie below the baseline's law, [n]."""
        return self.asked.average.log_loss(self.at).mean - self.log_loss

    @cached_property
    def covariance(self) -> FloatArray:
        """Of the gains, [n, n]."""
        return self._covariance(self.at, self.runs)

    def _covariance(self, at: Points, runs: IntArray) -> FloatArray:
        average = self.asked.average
        noise = average.new_run.at(6 * at.params * at.tokens)
        alike = np.where(runs[:, None] == runs[None, :], average.share / (1 + average.share), 0.0)
        np.fill_diagonal(alike, 1.0)
        # A backtest that went better than announced is no reason to trust a law more where its rows lie.
        wider = np.maximum(self.asked.backtest.widening.stretch(decades_beyond(average.reach.flops, at)), 1.0)
        return np.asarray(alike * np.outer(noise, noise) + np.outer(wider, wider) * average.covariance(at))

    def expected(self, u: float, at: Points | None = None) -> FloatArray:
        """Give the gains of a variant of this u, [n]: what the baseline gains by e^u times the compute."""
        at, average, line = at or self.at, self.asked.average, self.asked.line
        if line is not None:
            further = line.along(6 * at.params * at.tokens * math.exp(u))
        else:
            further = points(at.params * math.exp(u / 2), at.tokens * math.exp(u / 2))
        here, there = (average.weights @ average.log_losses(where) for where in (at, further))
        return np.asarray(here - there)

    def _slope(self, u: float, at: Points | None = None) -> FloatArray:
        return (self.expected(u + STEP, at) - self.expected(u - STEP, at)) / (2 * STEP)

    @cached_property
    def pooled(self) -> tuple[float, float]:
        """u of all runs, by generalised least squares, and its standard deviation; infinite where no compute of the
        baseline gets there."""
        return self._estimate(self.gain, self.covariance, self.at)

    def _estimate(self, gain: FloatArray, covariance: FloatArray, at: Points) -> tuple[float, float]:
        u, inverse = 0.0, np.linalg.inv(covariance)
        for _ in range(SWEEPS):
            slope = self._slope(u, at)
            step = float(slope @ inverse @ (gain - self.expected(u, at))) / float(slope @ inverse @ slope)
            u = float(np.clip(u + np.clip(step, -1.0, 1.0), -LARGEST, LARGEST))
            if abs(step) < TOLERANCE:
                break
        slope = self._slope(u, at)
        if abs(u) >= LARGEST:
            return math.copysign(math.inf, u), math.inf
        return u, 1 / math.sqrt(float(slope @ inverse @ slope))

    def interval(self, level: float) -> Worth:
        """Give the multiplier of all runs together."""
        return self._worth(*self.pooled, level)

    def each(self, level: float) -> tuple[Worth, ...]:
        """Give the multiplier of each run alone."""
        found = []
        for i in range(len(self.gain)):
            at = Points(self.at.params[[i]], self.at.tokens[[i]], self.at.flops[[i]])
            estimate = self._estimate(self.gain[[i]], self.covariance[np.ix_([i], [i])], at)
            found.append(self._worth(*estimate, level))
        return tuple(found)

    def _worth(self, u: float, sd: float, level: float) -> Worth:
        half = t_two_sided(level, self.freedom) * sd
        if not math.isfinite(half):
            return Worth(math.exp(u) if u < 0 else math.inf, 0.0, math.inf)
        return Worth(math.exp(u), math.exp(max(u - half, -700.0)), math.exp(min(u + half, 700.0)))

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the noise of a run, of which a part is known from few runs (Satterthwaite 1946)."""
        average = self.asked.average
        part = average.share / (1 + average.share)
        return 1 / (part**2 / average.shared_freedom + (1 - part) ** 2 / average.freedom)

    @property
    def boundary(self) -> float:
        """The log likelihood ratio that decides: ln((1 - risk) / risk)."""
        return math.log((1 - self.risk) / self.risk)

    @cached_property
    def evidence(self) -> float:
        """Log likelihood ratio of the multiplier that would be worth it over 1."""
        return self._evidence(self.gain, self.covariance, self.at)[0]

    def _evidence(self, gain: FloatArray, covariance: FloatArray, at: Points) -> tuple[float, FloatArray]:
        """The ratio, and its derivative by the gains, [n]; smaller the fewer rows tell the noise."""
        wanted = self.expected(math.log(self.worth), at)
        pull = np.linalg.solve(covariance, wanted) * self._caution
        return float(pull @ (gain - wanted / 2)), np.asarray(pull, dtype=np.float64)

    @property
    def _caution(self) -> float:
        z = NormalDist().inv_cdf(1 - self.risk)
        return float((z / t_quantile(1 - self.risk, self.freedom)) ** 2)

    @property
    def decision(self) -> Decision:
        """What the runs say."""
        if self.evidence >= self.boundary:
            return "promote"
        return "drop" if self.evidence <= -self.boundary else "undecided"

    def next_run(self, candidates: Points) -> NextRun:
        """Give the cheapest of candidates, [k], that decides with probability `LIKELY`, else the one likeliest to."""
        found = []
        u, sd = self.pooled
        if not math.isfinite(sd):
            u, sd = 0.0, math.log(self.worth)
        for i in np.argsort(candidates.params * candidates.tokens, kind="stable"):
            N, D = float(candidates.params[i]), float(candidates.tokens[i])
            both = points(np.append(self.at.params, N), np.append(self.at.tokens, D))
            runs = np.append(self.runs, self.runs.max() + 1)
            covariance = self._covariance(both, runs)
            cross = np.linalg.solve(self.covariance, covariance[:-1, -1])
            new = points(N, D)
            mean = float(self.expected(u, new)[0] + cross @ (self.gain - self.expected(u)))
            slope = float(self._slope(u, new)[0] - cross @ self._slope(u))
            spread = math.sqrt(float(covariance[-1, -1] - cross @ covariance[:-1, -1]) + (slope * sd) ** 2)
            middle, pull = self._evidence(np.append(self.gain, mean), covariance, both)
            beyond = NormalDist(middle, max(abs(float(pull[-1])) * spread, 1e-12))
            probability = 1 - beyond.cdf(self.boundary) + beyond.cdf(-self.boundary)
            found.append(NextRun(N, D, 6 * N * D, probability))
            if probability >= LIKELY:
                return found[-1]
        return max(found, key=lambda one: one.probability)


def gate(asked: Forecaster, variant: Observations, worth: float, risk: float) -> Gate:
    """Hold runs of a variant against the forecast of a baseline that has none of them.

    Raises:
        ValueError: worth is not above 1, risk is none, or a run lies off the baseline's line.
    """
    if not 1 < worth < math.inf:
        raise ValueError(f"gate.multiplier is {worth}: it must be above 1, such as 1.1 for a tenth of the compute")
    if not 0 < risk < 0.5:
        raise ValueError(f"gate.risk is {risk}: it must lie between 0 and 0.5, such as 0.05")
    at = points(variant.params, variant.tokens)
    at = at if asked.line is None else asked.line.on(at)
    return Gate(asked, at, np.log(variant.loss), variant.trajectory_index(), worth, risk)


@dataclass(frozen=True)
class GatedRun:
    """A run of the variant, and what its FLOPs are worth in the baseline's."""

    params: float
    tokens: float
    loss: float
    worth: Worth


@dataclass(frozen=True)
class GateResult:
    """A few runs of B against A's law. `together` is their common multiplier; `decision` is promote, drop or undecided,
    by `evidence`, the log likelihood ratio of `wanted` over 1, at plus or minus `boundary`. `next` is the further run
    that would decide, None where none is needed. `num_own` rows of A are the very runs of B and not in its law."""

    a: str
    b: str
    unit: str
    line: str | None
    level: float
    num_points: int
    num_own: int
    runs: tuple[GatedRun, ...]
    together: Worth
    wanted: float
    risk: float
    evidence: float
    boundary: float
    decision: Decision
    next: NextRun | None
    verdict: str
