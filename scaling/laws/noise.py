"""The noise of a fit and what it does to the coordinates, to first order."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from scaling.laws.observations import FloatArray
from scaling.laws.surface import Surface


@dataclass(frozen=True)
class Linearised:
    """A fit to first order.

    Attributes:
        covariance: of the coordinates, [P, P].
        noise: standard deviation of the log residuals, degrees of freedom taken off.
        freedom: degrees of freedom, n - P.
        condition: of the information matrix with its diagonal scaled to one; beyond 1e12 it has no inverse.
    """

    covariance: FloatArray
    noise: float
    freedom: int
    condition: float


def huber_moments(noise: float, delta: float) -> tuple[float, float]:
    """Give E psi' and E psi^2 of the Huber loss for Gaussian residuals of this scale (Huber 1964, Eq. 25)."""
    if noise <= 0:
        return 1.0, 0.0
    k = delta / noise
    inside = float(2 * stats.norm.cdf(k) - 1)
    second = inside - 2 * k * stats.norm.pdf(k) + 2 * k * k * stats.norm.sf(k)
    return inside, float(noise**2 * second)


def linearise(surface: Surface, coords: FloatArray, weights: FloatArray, delta: float) -> Linearised:
    """Give the covariance of the coordinates, [P], of a fit under weights, [n].

    An M-estimator's covariance is E psi^2 / (E psi')^2 times the inverse of sum w g g' (Huber 1981, section 7.6).
    The moments are taken from the scale of the residuals under a Gaussian, not from the few rows within delta:
    those estimate a density at one point.
    """
    expansion = surface.expand(coords[None])
    jacobian = expansion.jacobian[0]
    w = weights / weights.mean()
    freedom = max(surface.num_rows - len(coords), 1)
    noise = float(np.sqrt(np.sum(w * expansion.residuals[0] ** 2) / freedom))
    inside, second = huber_moments(noise, delta)
    information = (jacobian * w) @ jacobian.T
    spread = (jacobian * w**2) @ jacobian.T
    scale = 1 / np.sqrt(np.maximum(np.diag(information), 1e-300))
    scaled = information * np.outer(scale, scale)
    eigenvalues = np.linalg.eigvalsh(scaled)
    condition = float(eigenvalues[-1] / max(eigenvalues[0], 1e-300))
    inverse = np.linalg.pinv(scaled, hermitian=True, rcond=1e-14) * np.outer(scale, scale)
    return Linearised(second / inside**2 * inverse @ spread @ inverse, noise, freedom, condition)
