"""A bounded Newton method for many fits side by side (lanes: starts of one fit, or resamples of its rows).

The Huber loss with a small delta is nearly an absolute value: its second derivative sees only the few rows
    within delta, and
gradient descent crawls. The step here solves (H + damping * M) step = -gradient with the exact Hessian H and
the metric M = sum w delta / max(|r|, delta) g g', the majoriser of the Huber loss (iteratively reweighted
least squares, Huber 1981, section 7.8). Far away the step is that of the majoriser, which descends; near the
optimum it is Newton's, which converges quadratically. Nothing depends on the scale of the objective, so
neither does the answer.

Beyond `BLOCK_ROWS` rows the sums are taken over blocks of them, each small enough for the cache: what a million rows
take is then their own columns, and not a few dozen arrays as long.
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np

from scaling.laws.objective import huber_sums
from scaling.laws.observations import BoolArray, FloatArray, IntArray
from scaling.laws.surface import Surface

MAX_ITERATIONS = 200
TOLERANCE = 1e-13  # stop when the Newton decrement is below this share of the objective
ABSOLUTE = 1e-32  # of a residual, squared: the rounding of a perfect fit
BLOCK_ROWS = 1 << 13  # OpenBLAS splits dot products beyond 10,000 numbers among threads, which cost more than they save

Blocks = list[tuple[slice, Surface]]


@dataclass(frozen=True)
class Polished:
    """Where each lane came to rest.

    Attributes:
        coords: [S, P].
        values: objective, [S].
        iterations: steps tried, [S].
        settled: whether the tolerance was met, [S].
    """

    coords: FloatArray
    values: FloatArray
    iterations: IntArray
    settled: BoolArray


def polish(
    surface: Surface,
    coords: FloatArray,
    weights: FloatArray,
    delta: float,
    *,
    lower: FloatArray | None = None,
    upper: FloatArray | None = None,
    max_iterations: int = MAX_ITERATIONS,
    tolerance: float = TOLERANCE,
) -> Polished:
    """Minimise the objective from each row of coords, [S, P], under weights, [S, n] or [n].

    lower and upper, [P] or [S, P], replace the surface's own bounds; equal bounds hold a coordinate fixed.
    """
    S, P = coords.shape
    low = np.broadcast_to(surface.lower if lower is None else lower, (S, P))
    high = np.broadcast_to(surface.upper if upper is None else upper, (S, P))
    lane_weights = np.broadcast_to(weights, (S, surface.num_rows))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a lane off the law's domain scores infinity
        return _polish(surface, np.clip(coords, low, high), low, high, lane_weights, delta, max_iterations, tolerance)


def _polish(
    surface: Surface,
    coords: FloatArray,
    low: FloatArray,
    high: FloatArray,
    lane_weights: FloatArray,
    delta: float,
    max_iterations: int,
    tolerance: float,
) -> Polished:
    S = len(coords)
    blocks = _blocks(surface)
    values = _values(blocks, coords, lane_weights, delta)
    floor = ABSOLUTE * lane_weights.sum(axis=1)
    damping = np.full(S, 0.1)
    iterations = np.zeros(S, dtype=np.int64)
    settled = np.zeros(S, dtype=np.bool_)
    live = np.flatnonzero(np.isfinite(values))
    for _ in range(max_iterations):
        if not live.size:
            break
        here, w = coords[live], _lanes(lane_weights, live)
        gradient, hessian = _derivatives(blocks, here, w, delta, damping[live])
        step = _bounded_step(here, gradient, hessian, low[live], high[live])
        there = np.clip(here + step, low[live], high[live])
        move = there - here
        slope = np.einsum("sp,sp->s", gradient, move)
        predicted = -slope - 0.5 * np.einsum("sp,spq,sq->s", move, hessian, move)
        new = _values(blocks, there, w, delta)
        old = values[live]
        gain = old - np.minimum(new, 1e300)  # a step off the law's domain is very bad, not infinitely
        better = gain > 0
        coords[live] = np.where(better[:, None], there, here)
        values[live] = np.where(better, new, old)
        iterations[live] += 1
        agreement = gain / np.where(predicted > 0, predicted, np.inf)
        shrink, keep = better & (agreement > 0.5), better & (agreement > 0.1)
        factor = np.where(shrink, 0.2, np.where(keep, 1.0, 4.0))
        damping[live] = np.clip(damping[live] * factor, 1e-8, 1e12)
        done = np.abs(slope) <= tolerance * old + floor[live]
        settled[live] = done
        hopeless = ~better & (damping[live] >= 1e9)  # rounding: no shorter step improves either
        live = live[~(done | hopeless)]
    return Polished(coords, values, iterations, settled)


def _blocks(surface: Surface) -> Blocks:
    """The rows a cache-full at a time; a table that is small enough stays whole, and its sums as they are."""
    if surface.num_rows <= BLOCK_ROWS:
        return [(slice(None), surface)]
    cuts = [slice(begin, begin + BLOCK_ROWS) for begin in range(0, surface.num_rows, BLOCK_ROWS)]
    return [(cut, surface.rows(cut)) for cut in cuts]


def _lanes(lane_weights: FloatArray, live: IntArray) -> FloatArray:
    """The weights of some lanes; without a copy where all lanes, or all that are left, have the same."""
    if live.size == len(lane_weights) or lane_weights.strides[0] == 0:
        return lane_weights[: live.size]
    return lane_weights[live]


def _values(blocks: Blocks, coords: FloatArray, weights: FloatArray, delta: float) -> FloatArray:
    """Give the objective, [S]."""
    parts = [huber_sums(part.residuals(coords), weights[:, cut], delta) for cut, part in blocks]
    return reduce(np.add, parts)


def _derivatives(
    blocks: Blocks, coords: FloatArray, weights: FloatArray, delta: float, damping: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Give gradient, [S, P], and damped Hessian, [S, P, P], of the objective."""
    parts = [_block_derivatives(part, coords, weights[:, cut], delta, damping) for cut, part in blocks]
    gradients, hessians = zip(*parts, strict=True)
    return reduce(np.add, gradients), reduce(np.add, hessians)


