"""The noise of a fit and what it does to the coordinates, to first order."""

from dataclasses import dataclass

import numpy as np

from scaling.laws.distributions import normal_density, normal_tail
from scaling.laws.observations import FloatArray, IntArray
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
    inside = 1 - 2 * normal_tail(k)
    second = inside - 2 * k * normal_density(k) + 2 * k * k * normal_tail(k)
    return inside, float(noise**2 * second)


def shared_correlation(residuals: FloatArray, clusters: IntArray) -> float:
    """Give the correlation of two residuals, [n], of one cluster, [n]; from 0 to 1, and 0 where clusters are
    single."""
    sums = np.bincount(clusters, weights=residuals)
    squares = float(np.sum(residuals**2))
    sizes = np.bincount(clusters)
    pairs = float(np.sum(sizes * (sizes - 1)))
    if pairs == 0 or squares == 0:
        return 0.0
    between = (float(np.sum(sums**2)) - squares) / pairs
    return float(np.clip(between / (squares / len(residuals)), 0.0, 1.0))


def linearise(
    surface: Surface, coords: FloatArray, weights: FloatArray, delta: float, clusters: IntArray | None = None
) -> Linearised:
    """Give the covariance of the coordinates, [P], of a fit under weights, [n].

    An M-estimator's covariance is E psi^2 / (E psi')^2 times the inverse of sum w g g' (Huber 1981, section 7.6). The
    moments are taken from the scale of the residuals under a Gaussian, not from the few rows within delta: those
    estimate a density at one point. Rows of one cluster, [n], share part of their noise (Moulton 1986).
    """
    expansion = surface.expand(coords[None])
    jacobian, residuals = expansion.jacobian[0], expansion.residuals[0]
    w = weights / weights.mean()
    P = len(coords)
    freedom = max(surface.num_rows - P, 1)
    squares = float(np.sum(w * residuals**2))
    noise = float(np.sqrt(squares / freedom))
    inside, second = huber_moments(noise, delta)
    if second > 0:
        # P (variance factor - 1) is what the squares of a robust fit exceed those of least squares by, in noise^2.
        excess = P * (second / inside**2 / noise**2 - 1)
        noise = float(np.sqrt(squares / (freedom + excess)))
        inside, second = huber_moments(noise, delta)
    pull = jacobian * w
    information, spread = pull @ jacobian.T, pull @ pull.T
    if clusters is not None:
        shared = shared_correlation(residuals, clusters)
        together = np.stack([np.bincount(clusters, weights=row) for row in pull])
        spread = spread + shared * (together @ together.T - spread)
    scale = 1 / np.sqrt(np.maximum(np.diag(information), 1e-300))
    scaled = information * np.outer(scale, scale)
    eigenvalues = np.linalg.eigvalsh(scaled)
    condition = float(eigenvalues[-1] / max(eigenvalues[0], 1e-300))
    inverse = np.linalg.pinv(scaled, hermitian=True, rcond=1e-14) * np.outer(scale, scale)
    return Linearised(second / inside**2 * inverse @ spread @ inverse, noise, freedom, condition)
