"""Rows of equal N and D: seeds, which are measurements of one thing, or recipes, of which the best is the point.

The least of several noisy losses is too low by chance. The noise is that between seeds of one recipe, where there are
any, else what is left of the losses without an effect of each pair of N and D and of each recipe, which may drift with
N and D; how much too low the least is follows from these effects and that noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from scaling.laws.distributions import f_tail, robust_deviation
from scaling.laws.observations import BoolArray, FloatArray, IntArray, value_groups

SAME_TOKENS = 0.01  # tokens are whole batches, whose size a recipe may change
EXPLAINS = 1e-4
SHARED = 0.8
CROSSED = 0.5
NEAR = 0.05  # of the best: losses far above it have a noise of their own
MIN_FREEDOM = 5
MIN_CELLS = 9  # of a recipe whose effect may change with N and D
LEVELS = 96


def cell_index(params: FloatArray, tokens: FloatArray, unique: FloatArray | None) -> IntArray:
    """The number of each row's pair of N and D (and of its unique tokens), [n]."""
    size = _combined([params] if unique is None else [params, unique])
    order = np.lexsort((tokens, size))
    ordered = tokens[order]
    # Tokens of one size in a chain of small steps are one cell, unless the chain is long: then it is cut.
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (size[order[1:]] != size[order[:-1]]) | (ordered[1:] > ordered[:-1] * (1 + SAME_TOKENS))
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], len(order)) - 1
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True) if len(starts) < len(order) else ():
        if ordered[end] > ordered[start] * (1 + SAME_TOKENS):
            for group in value_groups(ordered[start : end + 1], SAME_TOKENS):
                new[start + int(group.min())] = True
    index = np.empty(len(order), dtype=np.int64)
    index[order] = np.cumsum(new) - 1
    return index


def _combined(columns: Sequence[FloatArray]) -> IntArray:
    """One number for each combination of values, [n]."""
    index = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        values, codes = np.unique(column, return_inverse=True)
        index = np.unique(index * len(values) + codes, return_inverse=True)[1].astype(np.int64)
    return index


def combined_codes(columns: Sequence[IntArray], num_rows: int) -> IntArray:
    """As `_combined`, of codes; zeros of no column."""
    return (
        _combined([column.astype(np.float64) for column in columns]) if columns else np.zeros(num_rows, dtype=np.int64)
    )


def differs_within(cell: IntArray, codes: IntArray) -> bool:
    """Whether rows of one cell differ in a column."""
    pairs = np.unique(np.stack([cell, codes]), axis=1)
    return bool(pairs.shape[1] > len(np.unique(cell)))


def share_crossed(cell: IntArray, codes: IntArray) -> float:
    """Share of rows in cells that have several of a column's values."""
    pairs = np.unique(np.stack([cell, codes]), axis=1)[0]
    several = np.bincount(pairs, minlength=int(cell.max()) + 1) > 1
    return float(several[cell].mean())


def explains_within(cell: IntArray, codes: IntArray, log_loss: FloatArray) -> bool:
    """Whether a column with few values, each in several cells, moves the losses of a cell beyond chance."""
    pairs = np.unique(np.stack([codes, cell]), axis=1)[0]
    in_several = np.bincount(pairs, minlength=int(codes.max()) + 1) > 1
    if in_several[codes].mean() < SHARED:
        return False
    centred = log_loss - _means(cell, log_loss)[cell]
    effect = _means(codes, centred)[codes]
    num_values, num_cells = len(np.unique(codes)), len(np.unique(cell))
    freedom = len(codes) - num_cells - num_values + 1
    rest = float(np.sum((centred - effect) ** 2))
    if num_values < 2 or freedom < MIN_FREEDOM:
        return False
    ratio = float(np.sum(effect**2)) / (num_values - 1) / max(rest / freedom, 1e-300)
    return f_tail(ratio, num_values - 1, freedom) < EXPLAINS


def _means(groups: IntArray, values: FloatArray) -> FloatArray:
    count = np.bincount(groups)
    return np.asarray(np.bincount(groups, weights=values) / np.maximum(count, 1))


