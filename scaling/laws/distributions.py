"""Quantiles and tails of the usual distributions, on scipy.special: scipy.stats takes longer to import than a dry run
to plan."""

import math

import numpy as np
from scipy import special

from scaling.laws.observations import FloatArray

NORMAL_QUARTILE = float(special.ndtri(0.75))  # the median absolute deviation of a standard normal


def normal_density(x: float) -> float:
    return math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def normal_tail(x: float) -> float:
    """P(X > x)."""
    return float(special.ndtr(-x))


def t_quantile(probability: float, freedom: float) -> float:
    """Of Student's t with so many degrees of freedom; nan without any."""
    return float(special.stdtrit(freedom, probability)) if freedom > 0 else math.nan


def t_two_sided(level: float, freedom: float) -> float:
    """The half-width, in standard errors, of a two-sided interval of this level; nan without degrees of freedom."""
    return t_quantile((1 + level) / 2, freedom)


def chi2_quantile(probability: float, freedom: float) -> float:
    return float(special.chdtri(freedom, 1 - probability))


def f_tail(ratio: float, freedom: float, freedom_below: float) -> float:
    """P(F > ratio)."""
    return float(special.fdtrc(freedom, freedom_below, ratio))


def robust_deviation(values: FloatArray) -> float:
    """The median absolute deviation of values, [n], as the standard deviation of a normal; 0 of none."""
    return float(np.median(np.abs(values - np.median(values)))) / NORMAL_QUARTILE if values.size else 0.0
