"""Joint laws whose two terms are added under a power: Kaplan's L(N, D) and Chinchilla with an interaction.

Both are E + h with h = ((P N^-p)^(1/g) + (Q D^-q)^(1/g))^g, a 1/g-norm of two power laws: g = 1 adds them, g
-> 0 takes the larger. The surface works in (E, log P, log Q, p, q, g) with N and D centred.
"""

from dataclasses import dataclass

import numpy as np

from scaling.laws.curvature import curvature_of_slopes
from scaling.laws.observations import FloatArray, IntArray, Observations, Points
from scaling.laws.surface import Expansion, SumSurface

POWER_MAX = 2.0  # of p and q: raw exponents are p/g, and beyond 20 their coefficients leave float64
NORM_MIN, NORM_MAX = 0.1, 10.0
LOG_MAX = 30.0  # of the centred log coefficients
NORM_STARTS = (0.3, 0.6, 1.0, 1.6, 3.0)
STARTS_PER_NORM = 24


def _norm(log_p: FloatArray, log_q: FloatArray, g: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Give log h, the share of the first term, and d log h / dg (the entropy of the shares)."""
    first, second = log_p / g, log_q / g
    total = np.logaddexp(first, second)
    share = np.exp(first - total)
    entropy = total - share * first - (1 - share) * second
    return g * total, share, entropy


class JointSurface:
    """The norm of two power laws over given rows; `kaplan` fixes E = 0 and q = g.

    Coordinates: E, log P, log Q, p, q, g; for Kaplan log P, log Q, p, g.
    """

    def __init__(self, observations: Observations, kaplan: bool) -> None:
        """Centre the columns."""
        x, y = np.log(observations.params), np.log(observations.tokens)
        self.x_centre, self.y_centre = float(x.mean()), float(y.mean())
        log_loss = np.log(observations.loss)
        self.log_scale = float(log_loss.mean())
        self._init(x - self.x_centre, y - self.y_centre, log_loss - self.log_scale, kaplan)

    def _init(self, x: FloatArray, y: FloatArray, log_loss: FloatArray, kaplan: bool) -> None:
        self.x, self.y, self.log_loss, self.kaplan = x, y, log_loss, kaplan
        if kaplan:
            self.lower = np.array([-LOG_MAX, -LOG_MAX, 0.0, NORM_MIN / 10])
            self.upper = np.array([LOG_MAX, LOG_MAX, POWER_MAX, POWER_MAX])
        else:
            self.lower = np.array([0.0, -LOG_MAX, -LOG_MAX, 0.0, 0.0, NORM_MIN])
            self.upper = np.array([np.inf, LOG_MAX, LOG_MAX, POWER_MAX, POWER_MAX, NORM_MAX])

    @property
    def num_rows(self) -> int:
        """Number of rows, n."""
        return len(self.x)

    def rows(self, index: IntArray | slice) -> "JointSurface":
        """Give the same coordinates over some of the rows."""
        part = object.__new__(JointSurface)
        part.x_centre, part.y_centre, part.log_scale = self.x_centre, self.y_centre, self.log_scale
        part._init(self.x[index], self.y[index], self.log_loss[index], self.kaplan)
        return part

    def _full(self, coords: FloatArray) -> FloatArray:
        """Give E, log P, log Q, p, q, g, [S, 6], of either kind."""
        if not self.kaplan:
            return coords
        log_p, log_q, p, g = coords.T
        return np.stack([np.zeros_like(g), log_p, log_q, p, g, g], axis=1)

    def _terms(self, full: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        _, log_p, log_q, p, q, g = (column[:, None] for column in full.T)
        log_h, share, entropy = _norm(log_p - p * self.x, log_q - q * self.y, g)
        return np.exp(log_h), share, entropy

    def residuals(self, coords: FloatArray) -> FloatArray:
        """Give log of the measured loss minus log f, [S, n]."""
        full = self._full(coords)
        h, _, _ = self._terms(full)
        with np.errstate(divide="ignore"):
            return np.asarray(self.log_loss - np.log(full[:, :1] + h))

    def _slopes(self, coords: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give f, [S, n], and df/dcoordinates, [S, P, n]."""
        full = self._full(coords)
        h, share, entropy = self._terms(full)
        first, second = h * share, h * (1 - share)
        ones = np.ones_like(h)
        slopes = [ones, first, second, -first * self.x, -second * self.y, h * entropy]
        if self.kaplan:
            slopes = [*slopes[1:4], slopes[4] + slopes[5]]
        return full[:, :1] + h, np.stack(slopes, axis=1)

    def expand(self, coords: FloatArray) -> Expansion:
        """Give value and first derivatives at coords, [S, P]."""
        loss, slopes = self._slopes(coords)
        return Expansion(self.log_loss - np.log(loss), loss, slopes / loss[:, None])

    def curvature(self, coords: FloatArray, expansion: Expansion, factors: FloatArray) -> FloatArray:
        """Give sum over rows of factors * d2f/dcoordinates2 / f, [S, P, P]; by differences."""
        return curvature_of_slopes(lambda at: self._slopes(at)[1], coords, factors / expansion.loss)

    def starts(self, weights: FloatArray) -> FloatArray:
        """Give the best points of Chinchilla's outer search, under several norms."""
        features = np.zeros((3, self.num_rows, 2))
        features[1, :, 0], features[2, :, 1] = -self.x, -self.y
        plain = SumSurface(features, self.log_loss, POWER_MAX)
        grid = plain.starts(weights)
        floor, first, second, p, q = grid.T
        at_centre = np.exp(plain.log_scale)
        good = (first > 0) & (second > 0) & (p > 0) & (q > 0) & (p <= POWER_MAX) & (q <= POWER_MAX)
        if not good.any():  # one term is idle under addition; a norm may still need both
            good, first, second = np.ones_like(good), np.maximum(first, 1e-3), np.maximum(second, 1e-3)
        score = np.abs(plain.residuals(grid)) @ weights
        keep = np.flatnonzero(good)[np.argsort(score[good], kind="stable")][:STARTS_PER_NORM]
        starts = []
        for g in NORM_STARTS:
            # The norm of two equal terms is 2^g of one: keep the sum at the centre.
            shift = np.log(at_centre) + (1 - g) * np.log(2)
            log_p, log_q = np.log(first[keep]) + shift, np.log(second[keep]) + shift
            norm = np.full(len(keep), g)
            if self.kaplan:
                norm = np.clip(q[keep] * g / 2, self.lower[3], self.upper[3])
                total = np.log(first[keep] + second[keep])
                lift = np.log(floor[keep] + first[keep] + second[keep]) - total
                starts.append(np.stack([log_p + lift, log_q + lift, p[keep] / 3, norm], axis=1))
            else:
                starts.append(np.stack([floor[keep] * at_centre, log_p, log_q, p[keep], q[keep], norm], axis=1))
        return np.asarray(np.clip(np.concatenate(starts), self.lower, self.upper))

    def to_raw(self, coords: FloatArray) -> FloatArray:
        """Give E, A, B, alpha, beta, gamma, or N_c, D_c, alpha_N, alpha_D, [..., P]."""
        coords = np.asarray(coords, dtype=np.float64)
        if self.kaplan:
            log_p, log_q, p, g = np.moveaxis(coords, -1, 0)
            with np.errstate(divide="ignore", over="ignore"):
                n_c = np.exp((log_p + self.log_scale) / p + self.x_centre)
            d_c = np.exp((log_q + self.log_scale) / g + self.y_centre)
            return np.stack([n_c, d_c, p, g], axis=-1)
        floor, log_p, log_q, p, q, g = np.moveaxis(coords, -1, 0)
        a = np.exp((log_p + self.log_scale + p * self.x_centre) / g)
        b = np.exp((log_q + self.log_scale + q * self.y_centre) / g)
        return np.stack([floor * np.exp(self.log_scale), a, b, p / g, q / g, g], axis=-1)

    def from_raw(self, theta: FloatArray) -> FloatArray:
        """Give the coordinates, [..., P], of parameters in raw units."""
        theta = np.asarray(theta, dtype=np.float64)
        if self.kaplan:
            n_c, d_c, p, g = np.moveaxis(theta, -1, 0)
            with np.errstate(all="ignore"):  # at a bound a scale may be beyond float64: NaN, and not a warning
                log_p = p * (np.log(n_c) - self.x_centre) - self.log_scale
                return np.stack([log_p, g * (np.log(d_c) - self.y_centre) - self.log_scale, p, g], axis=-1)
        floor, a, b, alpha, beta, g = np.moveaxis(theta, -1, 0)
        log_p = g * (np.log(a) - alpha * self.x_centre) - self.log_scale
        log_q = g * (np.log(b) - beta * self.y_centre) - self.log_scale
        return np.stack([floor / np.exp(self.log_scale), log_p, log_q, alpha * g, beta * g, g], axis=-1)


@dataclass(frozen=True)
class Interaction:
    """L = E + (A/N^alpha + B/D^beta)^gamma: gamma below 1 makes the scarcer of N and D weigh more."""

    name: str = "interaction"
    formula: str = "L = E + (A/N^alpha + B/D^beta)^gamma"
    parameter_names: tuple[str, ...] = ("E", "A", "B", "alpha", "beta", "gamma")
    inputs: tuple[str, ...] = ("params", "tokens")

    def _terms(self, theta: FloatArray, at: Points | Observations) -> tuple[FloatArray, ...]:
        floor, a, b, alpha, beta, g = (np.asarray(theta, dtype=np.float64)[..., i, None] for i in range(6))
        first = np.exp(np.log(a) - alpha * np.log(at.params))
        second = np.exp(np.log(b) - beta * np.log(at.tokens))
        return floor, a, b, g, first, second, first + second

    def predict(self, theta: FloatArray, at: Points | Observations) -> FloatArray:
        """Give the loss in nats per token, [..., n], for theta, [..., P]."""
        floor, _, _, g, _, _, total = self._terms(theta, at)
        return np.asarray(floor + total**g)

    def gradient(self, theta: FloatArray, at: Points | Observations) -> FloatArray:
        """Give the derivative of the loss by each parameter, [..., P, n]."""
        _, a, b, g, first, second, total = self._terms(theta, at)
        outer = g * total ** (g - 1)
        return np.stack(
            [
                np.ones_like(total),
                outer * first / a,
                outer * second / b,
                -outer * first * np.log(at.params),
                -outer * second * np.log(at.tokens),
                total**g * np.log(total),
            ],
            axis=-2,
        )

    def surface(self, observations: Observations) -> JointSurface:
        """Give the form over these rows in the centred coordinates of the solver."""
        return JointSurface(observations, kaplan=False)

    def optimal_params(self, theta: FloatArray, flops: FloatArray) -> FloatArray:
        """Give the N that minimises the inner sum, and so the loss, when 6 N D = flops."""
        _, a, b, alpha, beta, _ = (np.asarray(theta, dtype=np.float64)[..., i] for i in range(6))
        log_ratio = np.log(alpha) + np.log(a) - np.log(beta) - np.log(b)
        return np.asarray(np.exp((log_ratio + beta * np.log(np.asarray(flops) / 6)) / (alpha + beta)))

    def compute_exponents(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give beta / (alpha + beta) and alpha / (alpha + beta)."""
        alpha, beta = theta[..., 3], theta[..., 4]
        return np.asarray(beta / (alpha + beta)), np.asarray(alpha / (alpha + beta))


@dataclass(frozen=True)
class Kaplan:
    """L = ((N_c/N)^(alpha_N/alpha_D) + D_c/D)^alpha_D (Kaplan et al. 2020, arXiv 2001.08361, Eq. 1.5)."""

    name: str = "kaplan"
    formula: str = "L = ((N_c/N)^(alpha_N/alpha_D) + D_c/D)^alpha_D"
    parameter_names: tuple[str, ...] = ("N_c", "D_c", "alpha_N", "alpha_D")
    inputs: tuple[str, ...] = ("params", "tokens")

    def _interaction(self, theta: FloatArray) -> FloatArray:
        """Give E = 0, A, B, alpha, beta = 1, gamma of the interaction form that it is, [..., 6]."""
        n_c, d_c, alpha_n, alpha_d = np.moveaxis(np.asarray(theta, dtype=np.float64), -1, 0)
        power = alpha_n / alpha_d
        a = np.exp(power * np.log(n_c))
        return np.stack([0 * a, a, d_c, power, np.ones_like(a), alpha_d], axis=-1)

    def predict(self, theta: FloatArray, at: Points | Observations) -> FloatArray:
        """Give the loss in nats per token, [..., n], for theta, [..., P]."""
        n_c, d_c, alpha_n, alpha_d = (np.asarray(theta, dtype=np.float64)[..., i, None] for i in range(4))
        with np.errstate(all="ignore"):  # a scale beyond float64, of a fit at its bound, gives NaN and not a warning
            first = alpha_n * (np.log(n_c) - np.log(at.params))
            second = alpha_d * (np.log(d_c) - np.log(at.tokens))
            return np.asarray(np.exp(_norm(first, second, alpha_d)[0]))

    def gradient(self, theta: FloatArray, at: Points | Observations) -> FloatArray:
        """Give the derivative of the loss by each parameter, [..., P, n]."""
        n_c, d_c, alpha_n, alpha_d = (np.asarray(theta, dtype=np.float64)[..., i, None] for i in range(4))
        x, y = np.log(n_c) - np.log(at.params), np.log(d_c) - np.log(at.tokens)
        log_h, share, entropy = _norm(alpha_n * x, alpha_d * y, alpha_d)
        h = np.exp(log_h)
        by_log_n, by_log_d = h * share * alpha_n, h * (1 - share) * alpha_d
        return np.stack([by_log_n / n_c, by_log_d / d_c, h * share * x, h * ((1 - share) * y + entropy)], axis=-2)

    def surface(self, observations: Observations) -> JointSurface:
        """Give the form over these rows in the centred coordinates of the solver."""
        return JointSurface(observations, kaplan=True)

    def optimal_params(self, theta: FloatArray, flops: FloatArray) -> FloatArray:
        """Give the N that minimises the inner sum, and so the loss, when 6 N D = flops."""
        return Interaction().optimal_params(self._interaction(theta), flops)

    def compute_exponents(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the exponents of N* and D* in C."""
        return Interaction().compute_exponents(self._interaction(theta))


INTERACTION = Interaction()
KAPLAN = Kaplan()
