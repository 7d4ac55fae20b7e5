"""The best N of a budget by a fit, as the checks of a fit compare it: logarithm, noise, along a profile."""

import math

import numpy as np

from scaling.laws.analysis import largest_budget
from scaling.laws.fit import Fit
from scaling.laws.intervals import delta_variance, linearise_fit
from scaling.laws.observations import FloatArray, Observations, points
from scaling.results import LawReport

FACTOR = math.log(1.1)  # two answers within ten percent are one


def largest_fitted_flops(report: LawReport) -> float:
    """As the targets are counted, 6 N D."""
    return largest_budget(report.fitted)


def target_flops(report: LawReport) -> float:
    """The first budget that the report answers for."""
    return report.optima[0].allocation.flops if report.optima else largest_fitted_flops(report)


def log_optimum(fit: Fit, flops: float) -> float:
    return float(np.log(fit.law.optimal_params(fit.theta, np.array(flops))))


def log_optimum_variance(fit: Fit, rows: Observations, flops: float) -> float:
    """By the delta method."""
    linear = linearise_fit(fit, rows)
    _, variance = delta_variance(
        fit, rows, linear, lambda theta: np.log(np.atleast_1d(fit.law.optimal_params(theta, np.array(flops))))
    )
    return float(variance[0])


def profile_optimum(fit: Fit, params: FloatArray, tokens: FloatArray) -> float:
    """The log N at which the law is lowest on the line through a budget's points, [n], in log N and log D."""
    x, y = np.log(params), np.log(tokens)
    slope, level = np.polyfit(x - x.mean(), y, 1)
    at = np.linspace(x.min() - 4.0, x.max() + 4.0, 4001)
    losses = fit.law.predict(fit.theta, points(np.exp(at), np.exp(level + slope * (at - x.mean()))))
    return float(at[int(np.argmin(losses))])
