"""The objective of a fit along one of its parameters, all others fitted anew at each value.

What a quadratic at the minimum cannot show: how lopsided the objective is, and whether it closes at all. The
interval is where a likelihood ratio allows the value, with rows of one trajectory counted as far as they are
independent.
"""

from dataclasses import dataclass

import numpy as np

from scaling.laws.distributions import t_two_sided
from scaling.laws.fit import Fit
from scaling.laws.newton import polish
from scaling.laws.noise import shared_correlation
from scaling.laws.objective import huber_sums
from scaling.laws.observations import FloatArray, Observations

FIRST_STEPS = 40  # of the way to the limit is the profile's first step
# Least absolute deviations under Gaussian noise: variance of the estimate over what a Laplace likelihood takes it for
# (Koenker & Machado 1999, the quantile regression's likelihood-ratio test).
GAUSSIAN = float(np.pi / 2)
LEAST_OBJECTIVE = 1e-28  # of a perfect fit: the square of what rounding leaves
TOLERANCE = 1e-9  # relative, of an objective that is compared
PRECISION = 1e-3  # relative, of the ends of a profile
LARGEST_EXPONENT = 3.0  # to which the profile of an exponent is followed
BESIDE = 0.3  # of its interval's width, that a profile is followed to either side


@dataclass(frozen=True)
class ParameterProfile:
    """`ratio` is the objective at each of `values` over its least, [m]; values whose ratio is at most `ceiling` are
    inside `low` to `high`, the interval of probability `level`. `closed` says that both ends lie within the range
    that the parameter may take."""

    name: str
    estimate: float
    values: FloatArray
    ratio: FloatArray
    ceiling: float
    low: float
    high: float
    level: float
    closed: bool


def parameter_profile(
    fit: Fit, rows: Observations, name: str, level: float = 0.95, num_values: int = 30
) -> ParameterProfile:
    """The profile of E or of an exponent of a fit with parameters, over its interval and somewhat beyond."""
    limits = (0.0, float(rows.loss.min()) * (1 - 1e-4)) if name == "E" else (0.0, LARGEST_EXPONENT)
    low, high = profile_ends(fit, rows, name, limits, level)
    beside = BESIDE * (high - low)
    estimate = fit.parameters[name]
    values, ratios = [np.array([estimate])], [np.ones(1)]
    for end, limit in ((max(low - beside, limits[0]), -1), (min(high + beside, limits[1]), 1)):
        walk = _Walk(fit, rows, name)  # outwards, so that each fit begins next to the one before
        side = np.linspace(estimate, end, num_values // 2 + 1)[1:]
        ratio = np.array([walk.objective(float(value)) / walk.least for value in side])
        values.insert(0 if limit < 0 else len(values), side[::limit])
        ratios.insert(0 if limit < 0 else len(ratios), ratio[::limit])
    return ParameterProfile(
        name,
        estimate,
        np.concatenate(values),
        np.concatenate(ratios),
        _ceiling(fit, rows, level),
        low,
        high,
        level,
        closed=low > limits[0] and high < limits[1],
    )


def profile_ends(
    fit: Fit, rows: Observations, name: str, limits: tuple[float, float], level: float = 0.95
) -> tuple[float, float]:
    """The least and the largest value between `limits` that a likelihood ratio of this level allows."""
    ceiling = _ceiling(fit, rows, level)
    low, high = (_end(fit, rows, name, ceiling, limit) for limit in limits)
    return min(low, high), max(low, high)


def _ceiling(fit: Fit, rows: Observations, level: float) -> float:
    """How many times the least objective is allowed."""
    freedom = max(len(rows) - len(fit.parameters), 1)
    clusters = rows.trajectory_index()
    alike = shared_correlation(fit.residuals, clusters)
    per_cluster = float(np.mean(np.bincount(clusters)[clusters]))
    independent = len(rows) / (1 + (per_cluster - 1) * alike)
    allowed = t_two_sided(level, freedom) ** 2 * GAUSSIAN
    # With a scale of its own for each value, twice the log likelihood ratio is 2 n log(J(value) / J).
    return float(np.exp(allowed / (2 * independent)))


def _end(fit: Fit, rows: Observations, name: str, ceiling: float, limit: float) -> float:
    """The last value towards `limit` whose objective is at most `ceiling` times the least; steps double, then halve."""
    walk = _Walk(fit, rows, name)
    inside = fit.parameters[name]
    step = (limit - inside) / FIRST_STEPS
    while True:
        there = inside + step if abs(step) < abs(limit - inside) else limit
        if walk.objective(there) > ceiling * walk.least:
            outside = there
            break
        inside, step = there, 2 * step
        if there == limit:
            return limit
    # An estimate may be zero, at its bound, and halves of an interval never are.
    while abs(outside - inside) > PRECISION * max(abs(fit.parameters[name]), abs(limit)):
        middle = (inside + outside) / 2
        if walk.objective(middle) > ceiling * walk.least:
            outside = middle
        else:
            inside = middle
    return inside


class _Walk:
    """The objective of the fit at one value of a parameter after another, each fit begun where the last ended.

    E, and the exponents of a sum of powers, are coordinates of the surface but for a factor, so that one is held.
    """

    def __init__(self, fit: Fit, rows: Observations, name: str) -> None:
        self._surface, self._place = fit.law.surface(rows), fit.law.parameter_names.index(name)
        self._weights, self._delta = rows.weights, fit.objective.delta
        self._estimate = self._surface.from_raw(fit.theta)
        one = fit.theta
        one[self._place] = 1.0
        self._unit = self._surface.from_raw(one)[self._place]
        self._last = self._estimate
        residuals = self._surface.residuals(self._estimate[None])
        self.least = max(float(huber_sums(residuals, self._weights, self._delta)[0]), LEAST_OBJECTIVE)

    def objective(self, value: float) -> float:
        """The least sum of Huber losses with this value of the parameter."""
        starts = np.stack([self._last, self._estimate])
        starts[:, self._place] = held = value * self._unit
        lower, upper = self._surface.lower.copy(), self._surface.upper.copy()
        lower[self._place] = upper[self._place] = held
        found = polish(self._surface, starts, self._weights, self._delta, lower=lower, upper=upper, tolerance=TOLERANCE)
        best = int(np.argmin(found.values))
        self._last = found.coords[best]
        return max(float(found.values[best]), LEAST_OBJECTIVE)
