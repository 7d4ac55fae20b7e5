"""What each row does to the best N: the law fitted anew without it."""

import numpy as np

from scaling.laws.candidates import fit_lanes
from scaling.laws.fit import Fit
from scaling.laws.observations import FloatArray, IntArray, Observations

MOST = 400  # rows that are left out in turn; of more, those whose residual and place let them pull most
CELLS = 4_000_000  # lanes times rows: some hundred MB


def rows_that_may_pull(fit: Fit, rows: Observations, most: int = MOST) -> IntArray:
    """Give the rows, [k <= most], in the order of the table; of a very large one fewer, for each costs a fit of all."""
    most = min(most, max(1, CELLS // max(1, len(rows))))
    if len(rows) <= most:
        return np.arange(len(rows))
    n, d = np.log(rows.params), np.log(rows.tokens)
    design = np.stack([np.ones(len(n)), n - n.mean(), d - d.mean(), (n - n.mean()) ** 2, (d - d.mean()) ** 2], axis=1)
    orthogonal = np.linalg.qr(design)[0]
    leverage = np.sqrt(np.sum(orthogonal**2, axis=1))
    return np.sort(np.argsort(-leverage * np.abs(fit.residuals), kind="stable")[:most])


def best_params_without(fit: Fit, rows: Observations, flops: float, left_out: IntArray) -> FloatArray:
    """Give N* for a budget (6 N D = flops) by the law without each of some rows, [k]; NaN where that has none."""
    surface = fit.law.surface(rows)
    weights = np.repeat(rows.weights[None], len(left_out), axis=0)
    weights[np.arange(len(left_out)), left_out] = 0.0
    coords, _ = fit_lanes(fit, surface, weights, fit.objective.delta)
    with np.errstate(all="ignore"):
        return np.asarray(fit.law.optimal_params(surface.to_raw(coords), np.full(len(left_out), flops)))
