"""Weights of rows from what is known of their noise.

Beyond delta the Huber sum is a sum of absolute residuals, the likelihood of Laplace noise, in which a row of scale s
weighs 1/s (not 1/s^2 as in least squares).
"""

import numpy as np

from scaling.laws.observations import FloatArray, Observations

MAX_RATIO = 10.0  # of a row's weight to the median: no single row decides a fit
MIN_GROUPS = 3  # of replicates, to see how the noise depends on the loss


def weigh_by_sem(observations: Observations) -> Observations:
    """Weight each row by the inverse of its relative standard error.

    Raises:
        ValueError: there is no column of standard errors, or none is positive.
    """
    if observations.loss_sem is None or not np.any(observations.loss_sem > 0):
        raise ValueError(
            "no row has a loss_sem above zero: give the standard error of the loss, or weigh by replicates"
        )
    relative = observations.loss_sem / observations.loss
    known = relative > 0
    return _weigh(observations, np.where(known, relative, np.median(relative[known])))


def weigh_by_replicates(observations: Observations) -> Observations:
    """Weight each row by the inverse of its noise, as seen between rows of equal params and tokens (seeds).

    With three or more groups of seeds the noise is a power of the loss: seeds differ by 0.05 at a loss of 7 and by
    0.002 at 3 (Porian et al. 2024, arXiv 2406.19146). With fewer, every row weighs the same.

    Raises:
        ValueError: no two rows are replicates.
    """
    cells = np.stack([observations.params, observations.tokens])
    group = np.unique(cells, axis=1, return_inverse=True)[1].ravel()
    logs = np.log(observations.loss)
    sizes = np.bincount(group)
    if sizes.max() < 2:
        raise ValueError("no two rows have the same params and tokens: run two seeds of some points, or use loss_sem")
    means = np.bincount(group, weights=logs) / sizes
    variance = np.bincount(group, weights=(logs - means[group]) ** 2) / np.maximum(sizes - 1, 1)
    seen = (sizes > 1) & (variance > 0)
    if np.sum(seen) < MIN_GROUPS:
        return _weigh(observations, np.ones(len(observations)))
    # Few seeds a group: least squares of log variance on log loss, each group with its degrees of freedom.
    slope, level = np.polyfit(means[seen], np.log(variance[seen]), 1, w=np.sqrt(sizes[seen] - 1))
    return _weigh(observations, np.exp(0.5 * (slope * logs + level)))


def _weigh(observations: Observations, scale: FloatArray) -> Observations:
    inverse = 1 / scale
    bounded = np.clip(inverse, np.median(inverse) / MAX_RATIO, np.median(inverse) * MAX_RATIO)
    return observations.with_weights(bounded / bounded.mean())
