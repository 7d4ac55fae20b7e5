"""Approach 1 (Hoffmann et al. 2022, section 3.1): for each compute, which of the training curves is lowest."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from scaling.laws.observations import FloatArray, Observations, row_groups, value_groups

LEVELS = 500  # of compute, evenly spaced in its logarithm; Hoffmann et al. use 1500
MIN_SIZES = 3  # distinct winning N, those at the ends of the range apart


@dataclass(frozen=True)
class EnvelopeFit:
    """The lower envelope and the power law through its owners.

    Attributes:
        flops: levels of compute at which an inner size is lowest, [m].
        params: that size, [m].
        loss: its loss, nats per token, [m].
        status: "refused" when too few sizes own a part of the envelope.
        message: why.
        params_exponent: of N* in C, None when refused; tokens grow with one minus it.
        log_params_at_one: log N* at C = 1, None when refused.
        step: ratio of neighbouring sizes that own it, their geometric mean: no answer is finer. One when refused.
    """

    flops: FloatArray
    params: FloatArray
    loss: FloatArray
    status: Literal["converged", "refused"]
    message: str
    params_exponent: float | None
    log_params_at_one: float | None
    step: float = 1.0

    def optimal_params(self, flops: float) -> float:
        """Give N* at a budget.

        Raises:
            ValueError: the fit was refused.
        """
        if self.params_exponent is None or self.log_params_at_one is None:
            raise ValueError(f"approach 1 was refused and has no optimum: {self.message}")
        return float(np.exp(self.params_exponent * np.log(flops) + self.log_params_at_one))


def fit_envelope(curves: Observations) -> EnvelopeFit:
    """Fit the envelope of training curves: rows of one trajectory are one curve, at least two points each.

    Curves are interpolated in log compute, never extended. The smallest and the largest size own the ends of the
    envelope for want of rivals, so their parts are left out.
    """
    log_c, loss = np.log(curves.flops), curves.loss
    levels = np.linspace(log_c.min(), log_c.max(), LEVELS)
    best, owner = np.full(LEVELS, np.inf), np.full(LEVELS, np.nan)
    for rows in row_groups(curves.trajectory_index()):
        if len(rows) < 2:
            continue
        rows = rows[np.argsort(log_c[rows], kind="stable")]
        here = np.interp(levels, log_c[rows], loss[rows], left=np.inf, right=np.inf)
        lower = here < best
        best, owner = np.where(lower, here, best), np.where(lower, curves.params[rows[0]], owner)
    inner = np.isfinite(best) & (owner > curves.params.min()) & (owner < curves.params.max())
    flops, params = np.exp(levels[inner]), owner[inner]
    num_sizes = len(np.unique(params))
    if num_sizes < MIN_SIZES:
        message = (
            f"{num_sizes} sizes between the smallest and the largest own a part of the envelope and {MIN_SIZES} are "
            "needed; add sizes, and curves of at least two points each"
        )
        return EnvelopeFit(flops, params, best[inner], "refused", message, None, None)
    x = np.log(flops)
    slope, level = np.polyfit(x - x.mean(), np.log(params), 1)
    message = f"{num_sizes} sizes own the envelope"
    at_one = float(level - slope * x.mean())
    step = float((params.max() / params.min()) ** (1 / (num_sizes - 1)))
    return EnvelopeFit(flops, params, best[inner], "converged", message, float(slope), at_one, step)


def finished_curves(observations: Observations) -> Observations:
    """Give finished runs as curves of loss against compute: one for each N, one point for each D.

    Every point ends its schedule, which points read off a training curve do not; equal runs (seeds) are averaged.
    """
    columns: dict[str, list[FloatArray]] = {"tokens": [], "loss": [], "flops": []}
    params, counts = [], []
    for size in value_groups(observations.params):
        budgets = value_groups(observations.tokens[size])
        rows = size[np.concatenate(budgets)]
        lengths = np.array([len(budget) for budget in budgets])
        stretches = [slice(end - length, end) for end, length in zip(np.cumsum(lengths), lengths, strict=True)]
        for name, means in columns.items():
            column = getattr(observations, name)[rows]
            means.append(np.array([np.add.reduce(column[at]) for at in stretches]) / lengths)
        params.append(float(np.median(observations.params[size])))
        counts.append(len(budgets))
    tokens, loss, flops = (np.concatenate(means) for means in columns.values())
    curve = np.repeat([f"{size:.6g}" for size in params], counts)
    return Observations(np.repeat(params, counts), tokens, loss, flops, trajectory=curve)
