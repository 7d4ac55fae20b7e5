"""The rows that a law of one variable speaks of: a slice of the grid where there is one, else the frontier."""

import numpy as np

from scaling.laws.forms import SYMBOL, Variable
from scaling.laws.observations import FloatArray, IntArray, Observations, frontier, value_groups

SAME = 0.02  # relative: budgets are rounded to whole batches
MIN_LEVELS = 5  # two more than the parameters of a power law with a floor


def slice_rows(observations: Observations, variable: Variable) -> tuple[IntArray, str]:
    """Give the rows for L(variable), and what they are in words, such as "L(N) at D = 524,288".

    L(N) takes the largest D that at least five values of N share, L(D) the largest N with five values of D. Where no
    such slice was trained, and for L(C), it is the lower envelope of the loss against the variable.
    """
    symbol = SYMBOL[variable]
    if variable != "flops":
        fixed: Variable = "tokens" if variable == "params" else "params"
        groups = value_groups(getattr(observations, fixed))
        x = getattr(observations, variable)
        for rows in reversed(groups):
            if len(rows) >= MIN_LEVELS and len(value_groups(x[rows])) >= MIN_LEVELS:
                level = float(np.median(getattr(observations, fixed)[rows]))
                return np.sort(rows), f"L({symbol}) at {SYMBOL[fixed]} = {level:,.0f}"
    return frontier(observations, variable), f"L({symbol}) along its frontier"


def held_out_slice(variable: str, rows: Observations, fitted: Observations, held: Observations) -> Observations | None:
    """Give the held-out rows that a law of one variable over `rows` speaks of, None without any.

    Those are the ones of the same slice, or for L(C) those on the frontier of fitted and held-out rows together. A
    frontier in N or D is no slice: what was held out does not belong to it.
    """
    if not len(held) or not len(rows):
        return None
    if variable == "flops":
        best = frontier(_together(fitted, held)) - len(fitted)
        part = held.take(np.sort(best[best >= 0]))
    else:
        fixed = "tokens" if variable == "params" else "params"
        column = getattr(rows, fixed)
        if column.max() > column.min() * (1 + SAME):
            return None
        part = held.take(np.abs(getattr(held, fixed) / np.median(column) - 1) < SAME)
    return part if len(part) else None


def _together(first: Observations, second: Observations) -> Observations:
    def both(column: str) -> FloatArray:
        return np.concatenate([getattr(first, column), getattr(second, column)])

    return Observations(both("params"), both("tokens"), both("loss"), both("flops"))
