"""The global optimum: an exhaustive outer search in the exponents, then a polish of the best starts to full
precision."""

from dataclasses import dataclass

import numpy as np

from scaling.laws.newton import polish
from scaling.laws.objective import huber_sums
from scaling.laws.observations import FloatArray, IntArray
from scaling.laws.surface import Surface

GRID_ROWS = 600  # rows that the outer search looks at; more would not move the best cells of its grid
BEST_STARTS = 6
SPREAD_STARTS = 8
BATCHES = 3
GRID_VALUES = 60
LAST_ITERATIONS = 2000
JITTER = 0.03
CLOSE = 1.3
MAX_CONTENDERS = 32
FIRST_ITERATIONS = 40  # most lanes settle in 15
LARGE_STARTS = 3
NEAR_STARTS = 5
NEAR_ROWS = 3_000  # as GRID_ROWS, of a fit that begins near another
AGREEMENT = 1e-9  # relative: two lanes below this apart have found the same minimum
WITNESSES = 3  # lanes that must agree on the best minimum before the search ends


@dataclass(frozen=True)
class Optimum:
    """The best minimum found.

    Attributes:
        coords: [P].
        value: the objective there.
        settled: whether the tolerance was met.
        starts: how many starts were polished.
        witnesses: how many of them ended in this minimum.
        pool: distinct minima and outer-search points, [G, P], best first: starts for related fits
            (resamples).
    """

    coords: FloatArray
    value: float
    settled: bool
    starts: int
    witnesses: int
    pool: FloatArray


def spread_rows(num_rows: int, at_most: int) -> IntArray:
    """Give at most `at_most` row numbers, evenly spread: a fixed sample of a large table."""
    return np.unique(np.linspace(0, num_rows - 1, min(num_rows, at_most)).astype(np.int64))


def search_near(surface: Surface, weights: FloatArray, delta: float, pool: FloatArray) -> Optimum:
    """Find the minimum from the best few points of another search, [G, P]: for the same law and nearly the same
    rows."""
    usable = np.clip(pool[np.isfinite(pool).all(axis=1)], surface.lower, surface.upper)
    part, part_weights = sampled(surface, weights, NEAR_ROWS)
    scores = huber_sums(part.residuals(usable), part_weights, delta)
    usable = usable[np.argsort(scores, kind="stable")]
    starts = usable[:NEAR_STARTS]
    if part is not surface:
        starts = settled(part, starts, part_weights, delta, FIRST_ITERATIONS)[:LARGE_STARTS]
    result = polish(surface, starts, weights, delta, max_iterations=FIRST_ITERATIONS)
    best = int(np.argmin(result.values))
    if not result.settled[best]:
        result = polish(surface, result.coords[[best]], weights, delta)
        best = 0
    return Optimum(
        coords=result.coords[best],
        value=float(result.values[best]),
        settled=bool(result.settled[best]),
        starts=len(result.values),
        witnesses=int(np.sum(result.values <= result.values[best] * (1 + AGREEMENT))),
        pool=np.concatenate([result.coords[[best]], usable]),
    )


def sampled(surface: Surface, weights: FloatArray, at_most: int) -> tuple[Surface, FloatArray]:
    """Give the surface over at most so many of its rows, with their weights; itself where it has no more."""
    if surface.num_rows <= at_most:
        return surface, weights
    sample = spread_rows(surface.num_rows, at_most)
    return surface.rows(sample), weights[sample]


def settled(surface: Surface, starts: FloatArray, weights: FloatArray, delta: float, max_iterations: int) -> FloatArray:
    """Give the distinct minima, best first, that starts end in; the starts themselves where none is on the domain."""
    result = polish(surface, starts, weights, delta, max_iterations=max_iterations)
    order = np.argsort(result.values, kind="stable")
    found = _distinct(result.coords[order], result.values[order])
    return found if len(found) else starts


