"""Splits by compute: what a fit may see, and what it is scored on."""

from dataclasses import dataclass

import numpy as np

from scaling.laws.observations import FloatArray, IntArray, Observations

TOP_SHARE = 0.2
FAR_FACTOR = 10.0
MIN_HELD = 2


@dataclass(frozen=True)
class Split:
    """Row numbers on either side of a cut in compute; every held row has at least the compute of every kept row."""

    name: str
    kept: IntArray
    held: IntArray


def top_share(observations: Observations, share: float = TOP_SHARE) -> Split:
    """Hold out the given share of the rows with the most compute, rounded up.

    Raises:
        ValueError: share does not lie between 0 and 1.
    """
    if not 0 < share < 1:
        raise ValueError(f"share is {share}: it must lie between 0 and 1; 0.2 holds out the top fifth")
    order = np.argsort(observations.flops, kind="stable")
    cut = len(order) - int(np.ceil(share * len(order)))
    return Split(f"top {share:.0%} by compute", np.sort(order[:cut]), np.sort(order[cut:]))


def below_fraction(observations: Observations, factor: float = FAR_FACTOR) -> Split:
    """Hold out every row with more than 1/factor of the largest compute."""
    kept = observations.flops <= observations.flops.max() / factor
    return Split(f"above 1/{factor:.3g} of the largest compute", np.flatnonzero(kept), np.flatnonzero(~kept))


def relative_error(predicted: FloatArray, measured: FloatArray) -> float:
    """Give the mean of |predicted / measured - 1|."""
    return float(np.mean(np.abs(predicted / measured - 1.0)))
