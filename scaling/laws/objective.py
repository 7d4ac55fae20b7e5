"""The objective of every fit: the weighted sum of Huber losses of the residuals of the log loss.

Hoffmann et al. 2022 (arXiv 2203.15556, Eq. 3) with delta = 1e-3. A sum, not a mean, and minimised to a
tolerance relative
to itself: averaging under the default tolerances of a library stops early (Besiroglu et al. 2024, arXiv
    2404.10102).
"""

from dataclasses import dataclass

import numpy as np

from scaling.laws.observations import FloatArray

DELTA = 1e-3


@dataclass(frozen=True)
class Objective:
    """What was minimised, and its value at the result.

    Attributes:
        delta: residual of the log loss at which the Huber loss turns from quadratic to linear.
        weights: how the rows are weighted, in words.
        value: the sum over rows; None when nothing was fitted.
    """

    delta: float
    weights: str
    value: float | None
    name: str = "huber_log"


def huber(residuals: FloatArray, delta: float) -> FloatArray:
    """Give r^2/2 where |r| <= delta and delta (|r| - delta/2) beyond, of the shape of `residuals`."""
    size = np.abs(residuals)
    capped = np.minimum(size, delta)
    return np.asarray(capped * (size - 0.5 * capped))


def huber_sums(residuals: FloatArray, weights: FloatArray, delta: float) -> FloatArray:
    """Give the weighted sum for each lane, [S], of residuals, [S, n], under weights, [S, n] or [n].

    A lane whose residuals are not finite (a law that is zero or overflows there) is infinitely bad.
    """
    values = np.einsum("...n,...n->...", np.broadcast_to(weights, residuals.shape), huber(residuals, delta))
    return np.where(np.isfinite(values), values, np.inf)
