"""Every resample is fitted to its global optimum, the unit is the trajectory, and published standard errors
come out."""

from dataclasses import replace

import numpy as np
import pytest

from scaling.laws.bootstrap import bootstrap, resample_counts
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA, power_law
from scaling.laws.observations import Observations
from scaling.laws.optimum import allocate

from .published import load
from .test_fit import NOISY, REFERENCE, planted


def test_each_resample_is_the_fit_of_its_rows() -> None:
    boot = bootstrap(REFERENCE, NOISY, resamples=12, seed=7)
    counts = resample_counts(NOISY, 12, 7)
    for parameters, value, count in zip(boot.parameters, boot.values, counts, strict=True):
        alone = fit_law(CHINCHILLA, NOISY.with_weights(count))
        assert alone.objective.value is not None
        assert value <= alone.objective.value * (1 + 1e-9)
        assert parameters == pytest.approx(alone.theta, rel=1e-5)


def test_same_seed_same_numbers_and_another_seed_others() -> None:
    one = bootstrap(REFERENCE, NOISY, resamples=50, seed=1)
    again = bootstrap(REFERENCE, NOISY, resamples=50, seed=1)
    other = bootstrap(REFERENCE, NOISY, resamples=50, seed=2)
    assert np.array_equal(one.parameters, again.parameters)
    assert not np.array_equal(one.parameters, other.parameters)


def test_rows_of_a_trajectory_are_drawn_together() -> None:
    ids = np.repeat(["a", "b", "c", "d"], 6)
    rows = replace(NOISY, trajectory=ids)
    counts = resample_counts(rows, 200, 0)
    assert np.all(counts.reshape(200, 4, 6).std(axis=2) == 0)
    assert np.all(counts.reshape(200, 4, 6)[:, :, 0].sum(axis=1) == 4)


def test_shared_noise_widens_the_intervals() -> None:
    """Four points of one trunk that share their error are one observation, not four."""
    rng = np.random.default_rng(11)
    law = power_law("params")
    params = np.repeat(np.geomspace(1e6, 1e9, 12), 4)
    shared = np.exp(0.02 * np.repeat(rng.standard_normal(12), 4))
    rows = Observations(params, params * 20, (1.5 + 200 * params**-0.3) * shared)
    clustered = replace(rows, trajectory=np.repeat(np.arange(12).astype(str), 4))
    fit = fit_law(law, rows)
    spread = [bootstrap(fit, data, resamples=300, seed=3).parameters.std(axis=0)[2] for data in (rows, clustered)]
    # Means of 4 equal errors: the standard error is understated by sqrt(4) = 2; 1.5 leaves room for 12
    # clusters.
    assert spread[1] > 1.5 * spread[0]


def test_no_resamples_is_an_empty_bootstrap() -> None:
    assert bootstrap(REFERENCE, NOISY, resamples=0, seed=0).parameters.shape == (0, 5)
    with pytest.raises(ValueError, match="resamples is -1"):
        bootstrap(REFERENCE, NOISY, resamples=-1, seed=0)


def test_refused_fit_has_nothing_to_resample() -> None:
    rows = NOISY.take(np.arange(5))
    with pytest.raises(ValueError, match="was refused"):
        bootstrap(fit_law(CHINCHILLA, rows), rows, resamples=10, seed=0)


def test_published_standard_errors() -> None:
    """Besiroglu et al.'s 4,000 resamples, refitted to their optimum: SE and the interval of the exponent
    a."""
    rows = load("epoch_240")
    boot = bootstrap(fit_law(CHINCHILLA, rows), rows, resamples=4000, seed=42)
    E, A, B, alpha, beta = boot.parameters.std(axis=0, ddof=1)
    # The standard error of a standard error over 4,000 draws is 1.1%, more under heavy tails (A and B): five
    # of them, in both the published and this draw.
    assert (E, alpha, beta) == pytest.approx((0.025677, 0.015396, 0.020629), rel=0.08)
    assert pytest.approx((124.475, 1312.12), rel=0.15) == (A, B)
    exponent = boot.parameters[:, 4] / (boot.parameters[:, 3] + boot.parameters[:, 4])
    assert np.quantile(exponent, [0.1, 0.9]) == pytest.approx([0.4914, 0.5428], abs=0.003)
    assert np.quantile(exponent, [0.025, 0.975]) == pytest.approx([0.4805, 0.5562], abs=0.003)
    params, _, _ = allocate(CHINCHILLA, boot.parameters, 5.76e23)
    assert np.isfinite(params).all()


def test_planted_law_has_no_spread() -> None:
    rows = planted(CHINCHILLA, (1.8, 480.0, 2100.0, 0.35, 0.37))
    boot = bootstrap(fit_law(CHINCHILLA, rows), rows, resamples=40, seed=0)
    identified = boot.values < 1e-20
    assert identified.mean() > 0.9  # a resample can hold too few sizes
    assert boot.parameters[identified, 3] == pytest.approx(0.35, rel=1e-5)
