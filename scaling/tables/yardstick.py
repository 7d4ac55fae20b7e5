"""What losses are expected to be, before a law is fitted to them."""

import numpy as np

from scaling.laws.distributions import f_tail
from scaling.laws.observations import FloatArray, Observations

HOFFMANN = (1.69, 406.4, 0.34, 410.7, 0.28)  # E, A, alpha, B, beta: Hoffmann et al. 2022, Eq. 10
MIN_ROWS = 10
LEFT_ALONE = 0.15  # of a column's spread, that N and D do not tell
POWERS = (0.15, 0.3, 0.5)  # whose sums come near any exponent of a law


def expected_loss(params: FloatArray, tokens: FloatArray) -> FloatArray:
    """Hoffmann's law of a web corpus in some 32,000 tokens, nats/token, [n]: right within a factor for any other."""
    E, A, alpha, B, beta = HOFFMANN
    return E + A / params**alpha + B / tokens**beta


def quadratic(rows: Observations) -> tuple[FloatArray | None, FloatArray]:
    """The basis of a quadratic in log N and log D, [n, <= 6], and its residuals of the log loss, [n]."""
    n, d = np.log(rows.params), np.log(rows.tokens)
    n, d = n - n.mean(), d - d.mean()
    candidates = (np.ones(len(n)), n, d, n * n, n * d, d * d)
    kept: list[FloatArray] = []
    for column in candidates:
        if np.linalg.matrix_rank(np.stack([*kept, column], axis=1)) == len(kept) + 1:
            kept.append(column)
    if len(rows) < MIN_ROWS or len(kept) < 2:
        return None, np.empty(0)
    basis = np.stack(kept, axis=1)
    y = np.log(rows.loss)
    return basis, np.asarray(y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0])


def column_effects(
    params: FloatArray, tokens: FloatArray, loss: FloatArray, columns: FloatArray
) -> tuple[FloatArray, float] | None:
    """What columns, [n, k], do to the loss beside any smooth law of N and D, as shares of it, [k], and the chance that
    they do nothing (Fisher's F test); None where N and D themselves tell them, or rows are too few."""
    powers = [(values / np.exp(np.log(values).mean())) ** -power for values in (params, tokens) for power in POWERS]
    powers = [np.ones(len(loss)), *powers, powers[1] * powers[len(POWERS) + 1]]
    basis = np.stack(powers, axis=1) / loss[:, None]
    basis = basis / np.linalg.norm(basis, axis=0)
    left, sizes, _ = np.linalg.svd(basis, full_matrices=False)
    left = left[:, sizes > 1e-7 * sizes[0]]

    def beside(values: FloatArray) -> FloatArray:
        return np.asarray(values - left @ (left.T @ values))

    y, own = beside(np.ones(len(loss))), beside(columns)
    freedom = len(loss) - left.shape[1] - columns.shape[1]
    alone = np.linalg.norm(own, axis=0) / np.linalg.norm(columns - columns.mean(axis=0), axis=0).clip(1e-300)
    if freedom < MIN_ROWS or alone.min() < LEFT_ALONE or np.linalg.matrix_rank(own) < columns.shape[1]:
        return None
    effects = np.asarray(np.linalg.lstsq(own, y, rcond=None)[0], dtype=np.float64)
    rest = float(np.sum((y - own @ effects) ** 2))
    gained = (float(np.sum(y**2)) - rest) / columns.shape[1]
    return effects, f_tail(gained / max(rest / freedom, 1e-300), columns.shape[1], freedom)
