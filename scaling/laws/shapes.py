"""Depth against width at about one N: the log loss as a parabola in x, the log of d_model / num_layers.

Losses are compared within their cell (about one N, one budget). Points of one run share their seed and most of their
steps, so a run counts once, by the mean of its losses and of its rows of the design: exact where every run has the same
budgets. What the parabola leaves over is noise of runs, or what a size is off a parabola for other reasons; where the
second is larger (an F test at `POOL`), it is sizes and not runs that the degrees of freedom count.

Legend: n losses, G runs.
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
Kind = Literal["inside", "below", "above", "flat", "no valley"]


class TooFewShapes(ValueError):
    """No parabola, or nothing left to tell its noise by; the message says what to add."""


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
    """ln loss = a number of the cell + slope (x - centre) + bend (x - centre)^2.

    Attributes:
        covariance: of slope and bend, [2, 2].
        freedom: its degrees of freedom.
        ends: the least and the largest x that was measured.
        level: probability of the intervals.
        effect: probability of so large an effect of the shape if it had none (F test).
        misfit: probability of sizes so far off a parabola if that were right; None where nothing can tell.
    """

    centre: float
    slope: float
    bend: float
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
        return "flat" if self.effect > 1 - self.level else self._where

    @property
    def best(self) -> Estimate | None:
        """Return the best x and the ends of its interval (Fieller 1954), None for an end beyond what was measured.

        Where the curve only falls, or only rises, the best is the end of what was measured. Where it rises and falls
        again there is none.
        """
        first, last = self.ends
        roots = [root for root in self._turns() if first < root < last]
        match self._where:
            case "inside":
                at = self.centre - self.slope / (2 * self.bend)
                below, above = [r for r in roots if r <= at], [r for r in roots if r > at]
                return Estimate(at, max(below, default=None), min(above, default=None))
            case "below":
                return Estimate(first, None, first if self._told(first) else min(roots, default=None))
            case "above":
                return Estimate(last, last if self._told(last) else max(roots, default=None), None)
        return None

    def curve(self, x: FloatArray) -> FloatArray:
        """Return the parabola at x, without the number of any cell."""
        return np.asarray(self.slope * (x - self.centre) + self.bend * (x - self.centre) ** 2)

    def cost(self, x: float) -> Estimate:
        """Return how far the log loss at x lies above its least within what was measured."""
        value, half = self._above(x, np.linspace(*self.ends, STEPS + 1))
        low, high = max(float((value - half).max()), 0.0), float((value + half).max())
        return Estimate(max(float(value.max()), 0.0), low, high)

    def band(self, loss: float) -> tuple[float | None, float | None]:
        """Return the least and the largest x that cost less than so much log loss; None beyond what was measured."""
        x = np.linspace(*self.ends, 10 * STEPS + 1)
        curve = self.curve(x)
        inside = np.flatnonzero(curve - curve.min() <= loss)
        low, high = int(inside[0]), int(inside[-1])
        return float(x[low]) if low else None, float(x[high]) if high < len(x) - 1 else None

    @property
    def largest(self) -> float:
        """Return what any two of the measured ratios differ by at most in the log loss: an upper end at `level`."""
        x = np.linspace(*self.ends, 41)
        return max(float((value + half).max()) for value, half in (self._above(at, x) for at in x))

    @property
    def _where(self) -> Kind:
        first, last = (self.slope + 2 * self.bend * (end - self.centre) for end in self.ends)
        if first < 0 < last:
            return "inside"
        if first > 0 > last:
            return "no valley"
        return "below" if last > 0 else "above"

    def _above(self, x: float, others: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return how far x lies above each of other x, [m], and half the widths of the intervals, [m]."""
        u, v = x - self.centre, others - self.centre
        away = np.stack([u - v, u * u - v * v], axis=1)
        half = np.sqrt(np.einsum("mi,ij,mj->m", away, self.covariance, away))
        return away @ np.array([self.slope, self.bend]), t_two_sided(self.level, self.freedom) * half

    def _told(self, x: float) -> bool:
        """Whether the curve is seen to rise, or to fall, at x."""
        along = np.array([1.0, 2 * (x - self.centre)])
        half = t_two_sided(self.level, self.freedom) * math.sqrt(float(along @ self.covariance @ along))
        return abs(float(along @ [self.slope, self.bend])) > half

    def _turns(self) -> list[float]:
        """Where the curve begins or ends to be seen to rise or to fall."""
        t = t_two_sided(self.level, self.freedom)
        (vs, vsb), (_, vb) = t * t * self.covariance
        squares = [4 * (self.bend**2 - vb), 4 * (self.slope * self.bend - vsb), self.slope**2 - vs]
        return [self.centre + float(root.real) for root in np.roots(squares) if not root.imag]


def fit_valley(design: Shaped, log_loss: FloatArray, level: float = 0.95) -> Valley:
    """Fit the parabola that all cells share to log losses, [n].

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
    covariance, freedom = _inverse(bends), _freedom(len(losses), rank)
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
    explained = float(np.sum((bends @ coefficients) ** 2)) / 2
    return Valley(
        centre=float(np.mean([design.x.min(), design.x.max()])),
        slope=float(coefficients[0]),
        bend=float(coefficients[1]),
        covariance=variance * covariance,
        freedom=freedom,
        ends=(float(design.x.min()), float(design.x.max())),
        level=level,
        effect=f_tail(explained / variance, 2, freedom),
        misfit=misfit,
    )


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
    ends = np.array([[half, half**2], [-half, half**2]])
    end = float(np.einsum("mi,ij,mj->m", ends, covariance, ends).max())
    return math.sqrt(covariance[0, 0]) / (2 * bend), math.sqrt(end), _freedom(len(bends), rank)


def _inverse(bends: FloatArray) -> FloatArray:
    if np.linalg.matrix_rank(bends, tol=ALIKE * len(bends)) < 2:
        raise TooFewShapes("no cell has losses at three ratios of d_model / num_layers: measure more shapes of one N")
    return np.asarray(np.linalg.inv(bends.T @ bends))


def _freedom(num_runs: int, rank: int) -> int:
    freedom = num_runs - rank - 2
    if freedom < 1:
        raise TooFewShapes(
            f"{num_runs} runs leave nothing over to tell the noise of a parabola by: add shapes, or a seed of each"
        )
    return freedom


def _one_hot(numbers: IntArray) -> FloatArray:
    return np.asarray(numbers[:, None] == np.unique(numbers), dtype=np.float64)


def _columns(design: Shaped, shared: float) -> tuple[FloatArray, FloatArray]:
    """Return the columns of the cells, [G, cells], and of x and its square about the middle, [G, 2]."""
    u = design.x - np.mean([design.x.min(), design.x.max()])
    return _by_run(design, _one_hot(design.cell), shared), _by_run(design, np.stack([u, u * u], axis=1), shared)


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
