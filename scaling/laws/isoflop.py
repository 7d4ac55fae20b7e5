"""Approach 2 (Hoffmann et al. 2022, section 3.2): a parabola in log N for each budget, and a power law through its
minima.

A cross-check of approach 3, not the main fit: parabolas are biased where alpha and beta differ or the grid is off
centre. A budget whose parabola opens downward, or has its minimum at the edge of what was trained, is reported and
not used.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from scaling.laws.observations import FloatArray, IntArray, Observations, row_groups, value_groups
from scaling.laws.search import spread_rows

MIN_SIZES = 4  # distinct N for a parabola with one degree of freedom
IN_PROFILES = 0.8  # share of the rows that must lie in profiles where no budget is named
MIN_BUDGETS = 3  # used budgets for a line with one
MOST_BUDGETS = 2_000  # that are looked at


@dataclass(frozen=True)
class Parabola:
    """One budget.

    Attributes:
        budget: FLOPs, nominal where known.
        num_points: rows of this budget.
        status: "used"; "concave"; "edge" (the minimum is not between the second and the last but one size); "few".
        message: what to do about it.
        params: N at the minimum, None unless used.
        tokens: D there.
        loss: nats per token there.
        curvature: second derivative of the loss by log N; None where there are too few sizes.
    """

    budget: float
    num_points: int
    status: Literal["used", "concave", "edge", "few"]
    message: str
    params: float | None
    tokens: float | None
    loss: float | None
    curvature: float | None


@dataclass(frozen=True)
class IsoflopFit:
    """The minima and the power law through them: log N* = params_exponent log C + log_params_at_one.

    The numbers are None unless status is "converged".
    """

    parabolas: tuple[Parabola, ...]
    status: Literal["converged", "refused"]
    message: str
    params_exponent: float | None
    tokens_exponent: float | None
    log_params_at_one: float | None
    log_tokens_at_one: float | None

    def optimal_params(self, flops: float) -> float:
        """Give N* at a budget.

        Raises:
            ValueError: the fit was refused.
        """
        if self.params_exponent is None or self.log_params_at_one is None:
            raise ValueError(f"approach 2 was refused and has no optimum: {self.message}")
        return float(np.exp(self.params_exponent * np.log(flops) + self.log_params_at_one))


def budget_groups(observations: Observations) -> list[tuple[float, IntArray]]:
    """Give each budget with its rows, by increasing budget: nominal, or compute within 2% where none is named and most
    rows fall into groups of enough sizes. Otherwise there are none.

    Of more than `MOST_BUDGETS` named ones a sample, of those with rows for a parabola if there are any.
    """
    if observations.budget is None:
        groups = value_groups(observations.flops)
        in_profiles = sum(len(rows) for rows in groups if len(np.unique(observations.params[rows])) >= MIN_SIZES - 1)
        if in_profiles < IN_PROFILES * len(observations):
            return []
        return [(float(np.exp(np.log(observations.flops[rows]).mean())), rows) for rows in groups]
    budgets, index, counts = np.unique(observations.budget, return_inverse=True, return_counts=True)
    shown = np.arange(len(budgets))
    if len(budgets) > MOST_BUDGETS:
        enough = np.flatnonzero(counts >= MIN_SIZES)
        shown = enough if enough.size else shown
        shown = shown[spread_rows(len(shown), MOST_BUDGETS)]
    rows = row_groups(index)
    return [(float(budgets[at]), rows[at]) for at in shown]


def fit_isoflops(observations: Observations) -> IsoflopFit:
    """Fit a parabola to each budget and a power law to the minima that can be used."""
    parabolas = tuple(_parabola(budget, observations.take(rows)) for budget, rows in budget_groups(observations))
    if not parabolas:
        message = "the rows name no budgets and their compute makes none, so there are no profiles of equal compute"
        return IsoflopFit((), "refused", message, None, None, None, None)
    used = [p for p in parabolas if p.status == "used"]
    num_budgets = len(parabolas) if observations.budget is None else len(np.unique(observations.budget))
    looked_at = f"; {len(parabolas):,} of {num_budgets:,} were looked at" if num_budgets > len(parabolas) else ""
    if len(used) < MIN_BUDGETS:
        problems = sorted({f"{p.budget:.3g}: {p.message}" for p in parabolas if p.status != "used"})
        return IsoflopFit(
            parabolas,
            "refused",
            f"{len(used)} budgets have a usable minimum and {MIN_BUDGETS} are needed; add budgets{looked_at}"
            + ("; " + "; ".join(problems[:5]) if problems else ""),
            None,
            None,
            None,
            None,
        )
    log_c = np.log([p.budget for p in used])
    n_slope, n_level = _line(log_c, np.log([p.params or np.nan for p in used]))
    d_slope, d_level = _line(log_c, np.log([p.tokens or np.nan for p in used]))
    message = f"{len(used)} of {len(parabolas)} budgets used{looked_at}"
    return IsoflopFit(parabolas, "converged", message, n_slope, d_slope, n_level, d_level)


def _line(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    slope, level = np.polyfit(x - x.mean(), y, 1)
    return float(slope), float(level - slope * x.mean())


def _parabola(budget: float, rows: Observations) -> Parabola:
    x = np.log(rows.params)
    sizes = np.unique(x)
    n = len(rows)
    if len(sizes) < MIN_SIZES:
        message = f"{len(sizes)} of the {MIN_SIZES} sizes that are needed: add sizes"
        return Parabola(budget, n, "few", message, None, None, None, None)
    centre = x.mean()
    bend, slope, level = np.polyfit(x - centre, rows.loss, 2, w=np.sqrt(rows.weights))
    if bend <= 0:
        message = "the parabola opens downward: look for a broken run, add sizes on both sides"
        return Parabola(budget, n, "concave", message, None, None, None, float(2 * bend))
    at = float(centre - slope / (2 * bend))
    if not sizes[1] <= at <= sizes[-2]:
        side = "smaller" if at < sizes[1] else "larger"
        message = f"the minimum is at the edge: add {side} sizes"
        return Parabola(budget, n, "edge", message, None, None, None, float(2 * bend))
    token_slope, token_level = np.polyfit(x - centre, np.log(rows.tokens), 1)
    return Parabola(
        budget,
        n,
        "used",
        "",
        float(np.exp(at)),
        float(np.exp(token_level + token_slope * (at - centre))),
        float(level - slope**2 / (4 * bend)),
        float(2 * bend),
    )
