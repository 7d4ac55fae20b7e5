"""Cuts in compute, one inside the other: what could be foreseen from below each of them is known by now."""

from dataclasses import dataclass

import numpy as np

from scaling.laws.forms import CHINCHILLA, Law
from scaling.laws.identify import before_fit
from scaling.laws.observations import BoolArray, FloatArray, Observations, value_groups

SHARES = (0.2, 0.4, 0.6)  # of the rows above a cut
DECADES = (0.5, 1.0, 1.5, 2.0)  # of compute above a cut
SAME_BUDGET = 0.02  # relative: compute nearer than this is one budget, which no cut divides


@dataclass(frozen=True)
class Cut:
    """The rows up to a compute.

    Attributes:
        name: in words.
        kept: which rows those are, [n].
        flops: the largest of theirs.
    """

    name: str
    kept: BoolArray
    flops: float


def ladder(observations: Observations, law: Law = CHINCHILLA) -> tuple[Cut, ...]:
    """Give all rows, then the rows below lower and lower cuts, down to where they carry no such law.

    A budget is not divided: neither the rows of a nominal one, nor rows of compute within `SAME_BUDGET`.
    """
    flops, tops = observations.flops, _budget_tops(observations)
    n, largest = len(flops), float(flops.max())
    ordered = np.sort(tops)
    wanted = [
        (float(ordered[max(n - 1 - int(np.ceil(share * n)), 0)]), f"without the top {share:.0%}") for share in SHARES
    ]
    wanted += [(largest / 10**step * (1 + SAME_BUDGET), f"{step:g} decades below the top") for step in DECADES]
    cuts = [Cut("all rows", np.ones(n, dtype=np.bool_), largest)]
    for limit, name in sorted(wanted, reverse=True):
        kept = np.asarray(tops <= limit)
        fewer = 0 < int(kept.sum()) < int(cuts[-1].kept.sum())
        if fewer and before_fit(law, observations.take(kept)) is None:
            cuts.append(Cut(name, kept, float(flops[kept].max())))
    return tuple(cuts)


def _budget_tops(observations: Observations) -> FloatArray:
    """The largest compute of each row's budget, [n]."""
    column = observations.flops if observations.budget is None else observations.budget
    tops = np.empty(len(column))
    for rows in value_groups(column, SAME_BUDGET):
        tops[rows] = observations.flops[rows].max()
    return tops
