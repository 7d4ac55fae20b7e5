"""Second derivatives by central differences of the first, for surfaces whose own would fill pages."""

from collections.abc import Callable

import numpy as np

from scaling.laws.observations import FloatArray

STEP = 6e-6  # eps^(1/3): balances truncation against rounding in a central difference


def curvature_by_differences(weighted_gradient: Callable[[FloatArray], FloatArray], coords: FloatArray) -> FloatArray:
    """Give d weighted_gradient / dcoords, symmetrised, [S, P, P].

    weighted_gradient maps [2 S P, P] to [2 S P, P], where the lanes are 2 directions, S lanes of coords, P
    coordinates.

    Only the speed of the Newton iteration depends on it: where it stops is decided by the exact gradient.
    """
    S, P = coords.shape
    size = STEP * np.maximum(np.abs(coords), 0.1)
    steps = size[:, None, :] * np.eye(P)
    moved = np.stack([coords[:, None] + steps, coords[:, None] - steps])  # [2, S, P, P]
    ahead, behind = weighted_gradient(moved.reshape(-1, P)).reshape(2, S, P, P)
    total = (ahead - behind) / (2 * size[:, :, None])
    return np.asarray(0.5 * (total + total.transpose(0, 2, 1)))


def curvature_of_slopes(
    slopes: Callable[[FloatArray], FloatArray], coords: FloatArray, row_weights: FloatArray
) -> FloatArray:
    """Give sum over rows of row_weights * d2f/dcoordinates2, [S, P, P], from first derivatives [2 S P, P, n] of f.

    row_weights is [S, n]; each coordinate of each lane is moved both ways, hence its repetition.
    """
    shares = np.tile(np.repeat(row_weights, coords.shape[1], axis=0), (2, 1))[:, :, None]
    return curvature_by_differences(lambda at: np.matmul(slopes(at), shares)[:, :, 0], coords)
