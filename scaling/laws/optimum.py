"""The compute-optimal model and token count of a budget, under C = 6 N D."""

from dataclasses import dataclass

import numpy as np

from scaling.laws.fit import Fit
from scaling.laws.forms import Law
from scaling.laws.observations import FloatArray, points


@dataclass(frozen=True)
class Allocation:
    """How a law would spend a budget.

    Attributes:
        flops: C, FLOPs.
        params: N*.
        tokens: D* = C / (6 N*).
        loss: nats per token there.
        params_exponent: power of C with which N* grows; beta / (alpha + beta) for Chinchilla. None where N*
            is no power of C.
        tokens_exponent: the same for D*; alpha / (alpha + beta).
    """

    flops: float
    params: float
    tokens: float
    loss: float
    params_exponent: float | None
    tokens_exponent: float | None


def optimum(fit: Fit, flops: float) -> Allocation:
    """Give the N and D that the fitted law holds best for `flops`, and its loss there.

    Raises:
        ValueError: the law does not weigh N against D, the fit was refused, or flops is not positive.
    """
    if not flops > 0:
        raise ValueError(f"flops is {flops}: it must be positive; give the budget in FLOPs, such as 1e21")
    theta = fit.theta
    params, tokens, loss = (float(x[0]) for x in allocate(fit.law, theta[None], flops))
    try:
        exponents = fit.law.compute_exponents(theta)
        params_exponent, tokens_exponent = float(exponents[0]), float(exponents[1])
    except ValueError:
        return Allocation(flops, params, tokens, loss, None, None)
    return Allocation(flops, params, tokens, loss, params_exponent, tokens_exponent)


def allocate(law: Law, theta: FloatArray, flops: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Give N*, D* and the loss, each [R], for many parameter vectors, [R, P]."""
    theta = np.asarray(theta, dtype=np.float64)
    params = law.optimal_params(theta, np.full(len(theta), float(flops)))
    tokens = flops / 6.0 / params
    loss = np.full(len(theta), np.nan)
    good = np.isfinite(params) & (params > 0) & np.isfinite(tokens) & (tokens > 0)
    loss[good] = paired_loss(law, theta[good], params[good], tokens[good])
    return params, tokens, loss


def paired_loss(law: Law, theta: FloatArray, params: FloatArray, tokens: FloatArray) -> FloatArray:
    """Give the loss of parameter vector i at point i, [R]."""
    return np.array(
        [
            float(law.predict(one, points(params=n, tokens=d))[0])
            for one, n, d in zip(theta, params, tokens, strict=True)
        ]
    )
