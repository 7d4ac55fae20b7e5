"""The data-constrained law: what a repeated token, and a parameter beyond what the unique tokens can use, are
worth.

Muennighoff et al. 2023 (arXiv 2305.16264, section 3.1 and appendix A): Chinchilla's law of an effective N'
and D',
    D' = U_D (1 + R_D* (1 - exp(-R_D / R_D*))), with U_D unique tokens and R_D = D/U_D - 1 repetitions;
    N' = U_N (1 + R_N* (1 - exp(-R_N / R_N*))), with U_N = min(N, the N that is optimal for U_D tokens) and
    R_N = N/U_N - 1.
"""

from dataclasses import dataclass

import numpy as np

from scaling.laws.curvature import curvature_of_slopes
from scaling.laws.forms import CHINCHILLA, EXPONENT_MAX
from scaling.laws.observations import FloatArray, IntArray, Observations, Points
from scaling.laws.surface import Expansion, SumSurface

NAMES = ("E", "A", "B", "alpha", "beta", "R_D", "R_N")
# Half-lives of repetition: below 0.01 the second epoch is worth nothing, above 1e4 every epoch is worth the
# first.
LOG_R_MIN, LOG_R_MAX = float(np.log(0.01)), float(np.log(1e4))
R_STARTS = (0.3, 1.5, 6.0, 20.0, 80.0, 600.0)
LOG_REPEATS_MAX = 50.0  # beyond any study; keeps its exponential in range
EXPONENT_MIN = 1e-3  # the optimal N for U_D tokens needs both exponents above zero
BASE_STARTS = 6
REPEATED = 1.01  # tokens over unique tokens from which on text counts as repeated
MIN_LEVELS = 3  # of N and of D among fresh rows, for them to carry the plain laws alone


def unique_of(at: Points | Observations) -> FloatArray:
    """Give the unique tokens, [n]: at most the tokens, and all of them where the column is missing."""
    return at.tokens if at.unique_tokens is None else np.minimum(at.unique_tokens, at.tokens)


def _saturate(log_unit: FloatArray, repeats: FloatArray, r: FloatArray) -> tuple[FloatArray, ...]:
    """Give log of the effective amount, and its derivatives by log of the unit and by log r."""
    decay = np.exp(-repeats / r)
    worth = 1 + r * (1 - decay)
    by_log_unit = 1 - decay * (repeats + 1) / worth
    by_log_r = (r * (1 - decay) - repeats * decay) / worth
    return log_unit + np.log(worth), by_log_unit, by_log_r


def loss_and_slopes(full: FloatArray, columns: tuple[FloatArray, ...]) -> tuple[FloatArray, FloatArray]:
    """Give the loss, [S, n], and its derivatives, [S, 7, n], by E, log A, log B, alpha, beta, log R_D, log
    R_N.

    full: E, log A, log B, alpha, beta, log R_D, log R_N, [S, 7]; columns: log N, log D, log U_D, each [n].
    """
    log_n, log_d, log_u = columns
    floor, log_a, log_b, alpha, beta, log_rd, log_rn = (full[:, i, None] for i in range(7))
    log_tokens, _, tokens_by_r = _saturate(log_u, np.expm1(log_d - log_u), np.exp(log_rd))
    log_g = (np.log(alpha) + log_a - np.log(beta) - log_b) / (alpha + beta)
    optimal = beta / alpha * (log_u + log_g) + log_g
    bound = optimal < log_n
    beyond = np.clip(np.where(bound, log_n - optimal, 0.0), 0.0, LOG_REPEATS_MAX)
    unit = np.where(bound, optimal, log_n)
    log_params, by_unit, params_by_r = _saturate(unit, np.expm1(beyond), np.exp(log_rn))
    first, second = np.exp(log_a - alpha * log_params), np.exp(log_b - beta * log_tokens)
    by_optimal = np.where(bound, -alpha * first * by_unit, 0.0)  # d loss / d log of the optimal N
    at_u = log_u + log_g
    slopes = [
        np.ones_like(first),
        first + by_optimal / alpha,
        second - by_optimal / alpha,
        -first * log_params + by_optimal * (-beta / alpha**2 * at_u + (1 / alpha - log_g) / alpha),
        -second * log_tokens + by_optimal * (at_u - 1 / beta - log_g) / alpha,
        -beta * second * tokens_by_r,
        -alpha * first * params_by_r,
    ]
    return floor + first + second, np.stack(slopes, axis=1)


