"""When a law must not be fitted, and when its fit must not be used: every refusal says why and what to
add."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from scaling.laws.forms import EXPONENT_MAX, Law
from scaling.laws.observations import FloatArray, Observations
from scaling.laws.search import Optimum
from scaling.laws.surface import Surface

CONSTANT_LOSS = 1e-6  # relative spread of the loss below which there is nothing to explain
SAME = 0.02  # relative spread below which a column holds one value: sizes are rounded, ratios more so


@dataclass(frozen=True)
class Verdict:
    """A status and its reason."""

    status: Literal["converged", "unidentified", "at_bound", "refused"]
    message: str


def _spread(column: FloatArray) -> float:
    return float(column.max() / column.min() - 1.0)


def before_fit(law: Law, observations: Observations) -> Verdict | None:
    """Give the refusal that needs no fit, or None."""
    num_rows, num_parameters = len(observations), len(law.parameter_names)
    if num_rows < num_parameters + 2:
        return Verdict(
            "refused",
            f"{num_rows} points for the {num_parameters} parameters of {law.name}: at least "
            f"{num_parameters + 2} are needed; add {num_parameters + 2 - num_rows} or more",
        )
    if _spread(observations.loss) < CONSTANT_LOSS:
        return Verdict(
            "refused", "every loss is the same: there is nothing to fit; add points at other sizes or budgets"
        )
    for variable in law.inputs:
        if _spread(getattr(observations, variable)) < SAME:
            return Verdict(
                "refused",
                f"every point has the same {variable}: its exponent cannot be told; add points at other "
                f"{variable}",
            )
    if {"params", "tokens"} <= set(law.inputs) and _spread(observations.tokens / observations.params) < SAME:
        return Verdict(
            "unidentified",
            "every point has the same tokens per parameter: the terms in N and D cannot be told apart; add "
            "points at other ratios, such as a quarter and four times the tokens",
        )
    return None


def after_fit(
    law: Law, observations: Observations, surface: Surface, optimum: Optimum, delta: float
) -> Verdict:
    """Judge a finished fit."""
    names = law.parameter_names
    theta = optimum.coords
    at_lower = [n for n, v, b in zip(names, theta, surface.lower, strict=True) if v <= b]
    at_upper = [n for n, v, b in zip(names, theta, surface.upper, strict=True) if v >= b]
    if "E" in at_lower:
        return Verdict(
            "at_bound",
            "the best floor E is below zero, so E = 0 is a bound and no estimate; add points with a lower "
            "loss (more params and tokens), or use the form without floor",
        )
    if at_lower or at_upper:
        where = ", ".join([*(f"{n} = 0" for n in at_lower), *(f"{n} = {EXPONENT_MAX:g}" for n in at_upper)])
        return Verdict(
            "at_bound",
            f"{where} lies at its bound and is no estimate; add points that spread the variable it belongs "
            "to",
        )
    if not np.isfinite(optimum.value):
        return Verdict("refused", "the objective is not finite anywhere; check the units of the columns")
    return Verdict("converged", f"{optimum.witnesses} of {optimum.starts} starts ended in this minimum")
