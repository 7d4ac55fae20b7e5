"""Quantiles and tails against scipy.stats, which is too slow to import for the rooms that want them."""

import numpy as np
import pytest
from scipy import stats

from scaling.laws import distributions

FREEDOMS = (0.5, 1, 2, 5, 37, 1e4)


@pytest.mark.parametrize("probability", [0.01, 0.4, 0.9, 0.975, 1 - 1e-7])
def test_quantiles(probability: float) -> None:
    for freedom in FREEDOMS:
        t, chi2 = stats.t.ppf(probability, freedom), stats.chi2.ppf(probability, freedom)
        assert distributions.t_quantile(probability, freedom) == pytest.approx(t, rel=1e-9)
        assert distributions.chi2_quantile(probability, freedom) == pytest.approx(chi2, rel=1e-8)


def test_a_two_sided_interval_covers_its_level() -> None:
    half = distributions.t_two_sided(0.9, 7)
    assert stats.t.cdf(half, 7) - stats.t.cdf(-half, 7) == pytest.approx(0.9)
    assert np.isnan(distributions.t_two_sided(0.9, 0))


def test_tails_and_density() -> None:
    for x in (-2.0, 0.3, 6.0):
        assert distributions.normal_tail(x) == pytest.approx(stats.norm.sf(x))
        assert distributions.normal_density(x) == pytest.approx(stats.norm.pdf(x))
    assert distributions.f_tail(3.0, 4, 9) == pytest.approx(stats.f.sf(3.0, 4, 9))


def test_a_robust_deviation_is_that_of_the_bulk() -> None:
    values = np.random.default_rng(0).normal(scale=2.0, size=1001)
    spoilt = np.append(values, np.full(50, 1e6))
    assert distributions.robust_deviation(values) == pytest.approx(stats.median_abs_deviation(values, scale="normal"))
    assert distributions.robust_deviation(spoilt) == pytest.approx(2.0, rel=0.2)
    assert distributions.robust_deviation(values[:0]) == 0.0