@dataclass(frozen=True)
class Best:
    """The rows of the best recipe of each cell, [n], their log losses corrected for being the least, and by how much
    they were on average. `noise` is None where it cannot be told, and then nothing was corrected."""

    kept: BoolArray
    log_loss: FloatArray
    mean_correction: float
    noise: float | None


def best_of_cells(
    cell: IntArray, recipe: IntArray, log_loss: FloatArray, log_params: FloatArray, log_tokens: FloatArray
) -> Best:
    """Of each cell the recipe with the least mean log loss, all of its seeds."""
    pair = combined_codes([cell, recipe], len(cell))
    mean, count = _means(pair, log_loss), np.bincount(pair)
    first = np.unique(pair, return_index=True)[1]
    of_cell = cell[first]
    best = _least_of(of_cell, mean)
    fitted, noise = _without_noise(mean, of_cell, recipe[first], log_params[first], log_tokens[first])
    if (freedom := int((count - 1).sum())) >= MIN_FREEDOM:
        noise = float(np.sqrt(np.sum((log_loss - mean[pair]) ** 2) / freedom))
    bias = np.zeros(int(cell.max()) + 1)
    if noise:
        bias[of_cell[best]] = _bias(of_cell, fitted, noise / np.sqrt(count))
    return Best(np.isin(pair, best), log_loss - bias[cell], float(-bias[of_cell[best]].mean()), noise)


def _least_of(cell: IntArray, values: FloatArray) -> IntArray:
    """The place of the least value of each cell, by increasing cell."""
    order = np.lexsort((values, cell))
    least: IntArray = order[np.flatnonzero(np.diff(cell[order], prepend=-1))]
    return least


def _without_noise(
    mean: FloatArray, cell: IntArray, recipe: IntArray, log_params: FloatArray, log_tokens: FloatArray
) -> tuple[FloatArray, float | None]:
    """Log losses as an effect of each cell and one of each recipe, linear in log N and log D, and the standard
    deviation of what is left; the losses themselves and None where they are too few to tell."""
    effect, used = np.zeros(len(mean)), 0
    if 2 * len(np.unique(recipe)) > len(mean):  # as many recipes as rows
        return mean, None
    basis = np.stack([np.ones(len(mean)), log_params - log_params.mean(), log_tokens - log_tokens.mean()], axis=1)
    groups = [np.flatnonzero(recipe == value) for value in np.unique(recipe)]
    for _ in range(10):
        rest = mean - _means(cell, mean - effect)[cell]
        used = 0
        for rows in groups:
            part = basis[rows, : 3 if len(rows) >= MIN_CELLS else 1]
            effect[rows] = part @ np.linalg.lstsq(part, rest[rows], rcond=None)[0]
            used += part.shape[1]
    fitted = _means(cell, mean - effect)[cell] + effect
    near = mean - mean[_least_of(cell, mean)][np.unique(cell, return_inverse=True)[1]] < NEAR
    near &= np.bincount(cell)[cell] > 1
    freedom = len(mean) - len(np.unique(cell)) - used
    if freedom < MIN_FREEDOM or near.sum() < MIN_FREEDOM:
        return mean, None
    return fitted, robust_deviation((mean - fitted)[near]) * float(np.sqrt(len(mean) / freedom))


def _bias(cell: IntArray, means: FloatArray, noise: FloatArray) -> FloatArray:
    """E[min(m + noise z)] - min(m) of each cell, by increasing cell: at most 0.

    The expectation is the integral of P(min > t) over t, on a grid around the least.
    """
    order = np.argsort(cell, kind="stable")
    means, noise = means[order], noise[order]
    starts = np.flatnonzero(np.diff(cell[order], prepend=-1))
    sizes = np.diff(np.append(starts, len(order)))
    least, wide = np.minimum.reduceat(means, starts), np.maximum.reduceat(noise, starts)
    grid = np.linspace(-8.0, 4.0, LEVELS)
    above = np.empty((LEVELS, len(starts)))
    for i, z in enumerate(grid):
        above[i] = np.exp(np.add.reduceat(log_ndtr((means - np.repeat(least + z * wide, sizes)) / noise), starts))
    expected = least - 8.0 * wide + np.trapezoid(above, dx=float(grid[1] - grid[0]), axis=0) * wide
    return np.asarray(np.minimum(expected - least, 0.0) * (sizes > 1))
