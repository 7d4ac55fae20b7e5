"""How well rows pin the floor E: by their noise, by the form that is assumed, and by which rows are asked.

A law with a free E fits well with a wrong one: small residuals say little about where its curves level off. So three
doubts are put together. Noise: the profile of the objective in E, all other parameters fitted anew at each value, cut
where a likelihood ratio allows it, with rows of one trajectory counted as far as they are independent. Form: the same
for every form with a floor, unless its residuals are several times those of the best. Rows: the E of fits without the
smallest size, and without the smallest budget, since a law that holds should not care.

Near a floor that a model can reach, losses fall faster than any power of N and D, and a law whose exponents are
constant makes up for it by a floor that is too low. So one of the forms has exponents that grow: Chinchilla's in N + N0
and D + D0, whose slope in log D is beta D / (D + D0), with N0 and D0 in the middle of what was measured. How often the
interval holds the truth, of laws that it knows and others: benchmarks/floor_coverage.py.
"""

from dataclasses import dataclass, replace

import numpy as np

from scaling.laws.fit import Fit, fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.observations import FloatArray, Observations
from scaling.laws.profile import profile_ends
from scaling.laws.registry import laws_with

GROWING = "growing exponents"
# A form whose objective is more times the best one's is no doubt. It is generous, since no form is true: a likelihood
# ratio would let the best of several wrong ones shut the truth out (benchmarks/floor_coverage.py).
MOST_WORSE = 3.0


@dataclass(frozen=True)
class FloorDoubt:
    """What one form, or one selection of rows, says of E: its estimate, and the profile's ends where there is one."""

    name: str
    estimate: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class FloorInterval:
    """The range of E that the doubts together leave, in nats per token; `doubts[0]` is Chinchilla's law on all rows."""

    low: float
    high: float
    level: float
    doubts: tuple[FloorDoubt, ...]

    @property
    def estimate(self) -> float:
        return self.doubts[0].estimate


def floor_interval(rows: Observations, level: float = 0.95) -> FloorInterval | None:
    """The interval for E; None where the rows are too few for Chinchilla's law."""
    plain = fit_law(CHINCHILLA, rows)
    if not plain.parameters:
        return None
    # The same losses under every form: their objectives compare.
    forms = [(law.name, law, rows) for law in laws_with("floor")[1:]] + [(GROWING, CHINCHILLA, _offset(rows))]
    others = [(name, fit, on) for name, law, on in forms if (fit := fit_law(law, on)).parameters]
    most = MOST_WORSE * min(_objective(plain), *(_objective(fit) for _, fit, _ in others))
    doubts = [_profiled(CHINCHILLA.name, plain, rows, level)]
    doubts += [_profiled(name, fit, on, level) for name, fit, on in others if _objective(fit) <= most]
    parts = {
        "without the smallest size": rows.params > rows.params.min(),
        "without the smallest budget": rows.tokens > rows.tokens.min(),
    }
    for name, kept in parts.items():
        fit = fit_law(CHINCHILLA, rows.take(np.flatnonzero(kept)))
        if fit.usable:
            doubts.append(FloorDoubt(name, fit.parameters["E"], None, None))
    ends = [end for doubt in doubts for end in (doubt.low, doubt.estimate, doubt.high) if end is not None]
    least_loss = float(rows.loss.min())  # no floor lies above a loss that was reached
    return FloorInterval(min(*ends, least_loss), min(max(ends), least_loss), level, tuple(doubts))


def _offset(rows: Observations) -> Observations:
    """The rows at N + N0 and D + D0, each offset the geometric middle of its column."""

    def middle(column: FloatArray) -> float:
        return float(np.sqrt(column.min() * column.max()))

    return replace(rows, params=rows.params + middle(rows.params), tokens=rows.tokens + middle(rows.tokens))


def _objective(fit: Fit) -> float:
    assert fit.objective.value is not None  # it has parameters
    return fit.objective.value


def _profiled(name: str, fit: Fit, rows: Observations, level: float) -> FloorDoubt:
    low, high = profile(fit, rows, level)
    return FloorDoubt(name, fit.parameters["E"], low, high)


def profile(fit: Fit, rows: Observations, level: float = 0.95) -> tuple[float, float]:
    """The least and the largest E that a likelihood ratio of this level allows, between 0 and the smallest loss."""
    highest = float(rows.loss.min()) * (1 - 1e-4)
    return profile_ends(fit, rows, "E", (0.0, highest), level)
