"""Depth against width at about one N: the log loss as a curve in x, the log of d_model / num_layers.

The curve is a cubic, since too shallow seldom costs as much as too deep; of few ratios or runs a parabola. Losses are
compared within their cell (about one N, one budget). Points of one run share their seed and most of their steps, so a
run counts once, by the mean of its losses and of its rows of the design: exact where every run has the same budgets.
What the curve leaves over is noise of runs, or what a size is off it for other reasons; where the second is larger (an
F test at `POOL`), it is sizes and not runs that the degrees of freedom count.

Legend: n losses, G runs, P coefficients of the curve.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from scaling.laws.distributions import f_tail, t_two_sided
from scaling.laws.noise import EXACT, shared_correlation
from scaling.laws.observations import FloatArray, IntArray

POOL = 0.25  # two sources of noise are pooled unless they differ at this level (Bancroft 1964)
ALIKE = 1e-9  # relative: a direction of the design below is none
STEPS = 400  # of a search over the measured ratios
MIN_RATIOS, MIN_FREEDOM = 5, 3  # for a cubic, the second beside it
ODD = 0.005  # of a clean study: probability that the noise of the others is said not to explain some run
MOST_ODD = 0.2  # of the runs
Kind = Literal["inside", "below", "above", "flat", "no valley"]


class TooFewShapes(ValueError):
    """No curve, or nothing left to tell its noise by; the message says what to add."""


@dataclass(frozen=True)
class Estimate:
    """A number with the ends of its interval; None for an end that is not known."""

    value: float
    low: float | None
    high: float | None

    def through(self, function: Callable[[float], float]) -> "Estimate":
        """Return an increasing function of it."""
        low, high = (None if end is None else function(end) for end in (self.low, self.high))
        return Estimate(function(self.value), low, high)


@dataclass(frozen=True)
class Shaped:
    """The rows of the design, [n]: x, and numbers from 0 for a row's size, its cell and its run."""

    x: FloatArray
    size: IntArray
    cell: IntArray
    run: IntArray


