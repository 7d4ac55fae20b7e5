"""Forecast losses not yet measured, with an interval that grows with the distance from the measured rows."""

from dataclasses import dataclass

import numpy as np

from scaling.laws.distributions import t_two_sided
from scaling.laws.intervals import Prediction, check_level, delta_variance, linearise_fit
from scaling.laws.observations import FloatArray, Observations, Points
from scaling.laws.selection import Selection, compute_weights
from scaling.laws.splits import relative_error

UNTESTED = 0.5  # decades of compute beyond its rows that a forecast may go without a test


@dataclass(frozen=True)
class Widening:
    """What the errors of earlier forecasts teach about the interval of this one (`backtest` measures it).

    Attributes:
        factor: on the announced standard deviation; at least one.
        tested: decades of compute beyond their rows that earlier forecasts were tested on. Farther out the error is
            taken to go on as a random walk would: its variance in proportion to the distance.
    """

    factor: float = 1.0
    tested: float = UNTESTED

    def deviation(self, announced: FloatArray, decades: FloatArray) -> FloatArray:
        """Give the standard deviation of the log loss, [m], from the announced one and the decades beyond, [m]."""
        return np.asarray(self.factor * announced * np.sqrt(np.maximum(decades / max(self.tested, UNTESTED), 1.0)))


AS_ANNOUNCED = Widening(tested=float("inf"))


def forecast(
    selection: Selection,
    observations: Observations,
    at: Points | Observations,
    *,
    level: float = 0.95,
    widening: Widening = AS_ANNOUNCED,
) -> Prediction:
    """Predict the loss at m points from the average over candidates.

    The variance of the log loss is the sum of the noise of the parameters (delta method), the noise of a measurement
    (residuals), and the disagreement of the candidates: the law of total variance over forms (Burnham & Anderson
    2002, section 4.3), widened by what the backtest found.

    Raises:
        ValueError: level is no probability.
    """
    check_level(level)
    centre, announced, freedom = moments(selection, observations, at)
    deviation = widening.deviation(announced, decades_beyond(observations, at))
    half = t_two_sided(level, freedom) * deviation
    method = "delta + residuals + forms" + (" + backtest" if widening != AS_ANNOUNCED else "")
    with np.errstate(over="ignore"):
        return Prediction(np.exp(centre), np.exp(centre - half), np.exp(centre + half), level, method)


def decades_beyond(observations: Observations, at: Points | Observations) -> FloatArray:
    """Give log10 of the compute of each of m points over the largest observed, zero within, [m].

    Compute is 6 N D on both sides: points to be forecast have no count of their own.
    """
    largest = float(np.max(observations.params * observations.tokens))
    with np.errstate(invalid="ignore"):
        return np.maximum(np.log10(at.params * at.tokens / largest), 0.0)


def moments(
    selection: Selection, observations: Observations, at: Points | Observations
) -> tuple[FloatArray, FloatArray, int]:
    """Give mean and announced standard deviation of the log loss, [m], and degrees of freedom."""
    logs, weights = selection.log_losses(at), selection.weights
    centre = weights @ logs
    variance = weights @ (logs - centre) ** 2
    freedom = len(observations)
    for candidate, weight in zip(selection.candidates, weights, strict=True):
        fit = candidate.fit
        rows = observations.with_weights(compute_weights(observations, candidate.compute_power))
        linear = linearise_fit(fit, rows)
        _, parameter = delta_variance(fit, rows, linear, lambda theta, f=fit: np.log(f.law.predict(theta, at)))  # type: ignore[misc]
        # A singular information matrix can leave a variance just below zero, or none at all.
        variance = variance + weight * (np.maximum(np.nan_to_num(parameter, posinf=0.0), 0.0) + linear.noise**2)
        freedom = min(freedom, linear.freedom)
    return centre, np.sqrt(variance), freedom


def score(prediction: Prediction, observations: Observations) -> tuple[float, float]:
    """Give mean absolute relative error and share of measured losses inside the interval."""
    inside = (observations.loss >= prediction.low) & (observations.loss <= prediction.high)
    return relative_error(prediction.loss, observations.loss), float(np.mean(inside))
