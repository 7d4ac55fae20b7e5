"""Second derivatives by central differences of the first, for surfaces whose own would fill pages."""

from collections.abc import Callable

import numpy as np

from scaling.laws.observations import FloatArray

STEP = 6e-6  # eps^(1/3): balances truncation against rounding in a central difference


def curvature_by_differences(weighted_gradient: Callable[[FloatArray], FloatArray], coords: FloatArray) -> FloatArray:
    """Give d weighted_gradient / dcoords, symmetrised, [S, P, P]; weighted_gradient maps [S, P] to [S, P].

    Only the speed of the Newton iteration depends on it: where it stops is decided by the exact gradient.
    """
    S, P = coords.shape
    total = np.empty((S, P, P))
    for j in range(P):
        step = np.zeros((S, P))
        step[:, j] = STEP * np.maximum(np.abs(coords[:, j]), 0.1)
        rise = weighted_gradient(coords + step) - weighted_gradient(coords - step)
        total[:, j] = rise / (2 * step[:, j, None])
    return np.asarray(0.5 * (total + total.transpose(0, 2, 1)))
