"""The largest rise is that of all pairs, and takes neither the memory nor the time of all pairs."""

import tracemalloc

import numpy as np
import pytest

from scaling.checks.dominance import largest_rise
from scaling.checks.residuals import SAME
from scaling.laws.observations import FloatArray


def by_all_pairs(N: FloatArray, D: FloatArray, value: FloatArray) -> tuple[int, int, float] | None:
    larger_N, larger_D = N[None] / N[:, None], D[None] / D[:, None]
    ordered = (np.minimum(larger_N, larger_D) >= 1 / SAME) & (np.maximum(larger_N, larger_D) > SAME)
    rise = np.where(ordered, value[None] - value[:, None], -np.inf)
    if not ordered.any():
        return None
    low, high = np.unravel_index(int(np.argmax(rise)), rise.shape)
    return int(low), int(high), float(rise[low, high])


@pytest.mark.parametrize("seed", range(120))
def test_it_is_the_largest_of_all_pairs(seed: int) -> None:
    """Scattered points, cells at the very edge of "the same", few values, one size; values with many ties."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 300))
    N, D = {
        0: (10 ** rng.uniform(7, 10, n), 10 ** rng.uniform(8, 11, n)),
        1: (1e7 * SAME ** rng.integers(0, 6, n), 1e8 * SAME ** rng.integers(0, 6, n)),
        2: (rng.integers(100, 120, n).astype(float), rng.integers(100, 103, n).astype(float)),
        3: (np.full(n, 1e8), 10 ** rng.uniform(8, 9, n)),
    }[seed % 4]
    value = np.round(rng.standard_normal(n), int(rng.integers(0, 4)))
    assert largest_rise(N, D, value, SAME) == by_all_pairs(N, D, value)


def test_a_large_table_takes_memory_for_its_rows_and_not_for_its_pairs() -> None:
    rng = np.random.default_rng(0)
    n = 50_000
    N, D = 10 ** rng.uniform(7, 10, n), 10 ** rng.uniform(8, 11, n)
    value = -0.1 * np.log(N) - 0.1 * np.log(D)
    at = int(np.argmax(N * D))  # a run that broke, among rows whose values fall everywhere
    value[at] += 1.0
    tracemalloc.start()
    found = largest_rise(N, D, value, SAME)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found is not None
    assert found[1] == at
    assert peak < 2_000 * n
