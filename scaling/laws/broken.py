"""A smoothly broken power law of one break in one variable.

Caballero et al. 2022 (arXiv 2210.14891, Eq. 1): L = E + k x^-c0 (1 + (x/x_b)^(1/s))^(-c1 s): slope c0 before
the break at x_b, c0 + c1 after it, s the width of the bend in log x.
"""

from dataclasses import dataclass

import numpy as np

from scaling.laws.curvature import curvature_of_slopes
from scaling.laws.forms import SYMBOL, Variable
from scaling.laws.observations import FloatArray, IntArray, Observations, Points
from scaling.laws.surface import Expansion, nonnegative_least_squares

SLOPE_MAX = 2.0
WIDTH_MIN, WIDTH_MAX = 0.05, 3.0


def _shape(x: FloatArray, c0: FloatArray, c1: FloatArray, centre: FloatArray, width: FloatArray) -> FloatArray:
    """Give log of the power part over k."""
    return np.asarray(-c0 * x - c1 * width * np.logaddexp(0.0, (x - centre) / width))


class BrokenSurface:
    """The broken power law over given rows; coordinates E, k, c0, c1, log x_b (centred), s."""

    def __init__(self, x: FloatArray, log_loss: FloatArray) -> None:
        """Centre the columns, both [n]."""
        self.x_centre, self.log_scale = float(x.mean()), float(log_loss.mean())
        self._init(x - self.x_centre, log_loss - self.log_scale)
        inner = np.quantile(self.x, [0.1, 0.9])
        self.lower = np.array([0.0, 0.0, 0.0, -SLOPE_MAX, inner[0], WIDTH_MIN])
        self.upper = np.array([np.inf, np.inf, SLOPE_MAX, SLOPE_MAX, inner[1], WIDTH_MAX])

    def _init(self, x: FloatArray, log_loss: FloatArray) -> None:
        self.x, self.log_loss = x, log_loss

    @property
    def num_rows(self) -> int:
        """Number of rows, n."""
        return len(self.x)

    def rows(self, index: IntArray | slice) -> "BrokenSurface":
        """Give the same coordinates over some of the rows."""
        part = object.__new__(BrokenSurface)
        part.x_centre, part.log_scale = self.x_centre, self.log_scale
        part.lower, part.upper = self.lower, self.upper
        part._init(self.x[index], self.log_loss[index])
        return part

    def _slopes(self, coords: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give f, [S, n], and df/dcoordinates, [S, P, n]."""
        floor, k, c0, c1, centre, width = (column[:, None] for column in coords.T)
        z = (self.x - centre) / width
        soft, gate = np.logaddexp(0.0, z), 0.5 * (1 + np.tanh(0.5 * z))
        power = np.exp(-c0 * self.x - c1 * width * soft)
        h = k * power
        slopes = [
            np.ones_like(h),
            power,
            -h * self.x,
            -h * width * soft,
            h * c1 * gate,
            -h * c1 * (soft - z * gate),
        ]
        return floor + h, np.stack(slopes, axis=1)

    def residuals(self, coords: FloatArray) -> FloatArray:
        """Give log of the measured loss minus log f, [S, n]."""
        floor, k, c0, c1, centre, width = (column[:, None] for column in coords.T)
        with np.errstate(divide="ignore"):
            loss = floor + k * np.exp(_shape(self.x, c0, c1, centre, width))
            return np.asarray(self.log_loss - np.log(loss))

    def expand(self, coords: FloatArray) -> Expansion:
        """Give value and first derivatives at coords, [S, P]."""
        loss, slopes = self._slopes(coords)
        with np.errstate(divide="ignore", invalid="ignore"):
            return Expansion(self.log_loss - np.log(loss), loss, slopes / loss[:, None])

    def curvature(self, coords: FloatArray, expansion: Expansion, factors: FloatArray) -> FloatArray:
        """Give sum over rows of factors * d2f/dcoordinates2 / f, [S, P, P]; by differences."""
        return curvature_of_slopes(lambda at: self._slopes(at)[1], coords, factors / expansion.loss)

    def starts(self, weights: FloatArray) -> FloatArray:
        """Give the best floor and coefficient over a grid of slopes, breaks and widths."""
        slopes = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.2)
        changes = (-0.3, -0.1, -0.03, 0.03, 0.1, 0.3)
        breaks = np.quantile(self.x, [0.2, 0.35, 0.5, 0.65, 0.8])
        mesh = np.meshgrid(slopes, changes, breaks, (0.1, 0.6), indexing="ij")
        shape = np.stack([part.ravel() for part in mesh], axis=1)
        power = np.exp(_shape(self.x, *(column[:, None] for column in shape.T)))
        Z = np.stack([np.ones_like(power), power], axis=1) * np.exp(-self.log_loss)
        linear = nonnegative_least_squares((Z * weights) @ Z.transpose(0, 2, 1), (Z * weights).sum(axis=2))
        return np.asarray(np.clip(np.concatenate([linear, shape], axis=1), self.lower, self.upper))

    def to_raw(self, coords: FloatArray) -> FloatArray:
        """Give E, k, c0, c1, x_b, s, [..., 6]."""
        floor, k, c0, c1, centre, width = np.moveaxis(np.asarray(coords, dtype=np.float64), -1, 0)
        scale = np.exp(self.log_scale)
        k_raw = k * np.exp(self.log_scale + c0 * self.x_centre)
        return np.asarray(np.stack([floor * scale, k_raw, c0, c1, np.exp(centre + self.x_centre), width], axis=-1))

    def from_raw(self, theta: FloatArray) -> FloatArray:
        """Give the coordinates, [..., 6], of parameters in raw units."""
        floor, k, c0, c1, bend, width = np.moveaxis(np.asarray(theta, dtype=np.float64), -1, 0)
        scale = np.exp(-self.log_scale)
        k_centred = k * np.exp(-self.log_scale - c0 * self.x_centre)
        return np.stack([floor * scale, k_centred, c0, c1, np.log(bend) - self.x_centre, width], axis=-1)


@dataclass(frozen=True)
class BrokenPowerLaw:
    """L = E + k x^-c0 (1 + (x/x_b)^(1/s))^(-c1 s)."""

    variable: Variable = "flops"
    parameter_names: tuple[str, ...] = ("E", "k", "c0", "c1", "x_b", "s")

    @property
    def name(self) -> str:
        """Identifier in tables and fits.json."""
        return f"broken_{self.variable}"

    @property
    def formula(self) -> str:
        """The form as text."""
        x = SYMBOL[self.variable]
        return f"L = E + k {x}^-c0 (1 + ({x}/x_b)^(1/s))^(-c1 s)"

    @property
    def inputs(self) -> tuple[str, ...]:
        """The one column it reads."""
        return (self.variable,)

    def predict(self, theta: FloatArray, at: Points | Observations) -> FloatArray:
        """Give the loss in nats per token, [..., n], for theta, [..., P]."""
        floor, k, c0, c1, bend, width = (np.asarray(theta, dtype=np.float64)[..., i, None] for i in range(6))
        x = np.log(getattr(at, self.variable))
        return np.asarray(floor + np.exp(np.log(k) + _shape(x, c0, c1, np.log(bend), width)))

    def gradient(self, theta: FloatArray, at: Points | Observations) -> FloatArray:
        """Give the derivative of the loss by each parameter, [..., P, n]."""
        _, k, c0, c1, bend, width = (np.asarray(theta, dtype=np.float64)[..., i, None] for i in range(6))
        x = np.log(getattr(at, self.variable))
        z = (x - np.log(bend)) / width
        soft, gate = np.logaddexp(0.0, z), 0.5 * (1 + np.tanh(0.5 * z))
        h = np.exp(np.log(k) - c0 * x - c1 * width * soft)
        slopes = [
            np.ones_like(h),
            h / k,
            -h * x,
            -h * width * soft,
            h * c1 * gate / bend,
            -h * c1 * (soft - z * gate),
        ]
        return np.stack(slopes, axis=-2)

    def surface(self, observations: Observations) -> BrokenSurface:
        """Give the form over these rows in the centred coordinates of the solver."""
        return BrokenSurface(np.log(getattr(observations, self.variable)), np.log(observations.loss))

    def optimal_params(self, theta: FloatArray, flops: FloatArray) -> FloatArray:
        """Raise ValueError: a law in one variable weighs nothing."""
        raise ValueError(f"{self.name} does not weigh params against tokens; use a form in both")

    def compute_exponents(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Raise ValueError: a law in one variable weighs nothing."""
        raise ValueError(f"{self.name} does not weigh params against tokens; use a form in both")


BROKEN_FLOPS = BrokenPowerLaw("flops")
