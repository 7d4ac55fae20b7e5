"""Forecast losses not yet measured, with an interval that has been tried on the training rows themselves."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from scaling.laws.intervals import Prediction, check_level, delta_variance, linearise_fit
from scaling.laws.objective import DELTA
from scaling.laws.observations import FloatArray, Observations, Points
from scaling.laws.selection import Selection, compute_weights, inner_splits, select
from scaling.laws.splits import relative_error


@dataclass(frozen=True)
class Backtest:
    """How wrong forecasts were when the training rows with the most compute played the unknown.

    Attributes:
        widen: factor on the half-width that would have made the forecasts' errors as large as announced; at least
            one.
        scores: error over announced standard deviation of each held row, of all inner splits.
    """

    widen: float
    scores: FloatArray


def forecast(
    selection: Selection,
    observations: Observations,
    at: Points | Observations,
    *,
    level: float = 0.95,
    widen: float = 1.0,
) -> Prediction:
    """Predict the loss at m points from the average over candidates.

    The variance of the log loss is the sum of the noise of the parameters (delta method), the noise of a measurement
    (residuals), and the disagreement of the candidates: the law of total variance over forms (Burnham & Anderson
    2002, section 4.3), the half-width being multiplied by `widen`.

    Raises:
        ValueError: level is no probability.
    """
    check_level(level)
    centre, deviation, freedom = _moments(selection, observations, at)
    half = stats.t.ppf((1 + level) / 2, freedom) * deviation * widen
    method = "delta + residuals + forms" + (" + backtest" if widen != 1.0 else "")
    return Prediction(np.exp(centre), np.exp(centre - half), np.exp(centre + half), level, method)


def _moments(
    selection: Selection, observations: Observations, at: Points | Observations
) -> tuple[FloatArray, FloatArray, int]:
    """Give mean and standard deviation of the log loss, [m], and degrees of freedom."""
    logs, weights = selection.log_losses(at), selection.weights
    centre = weights @ logs
    variance = weights @ (logs - centre) ** 2
    freedom = len(observations)
    for candidate, weight in zip(selection.candidates, weights, strict=True):
        fit = candidate.fit
        rows = observations.with_weights(compute_weights(observations, candidate.compute_power))
        linear = linearise_fit(fit, rows)
        _, parameter = delta_variance(fit, rows, linear, lambda theta, f=fit: np.log(f.law.predict(theta, at)))  # type: ignore[misc]
        variance = variance + weight * (np.where(np.isfinite(parameter), parameter, 0) + linear.noise**2)
        freedom = min(freedom, linear.freedom)
    return centre, np.sqrt(variance), freedom


def backtest(observations: Observations, *, delta: float = DELTA) -> Backtest:
    """Repeat selection and forecast on the inner splits of the training rows, and compare errors with
    announcements."""
    scores = [np.empty(0)]
    for split in inner_splits(observations):
        kept, held = observations.take(split.kept), observations.take(split.held)
        try:
            selection = select(kept, delta=delta)
        except ValueError:  # too few rows below the cut: nothing to learn from this split
            continue
        centre, deviation, _ = _moments(selection, kept, held)
        scores.append((np.log(held.loss) - centre) / deviation)
    joined = np.concatenate(scores)
    widen = float(np.sqrt(np.mean(joined**2))) if len(joined) else 1.0
    return Backtest(max(1.0, widen), joined)


def score(prediction: Prediction, observations: Observations) -> tuple[float, float]:
    """Give mean absolute relative error and share of measured losses inside the interval."""
    inside = (observations.loss >= prediction.low) & (observations.loss <= prediction.high)
    return relative_error(prediction.loss, observations.loss), float(np.mean(inside))