class RepeatedSurface:
    """The data-constrained law over given rows.

    Coordinates: E and log A, log B with N and D centred, alpha, beta, log R_D, log R_N; the last two alone
        where the
    base is given.
    """

    def __init__(self, observations: Observations, base: tuple[float, ...] | None) -> None:
        """Take logarithms of the columns; base is E, A, B, alpha, beta in raw units, or None."""
        unique = np.log(unique_of(observations))
        self.columns = (np.log(observations.params), np.log(observations.tokens), unique)
        self.centres = (float(self.columns[0].mean()), float(self.columns[1].mean()))
        self.log_loss = np.log(observations.loss)
        self.base = base
        lower = [0.0, -np.inf, -np.inf, EXPONENT_MIN, EXPONENT_MIN, LOG_R_MIN, LOG_R_MIN]
        upper = [np.inf, np.inf, np.inf, EXPONENT_MAX, EXPONENT_MAX, LOG_R_MAX, LOG_R_MAX]
        skip = 0 if base is None else 5
        self.lower, self.upper = np.array(lower[skip:]), np.array(upper[skip:])

    @property
    def num_rows(self) -> int:
        """Number of rows, n."""
        return len(self.log_loss)

    def rows(self, index: IntArray | slice) -> "RepeatedSurface":
        """Give the same coordinates over some of the rows."""
        part = object.__new__(RepeatedSurface)
        part.__dict__.update(self.__dict__)
        log_n, log_d, log_u = self.columns
        part.columns, part.log_loss = (log_n[index], log_d[index], log_u[index]), self.log_loss[index]
        return part

    def _full(self, coords: FloatArray) -> FloatArray:
        """Give E, log A, log B, alpha, beta, log R_D, log R_N with raw A and B, [S, 7]."""
        if self.base is not None:
            floor, a, b, alpha, beta = self.base
            fixed = np.array([floor, np.log(a), np.log(b), alpha, beta])
            return np.concatenate([np.broadcast_to(fixed, (len(coords), 5)), coords], axis=1)
        full = coords.copy()
        full[:, 1] += coords[:, 3] * self.centres[0]
        full[:, 2] += coords[:, 4] * self.centres[1]
        return full

    def _slopes(self, coords: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the loss, [S, n], and its derivatives by the coordinates, [S, P, n]."""
        loss, slopes = loss_and_slopes(self._full(coords), self.columns)
        if self.base is not None:
            return loss, slopes[:, 5:]
        slopes[:, 3] += slopes[:, 1] * self.centres[0]
        slopes[:, 4] += slopes[:, 2] * self.centres[1]
        return loss, slopes

    def residuals(self, coords: FloatArray) -> FloatArray:
        """Give log of the measured loss minus log f, [S, n]."""
        return np.asarray(self.log_loss - np.log(self._slopes(coords)[0]))

    def expand(self, coords: FloatArray) -> Expansion:
        """Give value and first derivatives at coords, [S, P]."""
        loss, slopes = self._slopes(coords)
        return Expansion(self.log_loss - np.log(loss), loss, slopes / loss[:, None])

    def curvature(self, coords: FloatArray, expansion: Expansion, factors: FloatArray) -> FloatArray:
        """Give sum over rows of factors * d2f/dcoordinates2 / f, [S, P, P]; by differences."""
        return curvature_of_slopes(lambda at: self._slopes(at)[1], coords, factors / expansion.loss)

    def starts(self, weights: FloatArray) -> FloatArray:
        """Give a grid of half-lives, over the best points of Chinchilla's outer search where the base is
        free."""
        r_d, r_n = (part.ravel() for part in np.meshgrid(np.log(R_STARTS), np.log(R_STARTS)))
        half_lives = np.stack([r_d, r_n], axis=1)
        if self.base is not None:
            return half_lives
        log_n, log_d, log_u = self.columns
        effective = _saturate(log_u, np.expm1(log_d - log_u), np.array(15.0))[0]  # R_D* of the paper
        features = np.zeros((3, self.num_rows, 2))
        features[1, :, 0], features[2, :, 1] = -log_n, -effective
        plain = SumSurface(features, self.log_loss, EXPONENT_MAX)
        grid = plain.starts(weights)
        score = np.abs(plain.residuals(grid)) @ weights + np.where((grid > 0).all(axis=1), 0, np.inf)
        best = plain.to_raw(grid[np.argsort(score, kind="stable")[:BASE_STARTS]])
        theta = np.concatenate(
            [np.repeat(best, len(half_lives), axis=0), np.exp(np.tile(half_lives, (len(best), 1)))], axis=1
        )
        return np.clip(np.nan_to_num(self.from_raw(theta), neginf=-20.0), self.lower, self.upper)

    def to_raw(self, coords: FloatArray) -> FloatArray:
        """Give the parameters in raw units, [..., P]."""
        raw = np.array(coords, dtype=np.float64)
        if self.base is None:
            raw[..., 1] = np.exp(raw[..., 1] + raw[..., 3] * self.centres[0])
            raw[..., 2] = np.exp(raw[..., 2] + raw[..., 4] * self.centres[1])
        raw[..., -2:] = np.exp(raw[..., -2:])
        return raw

    def from_raw(self, theta: FloatArray) -> FloatArray:
        """Give the coordinates, [..., P], of parameters in raw units."""
        coords = np.array(theta, dtype=np.float64)
        with np.errstate(divide="ignore"):  # a coefficient of zero is minus infinity, for the caller to leave out
            if self.base is None:
                coords[..., 1] = np.log(coords[..., 1]) - coords[..., 3] * self.centres[0]
                coords[..., 2] = np.log(coords[..., 2]) - coords[..., 4] * self.centres[1]
            coords[..., -2:] = np.log(coords[..., -2:])
        return coords


@dataclass(frozen=True)
class DataConstrained:
    """Chinchilla's law of effective params and tokens.

    Attributes:
        base: E, A, B, alpha, beta to hold fixed, as the paper does with its fit to fresh text; None fits all
            seven.
    """

    base: tuple[float, float, float, float, float] | None = None
    name: str = "data_constrained"
    formula: str = "L = E + A/N'^alpha + B/D'^beta, D' = U (1 + R_D (1 - exp(-(D/U - 1)/R_D))), N' likewise"

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The two half-lives, after the base where that is fitted as well."""
        return NAMES if self.base is None else NAMES[5:]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Params and tokens; unique tokens where there are any."""
        return ("params", "tokens")

    def _full(self, theta: FloatArray) -> FloatArray:
        theta = np.asarray(theta, dtype=np.float64)
        if self.base is None:
            return theta
        return np.concatenate([np.broadcast_to(self.base, (*theta.shape[:-1], 5)), theta], axis=-1)

    def _evaluate(self, theta: FloatArray, at: Points | Observations) -> tuple[FloatArray, FloatArray]:
        full = self._full(theta)
        lanes = full.reshape(-1, 7).copy()
        with np.errstate(divide="ignore"):
            lanes[:, [1, 2, 5, 6]] = np.log(lanes[:, [1, 2, 5, 6]])
        columns = (np.log(at.params), np.log(at.tokens), np.log(unique_of(at)))
        loss, slopes = loss_and_slopes(lanes, columns)
        shape = full.shape[:-1]
        return loss.reshape(*shape, -1), slopes.reshape(*shape, 7, -1)

    def predict(self, theta: FloatArray, at: Points | Observations) -> FloatArray:
        """Give the loss in nats per token, [..., n], for theta, [..., P]."""
        return self._evaluate(theta, at)[0]

    def gradient(self, theta: FloatArray, at: Points | Observations) -> FloatArray:
        """Give the derivative of the loss by each parameter, [..., P, n]."""
        slopes = self._evaluate(theta, at)[1]
        full = self._full(theta)
        for i in (1, 2, 5, 6):
            slopes[..., i, :] /= full[..., i, None]
        return slopes if self.base is None else slopes[..., 5:, :]

    def surface(self, observations: Observations) -> RepeatedSurface:
        """Give the form over these rows in the coordinates of the solver."""
        return RepeatedSurface(observations, self.base)

    def optimal_params(self, theta: FloatArray, flops: FloatArray) -> FloatArray:
        """Give the N that minimises the loss when 6 N D = flops and every token is fresh."""
        return CHINCHILLA.optimal_params(self._full(theta)[..., :5], flops)

    def compute_exponents(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the exponents of N* and D* in C where every token is fresh."""
        return CHINCHILLA.compute_exponents(self._full(theta)[..., :5])


DATA_CONSTRAINED = DataConstrained()
