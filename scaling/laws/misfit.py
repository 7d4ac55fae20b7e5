"""Do the residuals of Chinchilla's law bend? An F test against the three ways in which a better form would.

To first order a better form changes the exponent of N as N grows (a miscounted N, a learning rate that suits small
models), that of D as D grows (text that repeats, a warmup too long for the short runs), or lets the two terms act on
each other. Each is a column beside the derivatives of the law, and together they are tested as in a regression (Rao
1948, score test), with odd rows left out, large residuals pulled in (Huber 1981), and the noise as it changes with
compute.
"""

from dataclasses import dataclass

import numpy as np

from scaling.laws.distributions import f_tail
from scaling.laws.forms import SYMBOL, Variable
from scaling.laws.noise import EXACT, RowNoise, shared_noise, without_shared
from scaling.laws.observations import FloatArray, Observations, Points

DIRECTIONS = ("N", "D", "N and D together")
ODDS, ODDS_ROWS = 0.25, 30  # that the form errs, before the residuals of so many rows are seen
PULLED_IN = 2.0  # standard deviations beyond which a residual counts as one there
RANK = 1e-6  # relative: a column that the law's own derivatives leave less of says nothing new


@dataclass(frozen=True)
class Tangent:
    """A law to first order: its own derivatives, and the columns of `directions`.

    Attributes:
        theta: E, coefficients, exponents: Chinchilla's, or those of E + k/x^alpha.
        log_params, log_tokens: about which the exponents bend.
        variable: x, None for Chinchilla's law.
    """

    theta: FloatArray
    log_params: float
    log_tokens: float
    variable: Variable | None = None

    @property
    def directions(self) -> tuple[str, ...]:
        """What the exponents bend with."""
        return DIRECTIONS if self.variable is None else (SYMBOL[self.variable],)

    def columns(self, at: Points | Observations) -> tuple[FloatArray, FloatArray]:
        """Give the derivatives of the log loss at m points, [m, P], and the directions, [m, k]."""
        if self.variable is not None:
            return self._along_a_line(at, self.variable)
        E, A, B, alpha, beta = self.theta
        x, y = np.log(at.params), np.log(at.tokens)
        with np.errstate(divide="ignore"):
            in_n, in_d = np.exp(np.log(A) - alpha * x), np.exp(np.log(B) - beta * y)
        loss = E + in_n + in_d
        x, y = x - self.log_params, y - self.log_tokens
        own = np.stack([np.full_like(loss, E), in_n, in_d, in_n * x, in_d * y], axis=1)
        bent = np.stack([in_n * x * x, in_d * y * y, (alpha * in_n + beta * in_d) * x * y], axis=1)
        return own / loss[:, None], bent / loss[:, None]

    def _along_a_line(self, at: Points | Observations, variable: Variable) -> tuple[FloatArray, FloatArray]:
        E, k, alpha = self.theta
        middle = {"params": self.log_params, "tokens": self.log_tokens}
        middle["flops"] = float(np.log(6)) + self.log_params + self.log_tokens
        x = np.log(getattr(at, variable))
        with np.errstate(divide="ignore"):
            falling = np.exp(np.log(k) - alpha * x)
        loss, x = E + falling, x - middle[variable]
        own = np.stack([np.full_like(loss, E), falling, falling * x], axis=1)
        return own / loss[:, None], (falling * x * x / loss)[:, None]


def tangent(theta: FloatArray, rows: Observations, variable: Variable | None = None) -> Tangent:
    """Expand a law about the middle of rows."""
    return Tangent(theta, float(np.log(rows.params).mean()), float(np.log(rows.tokens).mean()), variable)


@dataclass(frozen=True)
class Misfit:
    """What the residuals say of the form.

    Attributes:
        probability: of residuals that bend as much, if the form were right.
        each: the same for each of `DIRECTIONS` alone.
        num_points: rows that were asked.
        tangent: what the residuals were regressed on, None where nothing was.
        change: of its columns, [P + k], that fits the residuals best, less what its own P alone do.
    """

    probability: float
    each: tuple[float, ...]
    num_points: int
    tangent: Tangent | None = None
    change: FloatArray | None = None

    @property
    def belief(self) -> float:
        """Probability that the form's error matters more than the noise, from 0 to 1.

        The residuals raise the odds by at most 1 / (-e p ln p) (Sellke, Bayarri & Berger 2001). Before them the odds
        grow with the number of rows, as the variance of noise averages out and the square of a form's error does not.
        """
        p, odds = max(self.probability, 1e-300), ODDS * self.num_points / ODDS_ROWS
        if p < 1 / np.e:
            odds /= -np.e * p * float(np.log(p))
        return odds / (1 + odds)

    def bend(self, at: Points | Observations) -> FloatArray:
        """Give what the bend that fits best adds to the log loss at m points, [m]."""
        if self.tangent is None or self.change is None:
            return np.zeros(len(at))
        return np.asarray(np.hstack(self.tangent.columns(at)) @ self.change)


def known_misfit(num_points: int) -> Misfit:
    """Say of rows that Chinchilla's form cannot be theirs, such as those of repeated text."""
    return Misfit(0.0, (0.0,) * len(DIRECTIONS), num_points)


def misfit(around: Tangent, residuals: FloatArray, rows: Observations, noise: RowNoise) -> Misfit:
    """Test a law by the residuals, [n], of its fit to rows; what rows of one run share counts as noise."""
    own, bent = around.columns(rows)
    even = residuals / noise.sd
    weights = np.where(noise.odd, 0.0, np.minimum(1.0, PULLED_IN / np.maximum(np.abs(even), 1e-300)))
    root = np.sqrt(weights) / noise.sd
    columns, right = np.hstack([own, bent]) * root[:, None], residuals * root
    runs = rows.trajectory_index()
    share = shared_noise(right, columns[:, : own.shape[1]], runs, sure=True).share
    columns, right = without_shared(columns, runs, share), without_shared(right[:, None], runs, share)[:, 0]
    sizes = np.maximum(np.linalg.norm(columns, axis=0), 1e-300)
    columns = columns / sizes
    n, P = int(np.sum(~noise.odd)), own.shape[1]
    basis = np.linalg.qr(columns[:, :P])[0]
    rest = right - basis @ (basis.T @ right)
    new = columns[:, P:] - basis @ (basis.T @ columns[:, P:])
    directions, singular, _ = np.linalg.svd(new, full_matrices=False)
    k = int(np.sum(singular > RANK * max(float(singular[0]), RANK)))
    freedom = n - P - k
    if freedom < 2 or not k or noise.scale <= EXACT:
        return Misfit(1.0, (1.0,) * len(around.directions), n)
    total = float(rest @ rest)
    explained = float(np.sum((directions[:, :k].T @ rest) ** 2))
    each = []
    for column in new.T:
        size = float(np.linalg.norm(column))
        part = (float(column @ rest) / size) ** 2 if size > RANK else 0.0
        each.append(f_tail(part / max(total - part, 1e-300) * (n - P - 1), 1, n - P - 1))
    change = np.linalg.lstsq(columns, right, rcond=RANK)[0]
    change[:P] -= np.linalg.lstsq(columns[:, :P], right, rcond=RANK)[0]
    return Misfit(
        probability=f_tail(explained / k / (max(total - explained, 1e-300) / freedom), k, freedom),
        each=tuple(each),
        num_points=n,
        tangent=around,
        change=np.asarray(change / sizes),
    )