def _block_derivatives(
    surface: Surface, coords: FloatArray, weights: FloatArray, delta: float, damping: FloatArray
) -> tuple[FloatArray, FloatArray]:
    expansion = surface.expand(coords)
    size = np.abs(expansion.residuals)
    psi = np.clip(expansion.residuals, -delta, delta)
    pull = weights * psi
    jacobian = expansion.jacobian
    gradient = -np.matmul(jacobian, pull[:, :, None])[:, :, 0]
    # d2 log f = d2f / f - g g': the second part joins the Gauss-Newton sum.
    inner = weights * ((size < delta) + psi + damping[:, None] * (delta / np.maximum(size, delta)))
    hessian = np.matmul(jacobian * inner[:, None, :], jacobian.transpose(0, 2, 1))
    hessian -= surface.curvature(coords, expansion, pull)
    return gradient, hessian


def _bounded_step(
    coords: FloatArray, gradient: FloatArray, hessian: FloatArray, lower: FloatArray, upper: FloatArray
) -> FloatArray:
    """Solve for the Newton step over the coordinates that are free to move; zero for those pressed against a
    bound."""
    pressed = ((coords <= lower) & (gradient > 0)) | ((coords >= upper) & (gradient < 0)) | (lower >= upper)
    diagonal = np.abs(np.einsum("spp->sp", hessian))
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = hessian / (scale[:, :, None] * scale[:, None, :])
    scaled[pressed[:, :, None] | pressed[:, None, :]] = 0.0
    identity = np.eye(coords.shape[1])
    scaled += identity * (1e-12 + pressed[:, None, :])
    right = np.where(pressed, 0.0, -gradient / scale)
    try:
        solution = np.linalg.solve(scaled, right[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:  # one lane is exactly singular: damp them all
        solution = np.linalg.solve(scaled + 0.1 * identity, right[:, :, None])[:, :, 0]
    step = solution / scale
    return np.asarray(np.where(np.isfinite(step), step, 0.0))
