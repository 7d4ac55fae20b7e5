"""Is the optimum global, and what does it cost? One fit against the two protocols that people use today, in one run.

    pip install 'scaling-sweep[peers]' && python -m benchmarks.laws_optimum [--starts 4500] [--sets NAME ...]

L-BFGS: the 4,500 starts of Hoffmann et al. (2022) by scipy, each minimising the same sum over the same rows with
analytic gradients and tolerances at the limit of float64. Package: `chinchilla` of PyPI with the grid of its README.
Excess: its objective over ours, minus one; negative would mean that ours is no global optimum. Seconds are CPU seconds
of all processes and threads, so that a busy machine flatters nobody.
"""

import argparse
import itertools
import os
import statistics
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from scipy.optimize import minimize

from benchmarks.laws_data import planted, published
from benchmarks.laws_peers import PACKAGE, fit_chinchilla_package, installed
from scaling.laws.bootstrap import bootstrap
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.objective import huber
from scaling.laws.observations import FloatArray, Observations

T = TypeVar("T")

DELTA = 1e-3
# Hoffmann et al. 2022, section D.2: log A, log B, log E, alpha, beta.
GRID = tuple(
    itertools.product(
        range(0, 30, 5), range(0, 30, 5), np.arange(-1, 1.5, 0.5), np.arange(0, 2.5, 0.5), np.arange(0, 2.5, 0.5)
    )
)
HEAD = (
    "data", "rows", "objective", "ours ms", "L-BFGS s", "ratio", "excess", "starts within .1%", "package s", "ratio",
    "excess", "4,000 resamples s",
)  # fmt: skip


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


def cpu_seconds(work: Callable[[], T]) -> tuple[T, float]:
    """Give the result and the CPU seconds that this process and its children spent on it."""
    before = sum(os.times()[:4])
    result = work()
    return result, sum(os.times()[:4]) - before


def many_starts(rows: Observations, num_starts: int) -> tuple[float, float]:
    """Give the best objective of the starts and the share of them within 0.1% of it."""
    columns = (np.log(rows.params), np.log(rows.tokens), np.log(rows.loss))
    bounds = [(None, None)] * 3 + [(0, 8)] * 2
    options = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-15, "gtol": 1e-12}
    values = np.array(
        [
            minimize(  # type: ignore[call-overload]
                objective, np.array(GRID[at], dtype=float), columns, "L-BFGS-B", True, bounds=bounds, options=options
            ).fun
            for at in np.linspace(0, len(GRID) - 1, num_starts).astype(int)
        ]
    )
    return float(values.min()), float(np.mean(values < values.min() * 1.001))


def one_fit(rows: Observations, repeats: int = 15) -> tuple[float, float]:
    """Give the objective and the mean CPU seconds of a fit with its global search."""
    runs = [cpu_seconds(lambda: fit_law(CHINCHILLA, rows, delta=DELTA)) for _ in range(repeats)]
    # The clock of a process ticks in hundredths of a second: the mean is finer than any one of them.
    return runs[0][0].objective.value or 0.0, statistics.fmean(seconds for _, seconds in runs)


def line(name: str, rows: Observations, num_starts: int) -> str:
    """Give one set's line of the table."""
    value, ours = one_fit(rows)
    (best, share), starts = cpu_seconds(lambda: many_starts(rows, num_starts))
    cells = [name, str(len(rows)), f"{value:.12g}", f"{1e3 * ours:.0f}", f"{starts:.1f}", f"{starts / ours:,.0f}"]
    cells += [f"{best / value - 1:.1e}", f"{share:.1%}"]
    if installed():
        theta, peer = cpu_seconds(lambda: fit_chinchilla_package(rows, DELTA))
        with np.errstate(all="ignore"):  # its answer may be no law at all: that is the finding
            theirs = float(np.sum(huber(np.log(rows.loss) - np.log(CHINCHILLA.predict(theta, rows)), DELTA)))
        cells += [f"{peer:.1f}", f"{peer / ours:,.0f}", f"{theirs / value - 1:.1e}"]
    else:
        cells += ["", "", ""]
    fit = fit_law(CHINCHILLA, rows, delta=DELTA)
    _, resampled = cpu_seconds(lambda: bootstrap(fit, rows, resamples=4000, seed=0))
    return "| " + " | ".join([*cells, f"{resampled:.2f}"]) + " |"


def main() -> None:
    """Print one line a data set."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--starts", type=int, default=4500)
    parser.add_argument("--sets", nargs="*", default=None)
    arguments = parser.parse_args()
    sets = {name: rows for name, rows in published().items() if not name.endswith("as_fresh")}
    sets["planted_240"] = planted()
    print(f"{arguments.starts:,} starts of L-BFGS-B (scipy) and the package {PACKAGE} against one fit of ours")
    if not installed():
        print(f"The columns of the package are empty: pip install {PACKAGE}")
    print("| " + " | ".join(HEAD) + " |\n" + "| --- " * len(HEAD) + "|", flush=True)
    for name, rows in sorted(sets.items(), key=lambda item: len(item[1])):
        if not arguments.sets or name in arguments.sets:
            print(line(name, rows, arguments.starts), flush=True)
    for num_rows in (1_000, 10_000, 100_000):
        _, seconds = one_fit(planted(num_rows), repeats=3)
        print(f"| planted | {num_rows} | | {1e3 * seconds:.0f}" + " | " * (len(HEAD) - 4) + "|", flush=True)


if __name__ == "__main__":
    main()
