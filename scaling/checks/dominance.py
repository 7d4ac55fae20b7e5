"""Of points in two coordinates, the pair that rises most from one to another that lies above it; in n log^2 n steps.

A table of a million rows has a trillion pairs. So the rows are sorted by the first coordinate into blocks of a power of
two, each block sorted by the second with its running minimum of the value; what lies below a point is then a prefix,
which is some whole blocks, one at most of each size, and a rest smaller than the smallest block.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scaling.laws.observations import BoolArray, FloatArray, IntArray

SMALLEST = 6  # log2 of the block below which rows are looked at one by one
CHUNK = 1 << 14  # queries at a time


@dataclass(frozen=True)
class _Below:
    """For each row, how many of the distinct values of a coordinate, in order, are below its own; [n] each.

    `index` is the place of its own value among them.
    """

    index: IntArray
    clearly: IntArray
    about: IntArray


def largest_rise(x: FloatArray, y: FloatArray, value: FloatArray, same: float) -> tuple[int, int, float] | None:
    """The rows (low, high) of the largest value[high] - value[low], and that rise, of all pairs of which the second is
    larger than the first by more than the factor `same` in x or y, and not smaller by more than it in the other.

    Of equal rises the pair with the first low row, then the first high one. None where no pair is so ordered.
    """
    by_x, by_y = _below(x, same), _below(y, same)
    order = np.argsort(by_x.index, kind="stable")
    starts = np.searchsorted(by_x.index[order], np.arange(len(x) + 1))
    # A row's rank by value, the first row first among equals: the least rank below a point is the row to pair it with.
    by_value = np.argsort(value, kind="stable")
    rank = np.empty(len(x), dtype=np.int64)
    rank[by_value] = np.arange(len(x))
    # In the order of x, neighbours ask the same blocks.
    first = _least_below(by_y.index[order], rank[order], starts[by_x.clearly[order]], by_y.about[order])
    second = _least_below(by_y.index[order], rank[order], starts[by_x.about[order]], by_y.clearly[order])
    least = np.minimum(first, second)
    some = least < len(x)
    if not some.any():
        return None
    high, low = order[some], by_value[least[some]]
    rise = value[high] - value[low]
    best = np.lexsort((high, low, -rise))[0]
    return int(low[best]), int(high[best]), float(rise[best])


def _below(column: FloatArray, same: float) -> _Below:
    values, index = np.unique(column, return_inverse=True)
    clearly = _count(values, same, strict=True)
    about = _count(values, 1 / same, strict=False)
    return _Below(index, clearly[index], about[index])


def _count(values: FloatArray, ratio: float, *, strict: bool) -> IntArray:
    """For each of the ascending values how many of them it is over by more than the ratio (or, not strict, that much).

    The quotient decides, as a reader would work it out, and the search by products is a rounding off at most.
    """

    def reached(place: IntArray) -> IntArray:
        inside = np.clip(place, 0, len(values) - 1)
        quotient = values / values[inside]
        return np.asarray(quotient > ratio if strict else quotient >= ratio, dtype=np.int64)

    place = np.searchsorted(values, values / ratio, side="left").astype(np.int64)
    while True:
        up = reached(place) * (place < len(values))
        down = (1 - reached(place - 1)) * (place > 0)
        if not (up | down).any():
            return place
        place += np.where(up > 0, 1, -down)


def _least_below(second: IntArray, rank: IntArray, prefixes: IntArray, limits: IntArray) -> IntArray:
    """The least rank, [q], among the first `prefixes` rows whose `second` is below `limits`; the number of rows where
    there is none."""
    none = len(second)
    depth = max((none - 1).bit_length(), SMALLEST)
    bits = none.bit_length()  # a key is a row's place in the second coordinate, and below it its rank
    mask = (1 << bits) - 1
    above = int(limits.max(initial=0)) + 1
    keys = np.full(1 << depth, above << bits | none, dtype=np.int64)
    keys[:none] = np.minimum(second, above) << bits | rank
    ends = limits << bits
    least = np.full(len(prefixes), none, dtype=np.int64)
    for chunk, rest, inside in _rests(prefixes):
        found = np.where(inside & (keys[rest] < ends[chunk, None]), keys[rest] & mask, none)
        least[chunk] = found.min(axis=1)
    for level in range(SMALLEST, depth + 1):
        blocks = np.sort(keys.reshape(-1, 1 << level), axis=1)
        keys = blocks.ravel()
        running = np.minimum.accumulate(blocks & mask, axis=1).ravel()
        # Blocks one after another ascend once each place is raised by its block.
        raised = ((blocks >> bits) + (above + 1) * np.arange(len(blocks))[:, None]).ravel()
        asked = np.flatnonzero(prefixes >> level & 1)
        block = (prefixes[asked] >> level) - 1
        end = np.searchsorted(raised, (above + 1) * block + limits[asked])
        some = end > block << level
        at = asked[some]
        least[at] = np.minimum(least[at], running[end[some] - 1])
    return least


def _rests(prefixes: IntArray) -> Iterator[tuple[slice, IntArray, BoolArray]]:
    """Queries a few at a time, with the rows after the last whole block of each, and which of these it asks of."""
    size = 1 << SMALLEST
    within = np.arange(size)
    for begin in range(0, len(prefixes), CHUNK):
        chunk = slice(begin, begin + CHUNK)
        rest = prefixes[chunk] % size
        inside = within < rest[:, None]
        first = (prefixes[chunk] - rest)[:, None]
        yield chunk, np.where(inside, first + within, 0), inside