@dataclass(frozen=True)
class Valley:
    """ln loss = a number of the cell + coefficients times x - centre, its square and perhaps its cube.

    Attributes:
        coefficients: [P].
        covariance: of these, [P, P].
        freedom: its degrees of freedom.
        ends: the least and the largest x that was measured.
        level: probability of the intervals.
        effect: probability of so large an effect of the shape if it had none (F test).
        misfit: probability of sizes so far off the curve if that were right; None where nothing can tell.
    """

    centre: float
    coefficients: FloatArray
    covariance: FloatArray
    freedom: int
    ends: tuple[float, float]
    level: float
    effect: float
    misfit: float | None

    @property
    def kind(self) -> Kind:
        """Whether the best ratio lies inside what was measured or beyond an end of it, or that no shape is told from
        another."""
        if self.effect > 1 - self.level:
            return "flat"
        first, last = self._slopes(np.array(self.ends))[0]
        at = self._least
        if self.ends[0] < at < self.ends[1]:
            return "inside"
        if first > 0 > last:
            return "no valley"
        return "below" if at == self.ends[0] else "above"

    @property
    def best(self) -> Estimate | None:
        """Return the best x and its interval: up to where the curve is seen to fall towards it and to rise from it, as
        Fieller (1954) for a parabola. An end is None where nothing of that is seen.

        Where the curve only falls, or only rises, the best is the end of what was measured. Where it rises and falls
        again there is none.
        """
        if self.kind == "no valley":
            return None
        at, x = self._least, np.linspace(*self.ends, 10 * STEPS + 1)
        slopes, half = self._slopes(x)
        falls, rises = x[(x <= at) & (slopes < -half)], x[(x >= at) & (slopes > half)]
        low, high = (float(falls[-1]) if len(falls) else None), (float(rises[0]) if len(rises) else None)
        return Estimate(at, low, high)

    def curve(self, x: FloatArray) -> FloatArray:
        """Return the curve at x, without the number of any cell."""
        return np.asarray(_powers(x - self.centre, len(self.coefficients)) @ self.coefficients)

    def cost(self, x: float) -> Estimate:
        """Return how far the log loss at x lies above its least within what was measured."""
        value, half = self._above(x, np.linspace(*self.ends, STEPS + 1))
        low, high = max(float((value - half).max()), 0.0), float((value + half).max())
        return Estimate(max(float(value.max()), 0.0), low, high)

    def band(self, loss: float) -> tuple[float | None, float | None]:
        """Return the least and the largest x about the best that cost less than so much log loss; None beyond what was
        measured."""
        x = np.linspace(*self.ends, 10 * STEPS + 1)
        curve = self.curve(x)
        at = int(curve.argmin())
        dear = np.flatnonzero(curve - curve[at] > loss)
        below, above = dear[dear < at], dear[dear > at]
        return float(x[below[-1]]) if len(below) else None, float(x[above[0]]) if len(above) else None

    @property
    def largest(self) -> float:
        """Return what any two of the measured ratios differ by at most in the log loss: an upper end at `level`."""
        x = np.linspace(*self.ends, 41)
        return max(float((value + half).max()) for value, half in (self._above(at, x) for at in x))

    @property
    def _least(self) -> float:
        """The x of the least log loss within what was measured."""
        slopes = np.roots((self.coefficients * np.arange(1, len(self.coefficients) + 1))[::-1])
        turns = [self.centre + float(root.real) for root in slopes if not root.imag]
        inside = [turn for turn in turns if self.ends[0] < turn < self.ends[1]]
        return min((*self.ends, *inside), key=lambda x: float(self.curve(np.array([x]))[0]))

    def _slopes(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return how steep the curve is at each x, [m], and half the widths of the intervals, [m]."""
        u, count = x - self.centre, len(self.coefficients)
        along = np.stack([power * u ** (power - 1) for power in range(1, count + 1)], axis=1)
        return np.asarray(along @ self.coefficients), self._half(along)

    def _above(self, x: float, others: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return how far x lies above each of other x, [m], and half the widths of the intervals, [m]."""
        count = len(self.coefficients)
        away = _powers(np.array([x - self.centre]), count) - _powers(others - self.centre, count)
        return np.asarray(away @ self.coefficients), self._half(away)

    def _half(self, rows: FloatArray) -> FloatArray:
        """Half the width of the interval of each combination of the coefficients, [m, P]."""
        sd = np.sqrt(np.einsum("mi,ij,mj->m", rows, self.covariance, rows))
        return np.asarray(t_two_sided(self.level, self.freedom) * sd)


def fit_valley(design: Shaped, log_loss: FloatArray, level: float = 0.95) -> Valley:
    """Fit the curve that all cells share to log losses, [n].

    Raises:
        TooFewShapes: no cell has three ratios, or the runs leave nothing over.
    """
    shared = 0.0
    if len(np.unique(np.bincount(design.run))) > 1:  # else every run has the same weight, whatever they share
        rows = Shaped(design.x, design.size, design.cell, np.arange(len(design.x)))
        cells, curve = _columns(rows, 0.0)
        shared = shared_correlation(_left_over(log_loss, np.hstack([cells, curve]))[0], design.run)
    cells, curve = _columns(design, shared)
    losses = _by_run(design, log_loss[:, None], shared)[:, 0]
    rest, rank = _left_over(np.column_stack([losses, curve]), cells)
    own, bends = rest[:, 0], rest[:, 1:]
    covariance, freedom = _inverse(bends), _freedom(bends, rank)
    coefficients = covariance @ bends.T @ own
    left = float(np.sum((own - bends @ coefficients) ** 2))
    variance, misfit = left / freedom, None
    within, full = _left_over(losses, np.hstack([cells, _by_run(design, _one_hot(design.size), shared)]))
    pure, pure_freedom = float(np.sum(within**2)), len(losses) - full
    off, off_freedom = max(left - pure, 0.0), freedom - pure_freedom
    if pure_freedom > 0 and off_freedom > 0:
        misfit = f_tail(off / off_freedom / max(pure / pure_freedom, EXACT**2), off_freedom, pure_freedom)
        if misfit < POOL:
            variance, freedom = off / off_freedom, off_freedom
    variance = max(variance, EXACT**2)
    explained = float(np.sum((bends @ coefficients) ** 2)) / len(coefficients)
    return Valley(
        centre=_middle(design),
        coefficients=coefficients,
        covariance=variance * covariance,
        freedom=freedom,
        ends=(float(design.x.min()), float(design.x.max())),
        level=level,
        effect=f_tail(explained / variance, len(coefficients), freedom),
        misfit=misfit,
    )


def odd_runs(design: Shaped, log_loss: FloatArray) -> list[int]:
    """Return the runs whose distance from the curve of the others their noise does not explain, the farthest first.

    Externally studentised residuals, one after another, by Student's t after Bonferroni (Cook & Weisberg 1982, section
    2.2.2).
    """
    columns = np.hstack(_columns(design, 0.0))
    losses = _by_run(design, log_loss[:, None], 0.0)[:, 0]
    left, odd = np.arange(len(losses)), list[int]()
    while len(odd) < int(MOST_ODD * len(losses)):
        rest, rank = _left_over(
            np.column_stack([losses, np.eye(len(losses))])[left][:, [0, *(1 + left)]], columns[left]
        )
        squares, alone = rest[:, 0] ** 2, np.diag(rest[:, 1:])  # one less its own pull on the curve
        freedom = len(left) - rank - 1
        if freedom < MIN_FREEDOM:
            break
        own = squares / np.maximum(alone, ALIKE)
        others = np.maximum(squares.sum() - own, freedom * EXACT**2) / freedom
        ratio = np.where(alone > ALIKE, own / others, 0.0)
        worst = int(ratio.argmax())
        if f_tail(float(ratio[worst]), 1, freedom) * len(left) > ODD:
            break
        odd.append(int(left[worst]))
        left = np.delete(left, worst)
    return odd


def valley_sd(design: Shaped, relative_sd: float, shared: float, bend: float) -> tuple[float, float, int]:
    """Return what is expected before any loss is measured: the standard deviation of the best x where the log loss
    rises by bend (x - best)^2 about the middle of what is measured, that of the log loss between the middle and an end,
    and the degrees of freedom.

    Args:
        relative_sd: standard deviation of the log loss over seeds.
        shared: correlation of two losses of one run.

    Raises:
        TooFewShapes: as `fit_valley`.
    """
    cells, curve = _columns(design, shared)
    bends, rank = _left_over(curve, cells)
    covariance = relative_sd**2 * _inverse(bends)
    half = (float(design.x.max()) - float(design.x.min())) / 2
    ends = _powers(np.array([half, -half]), bends.shape[1])
    end = float(np.einsum("mi,ij,mj->m", ends, covariance, ends).max())
    return math.sqrt(covariance[0, 0]) / (2 * bend), math.sqrt(end), _freedom(bends, rank)


def _inverse(bends: FloatArray) -> FloatArray:
    if np.linalg.matrix_rank(bends, tol=ALIKE * len(bends)) < bends.shape[1]:
        raise TooFewShapes("no cell has losses at three ratios of d_model / num_layers: measure more shapes of one N")
    return np.asarray(np.linalg.inv(bends.T @ bends))


def _freedom(bends: FloatArray, rank: int) -> int:
    freedom: int = len(bends) - rank - bends.shape[1]
    if freedom < 1:
        raise TooFewShapes(
            f"{len(bends)} runs leave nothing over to tell the noise of a curve by: add shapes, or a seed of each"
        )
    return freedom


def _middle(design: Shaped) -> float:
    return float(np.mean([design.x.min(), design.x.max()]))


def _powers(u: FloatArray, count: int) -> FloatArray:
    """u and its powers, [m, count]."""
    return np.asarray(u[:, None] ** np.arange(1, count + 1))


def _one_hot(numbers: IntArray) -> FloatArray:
    return np.asarray(numbers[:, None] == np.unique(numbers), dtype=np.float64)


def _columns(design: Shaped, shared: float) -> tuple[FloatArray, FloatArray]:
    """Return the columns of the cells, [G, cells], and of the curve about the middle, [G, P]."""
    cells = _by_run(design, _one_hot(design.cell), shared)
    curve = _by_run(design, _powers(design.x - _middle(design), 3), shared)
    rest, rank = _left_over(curve, cells)
    enough = len(np.unique(design.x.round(9))) >= MIN_RATIOS and len(rest) - rank - 3 >= MIN_FREEDOM
    cubic = enough and np.linalg.matrix_rank(rest, tol=ALIKE * len(rest)) == 3
    return cells, curve if cubic else curve[:, :2]


def _by_run(design: Shaped, rows: FloatArray, shared: float) -> FloatArray:
    """Return the mean of the rows, [n, m], of each run, [G, m], so scaled that its noise is that of one loss; two
    losses of a run correlate by `shared`."""
    counts = np.bincount(design.run)[:, None]
    sums = np.zeros((len(counts), rows.shape[1]))
    np.add.at(sums, design.run, rows)
    return np.asarray(sums / counts / np.sqrt(shared + (1 - shared) / counts))


def _left_over(values: FloatArray, columns: FloatArray) -> tuple[FloatArray, int]:
    """Return what no combination of columns, [G, m], makes of values, [G] or [G, v], and the rank of the columns."""
    solved, _, rank, _ = np.linalg.lstsq(columns, values, rcond=None)
    return np.asarray(values - columns @ solved), int(rank)
