"""How much compute one recipe is worth in another: L_A*(m C) = L_B*(C), with what the two share in noise.

Each recipe has its own Chinchilla law; m is the effective-compute multiplier of B over A at a budget C. Where the
rows of one lie on one line through N and D, such as 20 tokens per parameter, both are read along it. Points of the
two that share seed and data order share noise, which cancels in the ratio: the covariance of the two fits has a block
for it, and an interval without that block would be too wide. The law of both is fitted by the same M-estimator, and a
function of two estimates has the variance of its gradient (delta method).

Legend: n, m rows of A and B; P coordinates of a law, Q of both; K budgets.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from scaling.laws.decide import TRAINING, cheapest, loss_at
from scaling.laws.design import Noise, psi_moments
from scaling.laws.distributions import t_two_sided
from scaling.laws.fit import Fit, fit_law
from scaling.laws.forms import CHINCHILLA, Law
from scaling.laws.line import Line, line_of, under_six
from scaling.laws.noise import Linearised, huber_moments, linearise, shared_correlation
from scaling.laws.observations import FloatArray, IntArray, Observations
from scaling.laws.surface import Surface

STEP = 1e-4
MIN_PAIRS = 8  # below, a correlation of residuals is a guess and pairing is not used
VERDICT_LEVEL = 0.95
NEAR = 0.05  # in ln C, for the slope at the reference
NARROWER, FARTHEST = 60, 80.0  # bisections of ln C, within so many e-folds of the budget
Function = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]


@dataclass(frozen=True)
class Pairs:
    """Which rows share their noise.

    Attributes:
        rows: row of A and row of B of the same cell, seed and data order, [p, 2].
        runs: for each row of A, [n], and of B, [m], the number of the pair of trajectories it belongs to; -1 for none.
    """

    rows: IntArray
    runs_a: IntArray
    runs_b: IntArray


@dataclass(frozen=True)
class Gap:
    """ln m at one budget with its standard deviation; infinite where A never reaches B's loss, or B's beats it so."""

    flops: float
    log_multiplier: float
    sd: float


@dataclass(frozen=True)
class Multiplier:
    """The comparison of B with A.

    Attributes:
        gaps: by increasing budget.
        freedom: degrees of freedom of the intervals.
        correlation: of paired residuals; None where rows are not paired.
        num_pairs: rows that are.
        trend: d ln m / d ln C at the reference, and its standard deviation.
        reference: the gap at which the verdict is read.
        loss_gap: ln L_A* - ln L_B* there, and its standard deviation: finite where m is not.
        line: along which both are read, None where each is at its own optimum.
    """

    fit_a: Fit
    fit_b: Fit
    gaps: tuple[Gap, ...]
    freedom: float
    correlation: float | None
    num_pairs: int
    trend: tuple[float, float]
    reference: Gap
    loss_gap: tuple[float, float]
    line: Line | None

    def interval(self, gap: Gap, level: float) -> tuple[float, float]:
        """Give the ends of the interval of m at a budget."""
        half = self.t(level) * gap.sd
        if not math.isfinite(half):
            return 0.0, math.inf
        return math.exp(gap.log_multiplier - half), math.exp(min(gap.log_multiplier + half, 700.0))

    def t(self, level: float) -> float:
        """Give the quantile of Student's t for a two-sided interval."""
        return t_two_sided(level, self.freedom)

    @property
    def told_apart(self) -> bool:
        """Whether the losses at the reference differ, at `VERDICT_LEVEL`."""
        gap, sd = self.loss_gap
        return abs(gap) > self.t(VERDICT_LEVEL) * sd


