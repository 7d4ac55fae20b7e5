"""Is the optimum global, and how long does it take? Against the 4,500 L-BFGS starts of Hoffmann et al., in the same
run.

    python -m benchmarks.laws_optimum [--starts 4500] [--sets NAME ...]

Every start minimises the same sum over the same rows, with analytic gradients and tolerances at the limit of float64.
Objective: the best of the starts over ours, minus one (negative: the starts did worse). Run it on an idle machine.
"""

import argparse
import itertools
import time

import numpy as np
from scipy.optimize import minimize

from benchmarks.laws_data import planted, published
from scaling.laws.bootstrap import bootstrap
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.observations import FloatArray, Observations

DELTA = 1e-3
# Hoffmann et al. 2022, section D.2: log A, log B, log E, alpha, beta.
GRID = tuple(
    itertools.product(
        range(0, 30, 5), range(0, 30, 5), np.arange(-1, 1.5, 0.5), np.arange(0, 2.5, 0.5), np.arange(0, 2.5, 0.5)
    )
)


def objective(x: FloatArray, log_n: FloatArray, log_d: FloatArray, log_loss: FloatArray) -> tuple[float, FloatArray]:
    """Give the Huber sum and its gradient at (log A, log B, log E, alpha, beta)."""
    terms = np.stack([x[0] - x[3] * log_n, x[1] - x[4] * log_d, np.full_like(log_n, x[2])])
    top = terms.max(axis=0)
    total = top + np.log(np.exp(terms - top).sum(axis=0))
    residual = log_loss - total
    size = np.abs(residual)
    value = np.where(size <= DELTA, residual**2 / 2, DELTA * (size - DELTA / 2)).sum()
    pull = -np.clip(residual, -DELTA, DELTA)
    share = np.exp(terms - total)
    slopes = [share[0], share[1], share[2], -share[0] * log_n, -share[1] * log_d]
    return float(value), np.array([float(pull @ slope) for slope in slopes])


def many_starts(rows: Observations, num_starts: int) -> tuple[float, float, float]:
    """Give the best objective of the starts, the share within 0.1% of it, and the seconds."""
    columns = (np.log(rows.params), np.log(rows.tokens), np.log(rows.loss))
    chosen = np.linspace(0, len(GRID) - 1, num_starts).astype(int)
    bounds = [(None, None)] * 3 + [(0, 8)] * 2
    options = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-15, "gtol": 1e-12}
    began = time.perf_counter()
    found = []
    for at in chosen:
        start = np.array(GRID[at], dtype=float)
        result = minimize(objective, start, columns, "L-BFGS-B", True, bounds=bounds, options=options)  # type: ignore[call-overload]
        found.append(result.fun)
    values = np.array(found)
    return float(values.min()), float(np.mean(values < values.min() * 1.001)), time.perf_counter() - began


def timed_fit(rows: Observations, repeats: int = 7) -> tuple[float, float]:
    """Give the objective and the median seconds of a fit with its global search."""
    durations, value = [], 0.0
    for _ in range(repeats):
        began = time.perf_counter()
        value = fit_law(CHINCHILLA, rows, delta=DELTA).objective.value or 0.0
        durations.append(time.perf_counter() - began)
    return value, float(np.median(durations))


def main() -> None:
    """Print one line a data set."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--starts", type=int, default=4500)
    parser.add_argument("--sets", nargs="*", default=None)
    arguments = parser.parse_args()
    sets = {name: rows for name, rows in published().items() if not name.endswith("as_fresh")}
    sets["planted_240"] = planted()
    print(
        f"{arguments.starts} starts of L-BFGS-B (scipy) against one fit; 4,000 bootstrap resamples, each to its optimum"
    )
    print(
        "| data | rows | objective | starts / ours - 1 | starts within .1% | starts s | ours ms | ratio | bootstrap s |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, rows in sets.items():
        if arguments.sets and name not in arguments.sets:
            continue
        value, seconds = timed_fit(rows)
        best, share, starts_seconds = many_starts(rows, arguments.starts)
        fit = fit_law(CHINCHILLA, rows, delta=DELTA)
        began = time.perf_counter()
        bootstrap(fit, rows, resamples=4000, seed=0)
        resampled = time.perf_counter() - began
        print(
            f"| {name} | {len(rows)} | {value:.12g} | {best / value - 1:.1e} | {share:.1%} | {starts_seconds:.1f} "
            f"| {1e3 * seconds:.1f} | {starts_seconds / seconds:.0f} | {resampled:.2f} |",
            flush=True,
        )
    for num_rows in (1_000, 10_000, 100_000):
        _, seconds = timed_fit(planted(num_rows), repeats=3)
        print(f"| planted | {num_rows} | | | | | {1e3 * seconds:.0f} | | |", flush=True)


if __name__ == "__main__":
    main()
