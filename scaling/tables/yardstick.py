"""What losses are expected to be, before a law is fitted to them."""

import numpy as np

from scaling.laws.observations import FloatArray, Observations

HOFFMANN = (1.69, 406.4, 0.34, 410.7, 0.28)  # E, A, alpha, B, beta: Hoffmann et al. 2022, Eq. 10
MIN_ROWS = 10


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
