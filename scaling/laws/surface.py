"""A law over given rows, in the centred coordinates in which it is fitted.

Raw coefficients span tens of decades and correlate with the exponents. Here logarithms of N, D and C are
centred on their
means over the rows, and losses on their geometric mean: coefficients are then near one, for any units of the
    inputs.

Legend: S lanes (starts or resamples side by side), P coordinates, K terms, Q exponents, n rows.
"""

import itertools
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from scaling.laws.observations import FloatArray, IntArray


@dataclass(frozen=True)
class Expansion:
    """A law to first order around each lane, f being its loss.

    Attributes:
        residuals: log of the measured loss minus log f, [S, n].
        loss: f, [S, n].
        jacobian: (df/dcoordinate) / f, [S, P, n].
    """

    residuals: FloatArray
    loss: FloatArray
    jacobian: FloatArray


class Surface(Protocol):
    """What the solver asks of a law over given rows."""

    lower: FloatArray
    upper: FloatArray

    @property
    def num_rows(self) -> int:
        """Number of rows, n."""

    def residuals(self, coords: FloatArray) -> FloatArray:
        """Give log of the measured loss minus log of the law, [S, n], for coords, [S, P]."""

    def expand(self, coords: FloatArray) -> Expansion:
        """Give value and first derivatives at coords, [S, P]."""

    def curvature(self, coords: FloatArray, expansion: Expansion, factors: FloatArray) -> FloatArray:
        """Give sum over rows of factors * d2f/dcoordinates2 / f, [S, P, P], for factors, [S, n]."""

    def starts(self, weights: FloatArray) -> FloatArray:
        """Give coordinates, [G, P], that cover the space, for rows weighted by weights, [n]."""

    def rows(self, index: IntArray | slice) -> "Surface":
        """Give the same coordinates over some of the rows."""

    def to_raw(self, coords: FloatArray) -> FloatArray:
        """Give the law's parameters in raw units, [..., P]."""

    def from_raw(self, theta: FloatArray) -> FloatArray:
        """Give the coordinates, [..., P], of parameters in raw units."""


# Exponents at which the outer search of variable projection looks: dense where scaling laws have been found,
# up to the bound.
GRID_1 = tuple(np.concatenate([[0.0], np.geomspace(0.01, 8.0, 48)]))
GRID_2 = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.85, 1, 1.25, 1.5, 2, 3, 4, 6, 8)
GRID_3 = (0.0, 0.1, 0.2, 0.3, 0.4, 0.55, 0.75, 1, 1.5, 3)


