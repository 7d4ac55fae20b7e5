"""When a law must not be fitted, and when its fit must not be used: each refusal says why and what to add."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from scaling.laws.custom import spans_decades
from scaling.laws.distributions import chi2_quantile, t_two_sided
from scaling.laws.forms import Law
from scaling.laws.newton import polish
from scaling.laws.noise import huber_moments, linearise
from scaling.laws.observations import BoolArray, FloatArray, Observations
from scaling.laws.search import Optimum
from scaling.laws.surface import Surface

CONSTANT_LOSS = 1e-6  # relative spread of the loss below which there is nothing to explain
SAME = 0.02  # relative distance within which two values of a column count as one: sizes and budgets are rounded
MIN_VALUES = 3  # of each variable: with two, a floor and an exponent are one number too many
MIN_BUDGETS = 3
FIRST_ROWS = 1_000  # of a table, which mostly show that there are enough of a kind
CLEAR = 3.0  # times the half-width of its interval: a floor so far from zero needs no profile
FLOOR_TOLERANCE = 1e-4  # relative, of the objective without a floor: it is only compared
LEVEL = 0.95  # at which a floor or an exponent must differ from zero to count as seen
MAX_CONDITION = 1e12  # of the scaled information matrix; its inverse has no digits left beyond


@dataclass(frozen=True)
class Verdict:
    """A status and its reason."""

    status: Literal["converged", "unidentified", "at_bound", "refused"]
    message: str


def num_distinct(column: FloatArray, at_most: int = MIN_VALUES) -> int:
    """Count groups of a positive column, up to `at_most`: a group ends `SAME` above its smallest value."""
    count = 0
    for part in (column[:FIRST_ROWS], column):  # more rows never make fewer groups
        ordered = np.sort(part)
        count, begin = 0, 0
        while begin < len(ordered) and count < at_most:
            count += 1
            begin = int(np.searchsorted(ordered, ordered[begin] * (1 + SAME), side="right"))
        if count == at_most:
            break
    return count


def num_distinct_rows(*columns: FloatArray, at_most: int) -> int:
    """Count exactly distinct combinations of values, up to `at_most`."""
    rows, count = np.stack(columns), 0
    for part in (rows[:, :FIRST_ROWS], rows):
        count = min(np.unique(part, axis=1).shape[1], at_most)
        if count == at_most:
            break
    return count


def before_fit(law: Law, observations: Observations) -> Verdict | None:
    """Give the refusal that needs no fit, or None. Rows of weight zero and repeated rows count for nothing."""
    used = observations if (observations.weights > 0).all() else observations.take(observations.weights > 0)
    P = len(law.parameter_names)
    rows = num_distinct_rows(*(getattr(used, name) for name in law.inputs), used.loss, at_most=P + 2)
    if rows < P + 2:
        return Verdict(
            "refused",
            f"{rows} distinct points for the {P} parameters of {law.name}: at least {P + 2} are needed; "
            f"add {P + 2 - rows} or more",
        )
    if float(used.loss.max() / used.loss.min() - 1) < CONSTANT_LOSS:
        return Verdict("refused", "every loss is the same, so there is nothing to fit; add other sizes or budgets")
    has_floor = "E" in law.parameter_names
    for variable in law.inputs:
        values = num_distinct(getattr(used, variable))
        if values == 1:
            return Verdict(
                "refused",
                f"every point has the same {variable}, so its exponent cannot be told; add points at other {variable}",
            )
        if values < MIN_VALUES and has_floor:
            return Verdict(
                "refused",
                f"the points have only {values} values of {variable}, too few for a floor and an exponent; "
                f"add a third value of {variable}, better more",
            )
    if {"params", "tokens"} <= set(law.inputs):
        return _before_joint_fit(used)
    return None


def _before_joint_fit(used: Observations) -> Verdict | None:
    budgets = used.flops if used.budget is None else used.budget
    if num_distinct(budgets) < MIN_BUDGETS:
        return Verdict(
            "refused",
            f"the points have only {num_distinct(budgets)} compute budgets, so nothing is seen of how the loss bends "
            "with compute; add a third budget, better more",
        )
    log_n, log_d = np.log(used.params), np.log(used.tokens)
    slope = np.polyfit(log_n - log_n.mean(), log_d - log_d.mean(), 1)[0]
    off_the_line = log_d - log_d.mean() - slope * (log_n - log_n.mean())
    if num_distinct(used.tokens / used.params) == 1:
        path = "every point has the same tokens per parameter"
    elif np.abs(off_the_line).max() < np.log1p(SAME):
        path = f"every point lies on one line, tokens ~ params^{slope:.2f}"
    else:
        return None
    return Verdict(
        "unidentified",
        f"{path}, so the terms in N and in D cannot be told apart; add points off it, such as a quarter of and four "
        "times the tokens",
    )


def after_fit(law: Law, observations: Observations, surface: Surface, optimum: Optimum, delta: float) -> Verdict:
    """Judge a finished fit."""
    names, theta = law.parameter_names, optimum.coords
    if not np.isfinite(optimum.value):
        return Verdict("refused", "the objective is finite nowhere; check the units of the columns")
    bound: BoolArray = (theta <= surface.lower) | (theta >= surface.upper)
    if "E" in names and bound[names.index("E")]:
        return Verdict(
            "at_bound",
            "the best floor E is below zero, so E = 0 is a bound and no estimate; add points with a lower loss "
            "(more params, tokens), or use a form without floor",
        )
    raw = surface.to_raw(theta)
    if bound.any():
        where = ", ".join(f"{name} = {value:g}" for name, value, at in zip(names, raw, bound, strict=True) if at)
        return Verdict(
            "at_bound",
            f"{where}: the end of the allowed range and no estimate; add points that spread the variable it belongs "
            "to, or use a form without it",
        )
    if not (np.isfinite(raw).all() and np.isfinite(surface.from_raw(raw)).all()):
        lost = ", ".join(name for name, value in zip(names, raw, strict=True) if not 0 < abs(value) < np.inf)
        return Verdict(
            "at_bound", f"{lost or 'a parameter'} is beyond what a number holds; check the units of the columns"
        )
    linear = linearise(surface, theta, observations.weights, delta, observations.trajectory_index())
    if linear.condition > MAX_CONDITION:
        return Verdict(
            "unidentified",
            "two parameters move the loss of these points in the same way; add points that spread N, D and their ratio",
        )
    t = t_two_sided(LEVEL, linear.freedom)
    errors = np.sqrt(np.diag(linear.covariance))
    for name, value, error in zip(names, theta, errors, strict=True):
        if name.startswith(("alpha", "beta")) and not spans_decades(law, name) and value < t * error:
            return Verdict(
                "unidentified",
                f"{name} = {value:.3g} +- {t * error:.2g} ({LEVEL:.0%}) cannot be told from zero; "
                "add points that spread the variable it belongs to, or seeds that lower the noise",
            )
    if "E" in names and theta[names.index("E")] < CLEAR * t * errors[names.index("E")]:
        return _floor_verdict(names.index("E"), observations, surface, optimum, delta, linear.noise)
    return Verdict("converged", f"{optimum.witnesses} of {optimum.starts} starts ended in this minimum")


def _floor_verdict(
    at: int, observations: Observations, surface: Surface, optimum: Optimum, delta: float, noise: float
) -> Verdict:
    """Compare the fit with that of E = 0: twice the rise of the objective, over its scale, is chi-squared (Huber
    1981)."""
    converged = Verdict("converged", f"{optimum.witnesses} of {optimum.starts} starts ended in this minimum")
    inside, second = huber_moments(noise, delta)
    starts = np.concatenate([optimum.coords[None], optimum.pool[:2]])
    starts[:, at] = 0.0
    upper = surface.upper.copy()
    upper[at] = 0.0
    weights = observations.weights / observations.weights.mean()
    without = polish(
        surface, starts, weights, delta, upper=upper, tolerance=FLOOR_TOLERANCE, max_iterations=60
    ).values.min()
    rise = without - optimum.value / observations.weights.mean()
    if second > 0 and 2 * rise * inside / second < chi2_quantile(LEVEL, 1):
        return Verdict(
            "unidentified",
            "the profile of E is flat: a floor of zero fits as well; add points with a lower loss (more params, "
            "tokens) or seeds that lower the noise, or use a form without floor",
        )
    return converged
