"""Quantities that a study may be asked for, as functions of a law's raw parameters, [R, P] to [R]."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scaling.laws.forms import Law
from scaling.laws.observations import FloatArray
from scaling.laws.optimum import allocate

Function = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Quantity:
    """A number that a law gives.

    Attributes:
        name: as a person writes it.
        function: of theta, [R, P] to [R].
        logarithmic: whether the number is the log of what is wanted.
    """

    name: str
    function: Function
    logarithmic: bool


NAMES = ("ln N_opt", "ln L_opt", "alpha", "beta")
# A standard deviation up to the first answers, beyond the second it answers nothing. For ln N_opt by simulation: 0.3 is
# an interval of a factor of 1.8 either way, 1 one of 7; the others are of the same quality on a grid of 30 points.
LIMITS = {"ln N_opt": (0.3, 1.0), "ln L_opt": (0.03, 0.1), "alpha": (0.1, 0.3), "beta": (0.1, 0.3)}


def quantity(name: str, law: Law, flops: float) -> Quantity:
    """Give a quantity by its name; ln N_opt and ln L_opt are those of a budget under C = 6 N D.

    Raises:
        ValueError: there is no such quantity, or the law has no such parameter.
    """
    if name == "ln N_opt":
        return Quantity(name, log_optimal_params(law, flops), True)
    if name == "ln L_opt":
        return Quantity(name, log_optimal_loss(law, flops), True)
    if name not in NAMES or name not in law.parameter_names:
        raise ValueError(f"the quantity is {name!r}: it must be one of {', '.join(NAMES)}")
    at = law.parameter_names.index(name)
    return Quantity(name, lambda theta: np.asarray(theta[..., at]), False)


def log_optimal_params(law: Law, flops: float) -> Function:
    """Give the function ln N* at a budget."""
    return lambda theta: np.asarray(np.log(law.optimal_params(theta, np.full(theta.shape[:-1], flops))))


def log_optimal_loss(law: Law, flops: float) -> Function:
    """Give the function ln L(N*, D*) at a budget."""
    return lambda theta: np.asarray(np.log(allocate(law, theta, flops)[2]))
