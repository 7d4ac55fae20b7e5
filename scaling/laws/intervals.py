"""How far to trust a fit: intervals for its parameters, its optimum, and the loss of a point not yet
measured.

Two methods side by side: percentiles of the bootstrap, and a delta method with Student's t, which does not
starve on few points.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from scaling.laws.bootstrap import Bootstrap
from scaling.laws.custom import spans_decades
from scaling.laws.distributions import t_two_sided
from scaling.laws.fit import Fit
from scaling.laws.noise import Linearised, linearise
from scaling.laws.observations import ByValue, FloatArray, Observations, Points


@dataclass(frozen=True)
class Interval:
    """A range that should hold the truth with probability `level`."""

    low: float
    high: float
    level: float
    method: str


@dataclass(frozen=True, eq=False)
class Prediction(ByValue):
    """Predicted losses at m points, nats per token, each with its interval.

    Attributes:
        loss: the law's answer, [m].
        low, high: ends of the interval, [m].
        level: probability that the interval should hold the measured loss.
        method: what the interval is made of.
    """

    loss: FloatArray
    low: FloatArray
    high: FloatArray
    level: float
    method: str

    def __iter__(self) -> Iterator[FloatArray]:
        """Unpack as `loss, low, high`."""
        return iter((self.loss, self.low, self.high))


def check_level(level: float) -> None:
    """Raise ValueError unless level lies between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"level is {level}: it must lie between 0 and 1; use 0.95 for 95%")