def search(surface: Surface, weights: FloatArray, delta: float) -> Optimum:
    """Find the global minimum of the weighted Huber sum, weights being [n]."""
    large = surface.num_rows > GRID_ROWS
    sample = spread_rows(surface.num_rows, GRID_ROWS)
    part = surface.rows(sample) if large else surface
    part_weights = weights[sample]
    starts = part.starts(part_weights)
    scores = huber_sums(part.residuals(starts), part_weights, delta)
    by_score = np.argsort(scores, kind="stable")
    pool, scores = starts[by_score], scores[by_score]
    first_ranks = np.union1d(start_ranks(len(pool), 0), contenders(pool, scores))
    if large:  # settle the starts on the sample; all rows then see only the minima found there
        there = polish(part, pool[first_ranks], part_weights, delta, max_iterations=FIRST_ITERATIONS)
        order = np.argsort(there.values, kind="stable")
        found = _distinct(there.coords[order], there.values[order])[:LARGE_STARTS]
        result = polish(surface, found, weights, delta)
        best = int(np.argmin(result.values))
        return Optimum(
            coords=result.coords[best],
            value=float(result.values[best]),
            settled=bool(result.settled[best]),
            starts=len(there.values),
            witnesses=int(np.sum(there.values <= there.values.min() * (1 + AGREEMENT))),
            pool=np.concatenate([result.coords[[best]], pool]),
        )
    coords = np.empty((0, pool.shape[1]))
    values = np.empty(0)
    done = np.empty(0, dtype=np.bool_)
    tried = np.empty(0, dtype=np.int64)
    for batch in range(BATCHES):
        ranks = np.setdiff1d(start_ranks(len(pool), batch) if batch else first_ranks, tried)
        tried = np.union1d(tried, ranks)
        lanes = pool[ranks]
        if not len(lanes):
            break
        result = polish(surface, lanes, weights, delta, max_iterations=FIRST_ITERATIONS)
        coords = np.concatenate([coords, result.coords])
        values = np.concatenate([values, result.values])
        done = np.concatenate([done, result.settled])
        if np.sum(values <= values.min() * (1 + AGREEMENT)) >= WITNESSES:
            break
    if not done[np.argmin(values)]:  # a few slow lanes: only the best of them are worth the wait
        slow = np.argsort(values, kind="stable")[:WITNESSES]
        result = polish(surface, coords[slow], weights, delta)
        coords[slow], values[slow], done[slow] = result.coords, result.values, result.settled
    if np.sum(values <= values.min() * (1 + AGREEMENT)) < WITNESSES:  # a crooked valley: walk it from all around
        around = coords[np.argmin(values)] * (
            1 + JITTER * np.random.default_rng(0).standard_normal((32, coords.shape[1]))
        )
        result = polish(surface, around, weights, delta)
        coords = np.concatenate([coords, result.coords])
        values = np.concatenate([values, result.values])
        done = np.concatenate([done, result.settled])
    if not done[np.argmin(values)]:
        slow = np.argsort(values, kind="stable")[:WITNESSES]
        result = polish(surface, coords[slow], weights, delta, max_iterations=LAST_ITERATIONS)
        coords[slow], values[slow], done[slow] = result.coords, result.values, result.settled
    order = np.argsort(values, kind="stable")
    best = int(order[0])
    return Optimum(
        coords=coords[best],
        value=float(values[best]),
        settled=bool(done[best]),
        starts=len(values),
        witnesses=int(np.sum(values <= values[best] * (1 + AGREEMENT))),
        pool=np.concatenate([_distinct(coords[order], values[order]), pool]),
    )


def start_ranks(num_starts: int, batch: int) -> IntArray:
    """Give the ranks to polish up to this batch: the best few, then sparser and sparser down to the poor."""
    best = np.arange(min(BEST_STARTS, num_starts))
    if num_starts <= BEST_STARTS:
        return best
    worst = max(BEST_STARTS, 3 * num_starts // 5)  # beyond are the degenerate corners of the grid
    spread = np.geomspace(BEST_STARTS, worst, SPREAD_STARTS * 4**batch).astype(np.int64)
    return np.union1d(best, spread)


def contenders(pool: FloatArray, scores: FloatArray) -> IntArray:
    """Give the ranks of the best start at each value of each exponent, where that is nearly as good as the best of
    all.

    A sharp profile has few of them. A flat one, of noisy or scattered points, has many, and other minima among them.
    """
    found = [np.empty(0, dtype=np.int64)]
    for column in pool.T:
        values, first = np.unique(column, return_index=True)
        if len(values) <= GRID_VALUES:  # a gridded exponent, not a coefficient
            found.append(first[scores[first] <= CLOSE * scores[0]])
    return np.unique(np.concatenate(found))[:MAX_CONTENDERS]


def _distinct(coords: FloatArray, values: FloatArray) -> FloatArray:
    """Give one of each group of lanes that ended in the same minimum; both sorted by value."""
    finite = np.isfinite(values)
    coords, values = coords[finite], values[finite]
    new = np.ones(len(values), dtype=np.bool_)
    new[1:] = values[1:] > values[:-1] * (1 + AGREEMENT)
    return coords[new]
