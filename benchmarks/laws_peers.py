"""The public package `chinchilla` as users call it: scipy's BFGS from every point of its grid, on all cores."""

import contextlib
import io
import tempfile
from importlib.util import find_spec

import numpy as np

from scaling.laws.observations import FloatArray, Observations

PACKAGE = "chinchilla==0.2.0"
# The grid of its README: 3,125 starts.
GRID = {
    "E": np.linspace(1.1, 1.5, 5),
    "a": np.linspace(1, 10, 5),
    "b": np.linspace(1, 10, 5),
    "alpha": np.linspace(0.1, 0.7, 5),
    "beta": np.linspace(0.1, 0.7, 5),
}


def installed() -> bool:
    """Whether the package can be imported; its extra is `peers`."""
    return find_spec("chinchilla") is not None


def fit_chinchilla_package(rows: Observations, delta: float) -> FloatArray:
    """Give E, A, B, alpha, beta, [5], of the mean of Huber losses of log residuals, minimised by the package."""
    from chinchilla import Chinchilla
    from chinchilla._metrics import log_huber

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        package = Chinchilla(folder, param_grid=GRID, loss_fn=lambda y, p: log_huber(y, p, delta=delta), log_level=40)
        for params, tokens, flops, loss in zip(rows.params, rows.tokens, rows.flops, rows.loss, strict=True):
            package.database.append(C=flops, N=params, D=tokens, loss=loss)
        package.fit()
    return np.array([package.E, package.A, package.B, package.alpha, package.beta], dtype=float)
