"""How well rows pin the floor E: by their noise, by the form that is assumed, and by which rows are asked.

A law with a free E fits well with a wrong one: small residuals say little about where its curves level off. So three
doubts are put together. Noise: the profile of the objective in E, all other parameters fitted anew at each value, cut
where a likelihood ratio allows it, with rows of one trajectory counted as far as they are independent. Form: the same
for every form with a floor. Rows: the E of fits without the smallest size, and without the smallest budget, since a
law that holds should not care.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from scaling.laws.fit import Fit, fit_law
from scaling.laws.forms import CHINCHILLA, TIED, Law
from scaling.laws.joint import INTERACTION
from scaling.laws.noise import shared_correlation
from scaling.laws.objective import DELTA
from scaling.laws.observations import FloatArray, Observations

FORMS: tuple[Law, ...] = (CHINCHILLA, TIED, INTERACTION)
FIRST_STEPS = 40  # of the way to the limit is the profile's first step
# Least absolute deviations under Gaussian noise: variance of the estimate over what a Laplace likelihood takes it for
# (Koenker & Machado 1999, the quantile regression's likelihood-ratio test).
GAUSSIAN = float(np.pi / 2)
LARGEST = 1e9  # nats per token, beyond any loss
PRECISION = 1e-3  # relative, of the ends of a profile


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
    doubts = [_profiled(plain, rows, level)]
    doubts += [_profiled(fit, rows, level) for law in FORMS[1:] if (fit := fit_law(law, rows)).parameters]
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


def _profiled(fit: Fit, rows: Observations, level: float) -> FloorDoubt:
    low, high = profile(fit, rows, level)
    return FloorDoubt(fit.law.name, fit.parameters["E"], low, high)


def profile(fit: Fit, rows: Observations, level: float = 0.95) -> tuple[float, float]:
    """The least and the largest E that a likelihood ratio of this level allows, between 0 and the smallest loss."""
    freedom = max(len(rows) - len(fit.parameters), 1)
    _, clusters = np.unique(rows.trajectory, return_inverse=True)
    alike = shared_correlation(fit.residuals, clusters)
    per_cluster = float(np.mean(np.bincount(clusters)[clusters]))
    independent = len(rows) / (1 + (per_cluster - 1) * alike)
    allowed = float(stats.t.ppf((1 + level) / 2, freedom)) ** 2 * GAUSSIAN
    # With a scale of its own for each E, twice the log likelihood ratio is 2 n log(J(E) / J).
    ceiling = float(np.exp(allowed / (2 * independent)))
    low = _end(fit, rows, ceiling, 0.0)
    high = _end(fit, rows, ceiling, float(rows.loss.min()) * (1 - 1e-4))
    return min(low, high), max(low, high)


def _end(fit: Fit, rows: Observations, ceiling: float, limit: float) -> float:
    """The last E towards `limit` whose objective is at most `ceiling` times the least; steps double, then halve."""
    walk = _Walk(fit, rows)
    inside = fit.parameters["E"]
    step = (limit - inside) / FIRST_STEPS
    while True:
        there = inside + step if abs(step) < abs(limit - inside) else limit
        if walk.objective(there) > ceiling * walk.least:
            outside = there
            break
        inside, step = there, 2 * step
        if there == limit:
            return limit
    while abs(outside - inside) > PRECISION * abs(fit.parameters["E"]):
        middle = (inside + outside) / 2
        if walk.objective(middle) > ceiling * walk.least:
            outside = middle
        else:
            inside = middle
    return inside


class _Walk:
    """The objective at one E after another, each fit begun where the last ended."""

    def __init__(self, fit: Fit, rows: Observations) -> None:
        self._law, self._rows = fit.law, rows
        self._place = fit.law.parameter_names.index("E")
        theta = fit.theta
        # A coefficient or an exponent of zero stays there: its term is not in the law.
        self._free = np.array([i for i, value in enumerate(theta) if i != self._place and value > 0])
        self._theta = theta
        self._log = np.log(theta[self._free])
        self.least = self._sum(self._residuals(theta))

    def objective(self, floor: float) -> float:
        """The least sum of Huber losses with this E."""

        def residuals(log: FloatArray) -> FloatArray:
            return self._residuals(self._with(floor, log))

        def slopes(log: FloatArray) -> FloatArray:
            return self._slopes(self._with(floor, log))

        found = optimize.least_squares(
            residuals,
            self._log,
            jac=slopes,
            loss="huber",
            f_scale=DELTA,
            max_nfev=200,
        )
        self._log = found.x
        return self._sum(self._residuals(self._with(floor, found.x)))

    def _with(self, floor: float, log: FloatArray) -> FloatArray:
        theta = self._theta.copy()
        theta[self._place] = floor
        theta[self._free] = np.exp(np.clip(log, -200.0, 200.0))
        return theta

    def _residuals(self, theta: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):  # far from the optimum
            values = np.log(np.minimum(self._law.predict(theta, self._rows), LARGEST)) - np.log(self._rows.loss)
        return np.asarray(values * np.sqrt(self._rows.weights))

    def _slopes(self, theta: FloatArray) -> FloatArray:
        """Derivatives of the residuals by the logarithms of the free parameters, [n, P]."""
        with np.errstate(over="ignore", invalid="ignore"):
            gradient = self._law.gradient(theta, self._rows)[self._free] * theta[self._free][:, None]
            slopes = gradient / self._law.predict(theta, self._rows) * np.sqrt(self._rows.weights)
        return np.asarray(np.nan_to_num(slopes.T, posinf=0.0, neginf=0.0))

    @staticmethod
    def _sum(residuals: FloatArray) -> float:
        size = np.abs(residuals)
        return float(np.where(size <= DELTA, 0.5 * size**2, DELTA * (size - 0.5 * DELTA)).sum())