def percentiles(draws: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """Give the ends of the central interval over the first axis, ignoring draws without a value."""
    tail = (1 - level) / 2
    low, high = np.nanquantile(draws, [tail, 1 - tail], axis=0)
    return np.asarray(low), np.asarray(high)


def parameter_intervals(
    fit: Fit, observations: Observations, boot: Bootstrap | None = None, *, level: float = 0.95
) -> dict[str, Interval]:
    """Give an interval for each parameter: bootstrap percentiles where `boot` is given, else the delta
    method.

    Raises:
        ValueError: level is no probability, or the fit was refused.
    """
    check_level(level)
    names = fit.law.parameter_names
    if boot is not None:
        low, high = percentiles(boot.parameters, level)
        return {name: Interval(float(low[i]), float(high[i]), level, "bootstrap") for i, name in enumerate(names)}
    intervals = {}
    linear = linearise_fit(fit, observations)
    for i, name in enumerate(names):

        def value(theta: FloatArray, i: int = i) -> FloatArray:
            return theta[..., i]

        intervals[name] = delta_interval(
            fit, observations, value, level=level, log=spans_decades(fit.law, name), linear=linear
        )
    return intervals


def linearise_fit(fit: Fit, observations: Observations) -> Linearised:
    """Give the covariance of a fit's coordinates and its noise."""
    surface = fit.law.surface(observations)
    coords, clusters = surface.from_raw(fit.theta), observations.trajectory_index()
    return linearise(surface, coords, observations.weights, fit.objective.delta, clusters)


def delta_variance(
    fit: Fit, observations: Observations, linear: Linearised, function: Callable[[FloatArray], FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Give value and variance, each [m], of a function of raw parameters, [..., P] to [..., m]."""
    surface = fit.law.surface(observations)
    coords = surface.from_raw(fit.theta)
    step = np.diag(1e-5 * np.maximum(np.abs(coords), 1e-3))
    ahead = np.clip(coords + step, surface.lower, surface.upper)  # one-sided at a bound
    behind = np.clip(coords - step, surface.lower, surface.upper)
    rise = function(surface.to_raw(ahead)) - function(surface.to_raw(behind))
    value = np.atleast_1d(function(surface.to_raw(coords)))
    slope = rise.reshape(len(coords), -1) / np.diag(ahead - behind)[:, None]
    return value, np.einsum("pm,pq,qm->m", slope, linear.covariance, slope)


def delta_interval(
    fit: Fit,
    observations: Observations,
    function: Callable[[FloatArray], FloatArray],
    *,
    level: float = 0.95,
    log: bool = False,
    linear: Linearised | None = None,
) -> Interval:
    """Give a t-based interval for a scalar function of the raw parameters; with `log`, symmetric in its
    logarithm. `linear` is `linearise_fit` of the two where it is there already.

    Raises:
        ValueError: level is no probability, or the fit was refused.
    """
    check_level(level)

    def transformed(theta: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # a coefficient of zero
            return np.log(function(theta)) if log else function(theta)

    linear = linear or linearise_fit(fit, observations)
    value, variance = delta_variance(fit, observations, linear, transformed)
    half = t_two_sided(level, linear.freedom) * float(np.sqrt(variance[0]))
    low, high = float(value[0]) - half, float(value[0]) + half
    if log:
        low, high = float(np.exp(low)), float(np.exp(high))
    return Interval(low, high, level, "delta-t")


def curve_band(
    fit: Fit, observations: Observations, at: Points | Observations, boot: Bootstrap | None = None, *, level: float
) -> tuple[FloatArray, FloatArray]:
    """Give the ends of the interval of the law itself at m points, [m] each: the noise of the parameters alone.

    Bootstrap percentiles where `boot` is given, else the delta method in the log loss. A measurement lies outside it
    far more often than one time in 1 / (1 - level): `predict_interval` is for those.

    Raises:
        ValueError: level is no probability, or the fit was refused.
    """
    check_level(level)
    if boot is not None and len(boot):
        return percentiles(fit.law.predict(boot.parameters, at), level)
    linear = linearise_fit(fit, observations)
    centre, variance = delta_variance(fit, observations, linear, lambda theta: np.log(fit.law.predict(theta, at)))
    half = t_two_sided(level, linear.freedom) * np.sqrt(np.maximum(variance, 0))
    with np.errstate(over="ignore"):  # a band beyond float64 is one of no information
        return np.exp(centre - half), np.exp(centre + half)


def predict_interval(
    fit: Fit,
    observations: Observations,
    at: Points | Observations,
    boot: Bootstrap | None = None,
    *,
    level: float = 0.95,
    others: Sequence[Fit] = (),
    widen: float = 1.0,
) -> Prediction:
    """Predict the loss at points where none is known, with an interval for what will be measured there.

    Args:
        fit: the law that predicts.
        observations: the rows it was fitted to.
        at: where to predict, m points.
        boot: its bootstrap, for the noise of the parameters; without it the delta method is used.
        level: probability that the interval should hold the measured loss.
        others: fits of other forms to the same rows; their disagreement is added as if one of them could be
            the truth.
        widen: factor on the half-width in log loss, from a backtest (`forecast.backtest`).

    Raises:
        ValueError: level is no probability, or a fit was refused.
    """
    check_level(level)
    loss = np.atleast_1d(fit.law.predict(fit.theta, at))
    linear = linearise_fit(fit, observations)
    if boot is not None and len(boot):
        logs = np.log(fit.law.predict(boot.parameters, at))
        centre, parameter_variance = np.log(loss), np.nanmean((logs - np.log(loss)) ** 2, axis=0)
        method = "bootstrap + residuals"
    else:
        centre, parameter_variance = delta_variance(
            fit, observations, linear, lambda theta: np.log(fit.law.predict(theta, at))
        )
        method = "delta-t + residuals"
    # Squared scale of the residuals as their spread is, so that heavy tails count; rows of small weight are
    # noisier.
    # A singular information matrix can leave a variance just below zero.
    variance = np.maximum(parameter_variance, 0.0) + linear.noise**2
    if others:
        logs = np.array([np.log(other.law.predict(other.theta, at)) for other in others])
        variance = variance + np.mean((logs - centre) ** 2, axis=0)
        method += " + forms"
    half = t_two_sided(level, linear.freedom) * np.sqrt(variance) * widen
    if widen != 1.0:
        method += " + backtest"
    with np.errstate(over="ignore"):
        return Prediction(loss, np.exp(centre - half), np.exp(centre + half), level, method)