class SumSurface:
    """f = sum over terms of c_k exp(X_k @ exponents): linear in c, log-linear in each term's exponents.

    Coordinates are the K coefficients (bounded below by 0), then the Q exponents (between 0 and
    `exponent_max`).
    """

    def __init__(self, features: FloatArray, log_loss: FloatArray, exponent_max: float) -> None:
        """Centre features, [K, n, Q], and log_loss, [n]."""
        self.centres = features.mean(axis=1)
        self.log_scale = float(log_loss.mean())
        self._init(features - self.centres[:, None, :], log_loss - self.log_scale, exponent_max)

    def _init(self, X: FloatArray, y: FloatArray, exponent_max: float) -> None:
        self.X, self.y = X, y
        self.K, _, self.Q = X.shape
        self.lower = np.zeros(self.K + self.Q)
        self.upper = np.concatenate([np.full(self.K, np.inf), np.full(self.Q, exponent_max)])
        # Most terms read one exponent, and a floor none: skip the zeros.
        self.used = [[j for j in range(self.Q) if np.any(X[k, :, j] != 0)] for k in range(self.K)]

    @property
    def num_rows(self) -> int:
        """Number of rows, n."""
        return len(self.y)

    def rows(self, index: IntArray | slice) -> "SumSurface":
        """Give the same coordinates (the same centres) over some of the rows."""
        part = object.__new__(SumSurface)
        part.centres, part.log_scale = self.centres, self.log_scale
        part._init(self.X[:, index], self.y[index], float(self.upper[-1]))
        return part

    def _powers(self, coords: FloatArray) -> list[FloatArray]:
        """Give each term over its coefficient, K arrays [S, n]."""
        powers = []
        for k, used in enumerate(self.used):
            if not used:
                powers.append(np.ones((len(coords), self.num_rows)))
            elif len(used) == 1:
                powers.append(np.exp(coords[:, self.K + used[0], None] * self.X[k, :, used[0]]))
            else:
                powers.append(np.exp(coords[:, self.K :] @ self.X[k].T))
        return powers

    def _loss(self, coords: FloatArray, powers: list[FloatArray]) -> FloatArray:
        loss = coords[:, 0, None] * powers[0]
        for k in range(1, self.K):
            loss += coords[:, k, None] * powers[k]
        return loss

    def residuals(self, coords: FloatArray) -> FloatArray:
        """Give log of the measured loss minus log f, [S, n]."""
        loss = self._loss(coords, self._powers(coords))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.y - np.log(loss))

    def expand(self, coords: FloatArray) -> Expansion:
        """Give value and first derivatives at coords, [S, P]."""
        powers = self._powers(coords)
        loss = self._loss(coords, powers)
        jacobian = np.zeros((len(coords), self.K + self.Q, self.num_rows))
        with np.errstate(divide="ignore", invalid="ignore"):
            residuals = self.y - np.log(loss)
            inverse = 1.0 / loss
            for k, used in enumerate(self.used):
                np.multiply(powers[k], inverse, out=jacobian[:, k])
                for j in used:
                    jacobian[:, self.K + j] += (coords[:, k, None] * jacobian[:, k]) * self.X[k, :, j]
        return Expansion(residuals, loss, jacobian)

    def curvature(self, coords: FloatArray, expansion: Expansion, factors: FloatArray) -> FloatArray:
        """Give sum over rows of factors * d2f/dcoordinates2 / f, [S, P, P]; exact."""
        K = self.K
        total = np.zeros((len(coords), K + self.Q, K + self.Q))
        for k, used in enumerate(self.used):
            if not used:
                continue
            share = factors * expansion.jacobian[:, k]
            for j in used:
                mixed = share @ self.X[k, :, j]
                total[:, k, K + j] += mixed
                total[:, K + j, k] += mixed
                for i in used:
                    total[:, K + i, K + j] += coords[:, k] * (share @ (self.X[k, :, i] * self.X[k, :, j]))
        return total

    def starts(self, weights: FloatArray) -> FloatArray:
        """Give the profile over a grid of exponents: the best coefficients for each, [G, P] (variable
        projection).

        The inner problem is non-negative least squares in the relative residual f/L - 1, solved exactly by
        trying every set of active coefficients; it agrees with the log residual to first order (Golub &
        Pereyra 1973).
        """
        grid = (GRID_1, GRID_2, GRID_3)[min(self.Q, 3) - 1]
        exponents = np.array(list(itertools.product(grid, repeat=self.Q)))
        coords = np.concatenate([np.ones((len(exponents), self.K)), exponents], axis=1)
        Z = np.stack(self._powers(coords), axis=1) * np.exp(-self.y)
        gram = (Z * weights) @ Z.transpose(0, 2, 1)
        target = (Z * weights).sum(axis=2)
        coords[:, : self.K] = nonnegative_least_squares(gram, target)
        return coords

    def _raw_factor(self, coords: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(self.log_scale - coords[..., self.K :] @ self.centres.T))

    def to_raw(self, coords: FloatArray) -> FloatArray:
        """Give coefficients and exponents in raw units, [..., P]; infinite where float64 cannot hold them."""
        raw = np.array(coords, dtype=np.float64)
        factor = self._raw_factor(raw)
        raw[..., : self.K] *= np.where(raw[..., : self.K] == 0, 1.0, factor)
        return raw

    def from_raw(self, theta: FloatArray) -> FloatArray:
        """Give the coordinates, [..., P], of parameters in raw units."""
        coords = np.array(theta, dtype=np.float64)
        coords[..., : self.K] /= self._raw_factor(coords)
        return coords


def nonnegative_least_squares(gram: FloatArray, target: FloatArray) -> FloatArray:
    """Minimise c gram c / 2 - target c over c >= 0 for each lane: gram [S, K, K], target [S, K]; exact, for
    small K.

    The optimum is the unconstrained optimum of its own active set: every subset is solved, and the best
        feasible one kept.
    """
    S, K = target.shape
    best_value, best = np.zeros(S), np.zeros((S, K))
    ridge = 1e-13 * np.trace(gram, axis1=1, axis2=2)[:, None, None]  # two equal columns are no error
    for subset in itertools.chain.from_iterable(itertools.combinations(range(K), size) for size in range(1, K + 1)):
        at = np.array(subset)
        part = gram[:, at][:, :, at] + ridge * np.eye(len(at))
        solution = np.linalg.solve(part, target[:, at, None])[:, :, 0]
        value = -(solution * target[:, at]).sum(axis=1)
        better = (solution >= 0).all(axis=1) & (value < best_value)
        candidate = np.zeros((S, K))
        candidate[:, at] = solution
        best = np.where(better[:, None], candidate, best)
        best_value = np.where(better, value, best_value)
    return best
