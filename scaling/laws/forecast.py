"""Forecast losses not yet measured, with an interval that grows with the distance from the measured rows."""

from dataclasses import dataclass

import numpy as np

from scaling.laws.intervals import Prediction
from scaling.laws.observations import FloatArray, Observations, Points
from scaling.laws.splits import relative_error

UNTESTED = 0.5  # decades of compute beyond its rows that a forecast may go without a test


@dataclass(frozen=True)
class Widening:
    """What the errors of earlier forecasts teach about the interval of this one (`backtest` measures it).

    Attributes:
        factor: on the announced standard deviation; below one where earlier forecasts did better than announced.
        tested: decades of compute beyond their rows that earlier forecasts were tested on. Farther out the error is
            taken to go on as a random walk would: its variance in proportion to the distance.
    """

    factor: float = 1.0
    tested: float = UNTESTED

    def stretch(self, decades: FloatArray) -> FloatArray:
        """Give the factor on the announced standard deviation at so many decades beyond, [m]."""
        return np.asarray(self.factor * np.sqrt(np.maximum(decades / max(self.tested, UNTESTED), 1.0)))


def decades_beyond(largest: float, at: Points | Observations) -> FloatArray:
    """Give log10 of the compute of each of m points over the largest observed, FLOPs, zero within, [m].

    Compute is 6 N D on both sides: points to be forecast have no count of their own.
    """
    with np.errstate(invalid="ignore"):
        return np.maximum(np.log10(6 * at.params * at.tokens / largest), 0.0)


def score(prediction: Prediction, observations: Observations) -> tuple[float, float]:
    """Give mean absolute relative error and share of measured losses inside the interval."""
    inside = (observations.loss >= prediction.low) & (observations.loss <= prediction.high)
    return relative_error(prediction.loss, observations.loss), float(np.mean(inside))
