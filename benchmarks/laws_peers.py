"""Our fit against the public package `chinchilla`, on the rows and the grid of starts that it ships as its example.

    pip install chinchilla==0.2.0 && python -m benchmarks.laws_peers [DATA ...]

Theirs: scipy's BFGS from every point of its grid, on all cores, the mean of Huber losses of log residuals. Ours: one
global fit on one core. Both results are scored by the same sum of Huber losses, delta 1e-3.
"""

import contextlib
import io
import statistics
import sys
import tempfile
import time

import numpy as np
from chinchilla import Chinchilla
from chinchilla._metrics import log_huber

from benchmarks.laws_data import published
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.objective import huber
from scaling.laws.observations import Observations

DELTA = 1e-3
# The grid of its README: 3,125 starts.
GRID = {
    "E": np.linspace(1.1, 1.5, 5),
    "a": np.linspace(1, 10, 5),
    "b": np.linspace(1, 10, 5),
    "alpha": np.linspace(0.1, 0.7, 5),
    "beta": np.linspace(0.1, 0.7, 5),
}


def main() -> None:
    print("| data | rows | theirs s | ours ms | ratio | theirs / ours - 1, objective |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in sys.argv[1:] or ["kyo_takano"]:
        rows = published()[name]
        theirs, seconds = fit_theirs(rows)
        durations = []
        for _ in range(5):
            began = time.perf_counter()
            ours = fit_law(CHINCHILLA, rows)
            durations.append(time.perf_counter() - began)
        mine = statistics.median(durations)
        assert ours.objective.value is not None
        excess = objective(theirs, rows) / ours.objective.value - 1
        print(
            f"| {name} | {len(rows)} | {seconds:.1f} | {mine * 1e3:.0f} | {seconds / mine:.0f} | {excess:.1e} |",
            flush=True,
        )


def objective(theta: np.ndarray, rows: Observations) -> float:
    residuals = np.log(rows.loss) - np.log(CHINCHILLA.predict(theta, rows))
    return float(np.sum(huber(residuals, DELTA)))


def fit_theirs(rows: Observations) -> tuple[np.ndarray, float]:
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        package = Chinchilla(folder, param_grid=GRID, loss_fn=lambda y, p: log_huber(y, p, delta=DELTA), log_level=40)
        for params, tokens, flops, loss in zip(rows.params, rows.tokens, rows.flops, rows.loss, strict=True):
            package.database.append(C=flops, N=params, D=tokens, loss=loss)
        began = time.perf_counter()
        package.fit()
        seconds = time.perf_counter() - began
    theta = np.array([package.E, package.A, package.B, package.alpha, package.beta], dtype=float)
    return theta, seconds


if __name__ == "__main__":
    main()
