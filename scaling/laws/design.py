"""What a set of points will tell of a law before any of them is measured, and which point to add next.

The covariance is that of the estimator which `fit` uses, an M-estimator on log losses (Huber 1981, section 7.6), with
the noise of a seed and its share that the points of one trajectory have in common. A design is c-optimal when it makes
the variance of one quantity smallest (Elfving 1952; Pukelsheim 2006, chapter 2); adding the best point again and again
for its cost is the greedy way there (Fedorov 1972).

Legend: n points, m candidates, P coordinates.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.polynomial.hermite_e import hermeval

from scaling.laws.distributions import normal_density
from scaling.laws.forms import Law
from scaling.laws.noise import huber_moments
from scaling.laws.objective import DELTA
from scaling.laws.observations import FloatArray, IntArray, Observations, Points
from scaling.laws.surface import Surface

MAX_CONDITION = 1e12  # of the information, its diagonal scaled to one; beyond, it has no inverse
STEP = 1e-5
HERMITE_TERMS = 40  # odd orders of the expansion of Huber's psi: enough to 1e-3 for correlations up to .95
# What is believed before any point: a coefficient's term, as a share of the loss, and an exponent. Wide enough to be
# forgotten after a few points, and it keeps the search for the first ones from dividing by zero.
PRIOR_COEFFICIENT_SD, PRIOR_EXPONENT_SD = 1.0, 0.3


@dataclass(frozen=True)
class Noise:
    """Of one measured loss.

    Attributes:
        relative_sd: standard deviation of the log loss over seeds.
        shared: correlation of two points of one trajectory, which have their seed and most of their steps in common.

    Raises:
        ValueError: relative_sd is not positive, or shared does not lie between 0 and 1.
    """

    relative_sd: float
    shared: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.relative_sd < 1:
            raise ValueError(
                f"the noise is {self.relative_sd}: the standard deviation of a log loss lies between 0 and 1, such as "
                "0.01; run two seeds of a cheap point to see it"
            )
        if not 0 <= self.shared <= 1:
            raise ValueError(f"the shared noise is {self.shared}: a correlation lies between 0 and 1")


def psi_moments(noise: Noise, delta: float = DELTA) -> tuple[float, float, float]:
    """Give E psi', E psi^2, and the correlation of psi of two points of one trajectory.

    Huber's psi cuts most residuals off, which loosens their correlation: that of two signs is 2/pi asin of that of
    their numbers. In general it is a power series whose coefficients are those of psi in Hermite polynomials (Mehler).
    """
    inside, second = huber_moments(noise.relative_sd, delta)
    if noise.shared in (0.0, 1.0):
        return inside, second, noise.shared
    k = delta / noise.relative_sd
    squares = [inside**2]
    for order in range(3, 2 * HERMITE_TERMS, 2):
        polynomial = hermeval(k, [0.0] * (order - 2) + [1.0])
        scaled = -2 * polynomial * normal_density(k) * math.exp(-0.5 * math.lgamma(order + 1))
        squares.append(float(scaled) ** 2)
    powers = noise.shared ** np.arange(1, 2 * HERMITE_TERMS, 2)
    explained = float(np.dot(squares, powers)) * noise.relative_sd**2
    # What the truncated series leaves out belongs to orders that the correlation's power makes nearly vanish.
    return inside, second, min(explained / second, noise.shared)


@dataclass(frozen=True)
class Linear:
    """A law to first order around given parameters.

    Attributes:
        surface: the law over the points, in the centred coordinates of its fit.
        coords: the parameters there, [P].
        slopes: derivative of the log loss at each point by each coordinate, [n, P].
    """

    surface: Surface
    coords: FloatArray
    slopes: FloatArray

    def slope(self, function: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """Give the derivative by each coordinate, [P], of a function of raw parameters, [R, P] to [R]."""
        step = np.diag(STEP * np.maximum(np.abs(self.coords), 1e-3))
        ahead, behind = (function(self.surface.to_raw(self.coords + sign * step)) for sign in (1, -1))
        return np.asarray((ahead - behind) / (2 * np.diag(step)))


def linear(law: Law, theta: FloatArray, at: Points) -> Linear:
    """Linearise a law with raw parameters theta, [P], over points."""
    theta = np.asarray(theta, dtype=np.float64)
    rows = Observations(at.params, at.tokens, law.predict(theta, at), flops=at.flops, unique_tokens=at.unique_tokens)
    surface = law.surface(rows)
    coords = surface.from_raw(theta)
    return Linear(surface, coords, surface.expand(coords[None]).jacobian[0].T)


@dataclass(frozen=True)
class Knowledge:
    """What points would tell together, in the coordinates of one `Linear`; unweighted, as studies are fitted.

    Attributes:
        information: sum of the outer products of the points' slopes, [P, P].
        spread: the same with the products between points of one trajectory, by their correlation, [P, P].
        sums: sum of slopes of each trajectory, [T, P].
        precision: of one unit of information, E psi'^2 / E psi^2.
        correlation: of psi between points of one trajectory.
        prior: precision of what is believed before any point, [P, P]; zero for none.
    """

    information: FloatArray
    spread: FloatArray
    sums: FloatArray
    precision: float
    correlation: float
    prior: FloatArray = field(repr=False)

    def covariance(self) -> FloatArray | None:
        """Give the covariance of the coordinates, [P, P]; None where the points cannot tell them all."""
        total = self.precision * self.information + self.prior
        scale = 1 / np.sqrt(np.maximum(np.diag(total), 1e-300))
        scaled = total * np.outer(scale, scale)
        eigenvalues = np.linalg.eigvalsh(scaled)
        if not eigenvalues[-1] < MAX_CONDITION * eigenvalues[0]:
            return None
        inverse = np.linalg.inv(scaled) * np.outer(scale, scale)
        return np.asarray(inverse @ (self.precision * self.spread + self.prior) @ inverse)

    def sd(self, slope: FloatArray) -> float:
        """Give the standard deviation of a quantity with this slope, [P]; infinite where the points cannot tell it."""
        covariance = self.covariance()
        return math.inf if covariance is None else math.sqrt(max(float(slope @ covariance @ slope), 0.0))

    def variances_with(self, slopes: FloatArray, trajectories: IntArray, slope: FloatArray) -> FloatArray:
        """Give the variance, [m], of a quantity after adding each candidate alone: slopes [m, P], its trajectory [m].

        A candidate on a trajectory of its own has the number -1. Needs a prior where the points alone are too few.
        """
        outer = slopes[:, :, None] * slopes[:, None, :]
        with_sums = np.where(trajectories[:, None] >= 0, self.sums[trajectories], 0.0) if len(self.sums) else 0 * slopes
        mixed = slopes[:, :, None] * with_sums[:, None, :]
        spread = self.spread + outer + self.correlation * (mixed + mixed.transpose(0, 2, 1))
        total = self.precision * (self.information + outer) + self.prior
        solved = np.linalg.solve(total, np.broadcast_to(slope, slopes.shape)[:, :, None])[:, :, 0]
        return np.asarray(np.einsum("mp,mpq,mq->m", solved, self.precision * spread + self.prior, solved))

    def plus(self, slopes: FloatArray, trajectory: int) -> "Knowledge":
        """Give what is known with one more point: slopes [P]; the number of its trajectory, or -1 for a new one."""
        outer = np.outer(slopes, slopes)
        sums = self.sums if trajectory >= 0 else np.concatenate([self.sums, np.zeros((1, len(slopes)))])
        mixed = np.outer(slopes, sums[trajectory])
        sums = sums.copy()
        sums[trajectory] += slopes
        return Knowledge(
            self.information + outer,
            self.spread + outer + self.correlation * (mixed + mixed.T),
            sums,
            self.precision,
            self.correlation,
            self.prior,
        )


def knowledge(
    slopes: FloatArray, trajectories: IntArray, noise: Noise, *, prior: FloatArray | None = None, delta: float = DELTA
) -> Knowledge:
    """Give what points would tell: slopes [n, P], the number of each one's trajectory [n].

    Args:
        slopes: of `Linear`, for the points in question.
        trajectories: 0 to (number of trajectories - 1).
        noise: of a loss.
        prior: precision of the coordinates before any point, [P, P]; none when left out.
        delta: of the Huber loss.
    """
    inside, second, correlation = psi_moments(noise, delta)
    P = slopes.shape[1]
    information = slopes.T @ slopes
    sums = np.zeros((int(trajectories.max()) + 1 if len(trajectories) else 0, P))
    np.add.at(sums, trajectories, slopes)
    spread = information + correlation * (sums.T @ sums - information)
    empty = np.zeros((P, P))
    return Knowledge(information, spread, sums, inside**2 / second, correlation, empty if prior is None else prior)


def weak_prior(law: Law) -> FloatArray:
    """Give the precision, [P, P], of next to no belief in a law's coordinates."""
    exponents = np.array([name.startswith(("alpha", "beta", "gamma")) for name in law.parameter_names])
    return np.diag(np.where(exponents, PRIOR_EXPONENT_SD, PRIOR_COEFFICIENT_SD) ** -2.0)


@dataclass(frozen=True)
class Belief:
    """What is held true before points are measured.

    Attributes:
        law: the form.
        theta: its parameters in raw units, [P].
        noise: of a loss.
        source: where they come from, in words.
    """

    law: Law
    theta: FloatArray
    noise: Noise
    source: str
