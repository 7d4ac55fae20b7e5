"""The expected covariance against simulated studies, and the bookkeeping of the greedy search."""

import numpy as np
import pytest

from scaling.laws.design import Knowledge, Noise, knowledge, linear, psi_moments, weak_prior
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.objective import DELTA
from scaling.laws.observations import FloatArray, IntArray, Observations, Points, points
from scaling.laws.quantities import quantity

THETA = np.array([0.92, 117.0, 1700.0, 0.58, 0.65])
TARGET = 3e13


def grid() -> tuple[Points, IntArray]:
    """Six sizes at five budgets; the points of a size share a trajectory."""
    N, D = np.meshgrid(np.geomspace(1e4, 1e6, 6), np.geomspace(2.6e5, 3e6, 5))
    return points(N.ravel(), D.ravel()), np.tile(np.arange(6), 5)


def known(noise: Noise, prior: FloatArray | None = None) -> tuple[Knowledge, FloatArray, FloatArray]:
    at, trajectories = grid()
    local = linear(CHINCHILLA, THETA, at)
    slope = local.slope(quantity("ln N_opt", CHINCHILLA, TARGET).function)
    return knowledge(local.slopes, trajectories, noise, prior=prior), local.slopes, slope


@pytest.mark.parametrize(("sd", "shared"), [(0.01, 0.8), (0.001, 0.5), (0.0002, 0.9)])
def test_the_correlation_of_psi_is_that_of_clipped_pairs(sd: float, shared: float) -> None:
    rng = np.random.default_rng(0)
    common, own = rng.standard_normal((1, 400_000)), rng.standard_normal((2, 400_000))
    psi = np.clip(sd * (np.sqrt(shared) * common + np.sqrt(1 - shared) * own), -DELTA, DELTA)
    inside, second, correlation = psi_moments(Noise(sd, shared))
    assert correlation == pytest.approx(np.mean(psi[0] * psi[1]) / np.mean(psi**2), abs=0.006)
    assert second == pytest.approx(np.mean(psi**2), rel=0.01)
    assert inside == pytest.approx(np.mean(np.abs(psi) < DELTA), rel=0.02)


@pytest.mark.parametrize("shared", [0.0, 0.8])
def test_the_expected_sd_is_that_of_simulated_studies(shared: float) -> None:
    """80 studies give an sd to 8%; benchmarks/design_power.py has more designs and studies."""
    at, trajectories = grid()
    rng = np.random.default_rng(1)
    simulated = []
    for _ in range(80):
        common, own = rng.standard_normal(6)[trajectories], rng.standard_normal(len(at))
        noise = 0.01 * (np.sqrt(shared) * common + np.sqrt(1 - shared) * own)
        losses = CHINCHILLA.predict(THETA, at) * np.exp(noise)
        fit = fit_law(CHINCHILLA, Observations(at.params, at.tokens, losses, trajectory=trajectories.astype(str)))
        simulated.append(quantity("ln N_opt", CHINCHILLA, TARGET).function(fit.theta[None])[0])
    seen, _, slope = known(Noise(0.01, shared))
    assert seen.sd(slope) == pytest.approx(np.std(simulated), rel=0.2)


def test_adding_points_one_by_one_is_knowing_them_at_once() -> None:
    noise = Noise(0.01, 0.6)
    at_once, slopes, slope = known(noise)
    _, trajectories = grid()
    few = knowledge(slopes[:9], trajectories[:9], noise)
    for i in range(9, len(slopes)):
        few = few.plus(slopes[i], int(trajectories[i]))
    assert few.sd(slope) == pytest.approx(at_once.sd(slope), rel=1e-9)


def test_a_candidates_variance_is_that_of_adding_it() -> None:
    seen, slopes, slope = known(Noise(0.01, 0.6), weak_prior(CHINCHILLA))
    at, trajectories = slopes[[3, 17, 29]] * 1.3, np.array([2, -1, 5])
    expected = [seen.plus(g, int(t)).sd(slope) ** 2 for g, t in zip(at, trajectories, strict=True)]
    assert seen.variances_with(at, trajectories, slope) == pytest.approx(expected, rel=1e-9)


def test_points_on_one_line_tell_nothing_of_the_best_size() -> None:
    N = np.geomspace(1e4, 1e6, 4)
    local = linear(CHINCHILLA, THETA, points(N, 20 * N))
    slope = local.slope(quantity("ln N_opt", CHINCHILLA, TARGET).function)
    assert knowledge(local.slopes, np.arange(4), Noise(0.01)).sd(slope) == np.inf


def test_more_noise_tells_less_in_proportion() -> None:
    one, _, slope = known(Noise(0.01))
    two, _, _ = known(Noise(0.03))
    # Far beyond delta the Huber sum is one of absolute values, whose spread is that of the noise.
    assert two.sd(slope) / one.sd(slope) == pytest.approx(3.0, rel=0.1)


@pytest.mark.parametrize(("sd", "shared"), [(0.0, 0.1), (1.5, 0.1), (0.01, 1.2), (float("nan"), 0.0)])
def test_an_impossible_noise_is_refused(sd: float, shared: float) -> None:
    with pytest.raises(ValueError, match="noise"):
        Noise(sd, shared)


def test_an_unknown_quantity_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ln N_opt, ln L_opt"):
        quantity("N_opt", CHINCHILLA, 1e13)