def multiplier(
    a: Observations, b: Observations, flops: FloatArray, reference: float, pairs: Pairs | None = None
) -> Multiplier:
    """Compare B with A at budgets, [K].

    Raises:
        ValueError: one of the two carries no law that may be used.
    """
    line = common_line(a, b)
    sides = []
    for name, rows in (("a", a), ("b", b)):
        fit = _law_of(name, rows)
        surface = fit.law.surface(rows)
        coords = surface.from_raw(fit.theta)
        linear = linearise(surface, coords, rows.weights, fit.objective.delta, rows.trajectory_index())
        linear = replace(linear, covariance=linear.covariance * _few_trajectories(fit, rows))
        sides.append((fit, surface, coords, linear, rows))
    (fit_a, surface_a, at_a, linear_a, _), (fit_b, surface_b, at_b, linear_b, _) = sides
    laws = Budgeted(fit_a.law, line), Budgeted(fit_b.law, line)
    P, Q = len(at_a), len(at_a) + len(at_b)
    covariance = np.zeros((Q, Q))
    covariance[:P, :P], covariance[P:, P:] = linear_a.covariance, linear_b.covariance
    correlation = None
    if pairs is not None and len(pairs.rows) >= MIN_PAIRS:
        correlation, cross = _shared(fit_a, surface_a, at_a, linear_a, a, fit_b, surface_b, at_b, linear_b, b, pairs)
        cross = cross * math.sqrt(_few_trajectories(fit_a, a) * _few_trajectories(fit_b, b))
        covariance[:P, P:], covariance[P:, :P] = cross, cross.T
    budgets = np.append(np.asarray(flops, dtype=np.float64), reference)

    def gradients(function: Compared, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        def both(of_a: FloatArray, of_b: FloatArray, at: FloatArray) -> FloatArray:
            return function(of_a, of_b, at, laws)

        return _gradients(both, surface_a, at_a, surface_b, at_b, at)

    values, slopes = gradients(log_multiplier, budgets)
    gaps = [Gap(float(c), float(v), _sd(g, covariance)) for c, v, g in zip(budgets, values, slopes, strict=True)]
    (below, above), (left, right) = gradients(log_multiplier, reference * np.exp([-NEAR, NEAR]))
    trend = math.nan, math.inf
    if math.isfinite(below) and math.isfinite(above):
        trend = float((above - below) / (2 * NEAR)), _sd((right - left) / (2 * NEAR), covariance)
    (gap,), (slope,) = gradients(log_loss_gap, np.array([reference]))
    parts = _sd(slope[:P], linear_a.covariance) ** 2, _sd(slope[P:], linear_b.covariance) ** 2
    return Multiplier(
        fit_a=fit_a,
        fit_b=fit_b,
        gaps=tuple(gaps[:-1]),
        freedom=_freedom(parts, (_rows_worth(fit_a, a), _rows_worth(fit_b, b))),
        correlation=correlation,
        num_pairs=0 if pairs is None else len(pairs.rows),
        trend=trend,
        reference=gaps[-1],
        loss_gap=(float(gap), _sd(slope, covariance)),
        line=line,
    )


def _sd(slope: FloatArray, covariance: FloatArray) -> float:
    if not np.isfinite(slope).all():
        return math.inf
    return math.sqrt(max(float(slope @ covariance @ slope), 0.0))


def _freedom(variances: tuple[float, float], each: tuple[int, int]) -> float:
    """Give degrees of freedom of a sum of two variances (Welch 1947, Satterthwaite 1946).

    Pairs are not counted off: their covariance is estimated from the residuals of both, and simulation bears it out
    (docs/decide.md).
    """
    total = sum(variances)
    return total**2 / sum(v**2 / nu for v, nu in zip(variances, each, strict=True)) if total > 0 else float(min(each))


def _rows_worth(fit: Fit, rows: Observations) -> int:
    """Give degrees of freedom of one fit, rows of a trajectory counting for less by their correlation (Kish 1965)."""
    clusters = rows.trajectory_index()
    size = float(np.mean(np.bincount(clusters)))
    return max(int(len(rows) / (1 + (size - 1) * shared_correlation(fit.residuals, clusters))) - len(fit.theta), 2)


def _few_trajectories(fit: Fit, rows: Observations) -> float:
    """Give what a variance is short of where noise is shared within few trajectories, to each of which the law bends.

    G / (G - 1), the correction of cluster-robust variances (Cameron & Miller 2015, section VI.A), for the shared part.
    """
    clusters = rows.trajectory_index()
    return 1 + shared_correlation(fit.residuals, clusters) / max(int(clusters.max()), 1)


@dataclass(frozen=True)
class Budgeted:
    """A law as a function of compute: at the best N of each budget, or along a line.

    Attributes:
        law: Chinchilla's, or a power law along the line.
        line: None for the best N.
    """

    law: Law
    line: Line | None = None

    def loss(self, theta: FloatArray, flops: FloatArray) -> FloatArray:
        """Give the loss of vector i, [R, P], at budget i, [R]."""
        if self.line is None:
            params = np.asarray(self.law.optimal_params(theta, flops))
            return loss_at(theta, params, flops / TRAINING / params)
        at = self.line.along(flops)
        if self.law == CHINCHILLA:
            return loss_at(theta, at.params, at.tokens)
        floor, k, alpha = self._along(theta)
        return np.asarray(floor + np.exp(np.log(k) - alpha * np.log(getattr(at, self.line.variable))))

    def needed(self, theta: FloatArray, loss: FloatArray, near: FloatArray) -> FloatArray:
        """Give the compute at which vector i, [R, P], reaches loss i, [R]; infinite where it never does."""
        if self.line is None:
            return cheapest(theta, loss, 0.0)[1]
        low, high = np.log(near) - FARTHEST, np.log(near) + FARTHEST
        for _ in range(NARROWER):
            middle = (low + high) / 2
            above = self.loss(theta, np.exp(middle)) > loss
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        return np.where(high < np.log(near) + FARTHEST / 2, np.exp(high), np.inf)

    def _along(self, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Give E, k and alpha, [R] each."""
        *floor, k, alpha = np.moveaxis(theta, -1, 0)
        return (floor[0] if floor else np.zeros_like(k)), k, alpha


AT_THEIR_BEST = Budgeted(CHINCHILLA), Budgeted(CHINCHILLA)
Compared = Callable[[FloatArray, FloatArray, FloatArray, tuple[Budgeted, Budgeted]], FloatArray]


def common_line(a: Observations, b: Observations) -> Line | None:
    """Give the line along which two are compared: that of the one whose rows lie on one; None where neither's do.

    Raises:
        ValueError: they lie on two.
    """
    first, second = line_of(a), line_of(b)
    if first is not None and second is not None and not first.same(second):
        raise ValueError(
            f"the rows of a lie at {first.words} and those of b at {second.words}: neither says what the other's line "
            "would cost it; train one of the two on the other's line"
        )
    return first or second


def _law_of(name: str, rows: Observations) -> Fit:
    """Chinchilla's law, or that along the line of the rows: without its floor where that is at a bound."""
    line = line_of(rows)
    if line is None:
        fit = fit_law(CHINCHILLA, rows)
        if fit.usable:
            return fit
        raise ValueError(f"the law of {name} is {fit.status}: {fit.message}")
    fits = [fit_law(law, under_six(rows)) for law in line.forms]
    for fit, enough in zip(fits, (("converged", "unidentified"), ("converged",)), strict=True):
        if fit.parameters and fit.status in enough:
            return fit
    raise ValueError(f"the law of {name}, {line.title}, is {fits[0].status}: {fits[0].message}")


def log_multiplier(
    theta_a: FloatArray, theta_b: FloatArray, flops: FloatArray, laws: tuple[Budgeted, Budgeted] = AT_THEIR_BEST
) -> FloatArray:
    """Give ln m for vectors of parameters, [R, P] each, at budgets, [R]; infinite where A never reaches B's loss."""
    with np.errstate(all="ignore"):
        needed = laws[0].needed(theta_a, laws[1].loss(theta_b, flops), flops)
        return np.where(np.isfinite(needed), np.log(needed) - np.log(flops), np.inf)


def log_loss_gap(
    theta_a: FloatArray, theta_b: FloatArray, flops: FloatArray, laws: tuple[Budgeted, Budgeted] = AT_THEIR_BEST
) -> FloatArray:
    """Give ln L_A - ln L_B for vectors of parameters, [R, P] each, at budgets, [R]."""
    return np.asarray(np.log(laws[0].loss(theta_a, flops)) - np.log(laws[1].loss(theta_b, flops)))


def _gradients(
    function: Function, surface_a: Surface, at_a: FloatArray, surface_b: Surface, at_b: FloatArray, flops: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Give a function of both laws at budgets, [K], and its derivative by the coordinates of both, [K, Q]."""
    P, both = len(at_a), np.concatenate([at_a, at_b])
    steps = np.diag(STEP * np.maximum(np.abs(both), 1e-2))
    lanes = np.concatenate([both[None], both + steps, both - steps])  # [1 + 2 Q, Q]
    theta_a = np.repeat(surface_a.to_raw(lanes[:, :P]), len(flops), axis=0)
    theta_b = np.repeat(surface_b.to_raw(lanes[:, P:]), len(flops), axis=0)
    values = function(theta_a, theta_b, np.tile(flops, len(lanes))).reshape(len(lanes), len(flops))
    ahead, behind = values[1 : 1 + len(both)], values[1 + len(both) :]
    with np.errstate(invalid="ignore"):
        slopes = (ahead - behind) / (2 * np.diag(steps))[:, None]
    return values[0], np.where(np.isfinite(slopes), slopes, np.inf).T


def _shared(
    fit_a: Fit, surface_a: Surface, at_a: FloatArray, linear_a: Linearised, a: Observations,
    fit_b: Fit, surface_b: Surface, at_b: FloatArray, linear_b: Linearised, b: Observations,
    pairs: Pairs,
) -> tuple[float, FloatArray]:  # fmt: skip
    """Give the correlation of paired residuals, and the covariance of the two fits' coordinates, [P, P]."""
    r_a, r_b = fit_a.residuals, fit_b.residuals
    i, j = pairs.rows.T
    scale = math.sqrt(float(np.mean(r_a[i] ** 2) * np.mean(r_b[j] ** 2)))
    same = float(np.clip(np.mean(r_a[i] * r_b[j]) / scale, 0.0, 0.99))
    # Rows of one pair of trajectories that are no pair themselves: by sums over each, since they are [n, m].
    inside = (pairs.runs_a[i] == pairs.runs_b[j]) & (pairs.runs_a[i] >= 0)
    num_runs = 1 + max(int(pairs.runs_a.max()), int(pairs.runs_b.max()))

    def across_runs(of_a: FloatArray, of_b: FloatArray) -> FloatArray:
        whole = _run_sums(of_a, pairs.runs_a, num_runs) @ _run_sums(of_b, pairs.runs_b, num_runs).T
        return np.asarray(whole - of_a[:, i[inside]] @ of_b[:, j[inside]].T)

    count = float(across_runs(np.ones_like(r_a)[None], np.ones_like(r_b)[None])[0, 0])
    product = float(across_runs(r_a[None], r_b[None])[0, 0])
    across = float(np.clip(product / count / scale, 0.0, same)) if count else 0.0
    noise = math.sqrt(linear_a.noise * linear_b.noise)
    reach_a = _reach(surface_a, at_a, a.weights, linear_a.noise, fit_a.objective.delta)
    reach_b = _reach(surface_b, at_b, b.weights, linear_b.noise, fit_b.objective.delta)
    covariance = _psi_correlation(noise, across) * across_runs(reach_a, reach_b)
    return same, covariance + _psi_correlation(noise, same) * (reach_a[:, i] @ reach_b[:, j].T)


def _run_sums(values: FloatArray, runs: IntArray, num_runs: int) -> FloatArray:
    """Give the sum over the rows of each run, [P, runs], of values, [P, n]; rows of run -1 belong to none."""
    named = runs >= 0
    return np.stack([np.bincount(runs[named], weights=row[named], minlength=num_runs) for row in values])


def _psi_correlation(noise: float, correlation: float) -> float:
    return psi_moments(Noise(noise, correlation))[2] if 0 < noise < 1 else correlation


def _reach(surface: Surface, coords: FloatArray, weights: FloatArray, noise: float, delta: float) -> FloatArray:
    """Give how far each coordinate moves for one standard deviation of each row's psi, [P, n] (influence function)."""
    inside, second = huber_moments(noise, delta)
    pull = surface.expand(coords[None]).jacobian[0] * (weights / weights.mean())
    information = pull @ surface.expand(coords[None]).jacobian[0].T
    scale = 1 / np.sqrt(np.diag(information))
    inverse = np.linalg.pinv(information * np.outer(scale, scale), hermitian=True, rcond=1e-14) * np.outer(scale, scale)
    return np.asarray(math.sqrt(second) / inside * inverse @ pull)
