"""The interval for the floor: it holds what was planted, widens with doubt, and shrinks with reach."""

import warnings
from dataclasses import replace

import numpy as np

from scaling.laws.fit import fit_law
from scaling.laws.floor import GROWING, floor_interval, profile
from scaling.laws.forms import CHINCHILLA
from scaling.laws.observations import Observations

E, A, B, ALPHA, BETA = 0.7, 60.0, 300.0, 0.5, 0.5

# Losses of a study of a made-up language whose best possible model loses 0.6936: N, then D and loss, by trajectory.
NEAR_ITS_FLOOR: tuple[tuple[int, dict[int, float]], ...] = (
    (
        20_136,
        {524_288: 0.7897, 786_432: 0.7674, 1_048_576: 0.7587, 2_097_152: 0.7405, 4_194_304: 0.7240, 8_388_608: 0.7111},
    ),
    (20_136, {524_288: 0.7829, 1_048_576: 0.7606, 2_097_152: 0.7440}),
    (20_136, {524_288: 0.7820, 1_048_576: 0.7628, 2_097_152: 0.7495}),
    (
        32_992,
        {524_288: 0.7760, 786_432: 0.7586, 1_048_576: 0.7461, 2_097_152: 0.7220, 4_194_304: 0.7084, 8_388_608: 0.7021},
    ),
    (32_992, {524_288: 0.7699, 1_048_576: 0.7490, 2_097_152: 0.7250}),
    (32_992, {524_288: 0.7753, 1_048_576: 0.7548, 2_097_152: 0.7275}),
    (
        67_888,
        {524_288: 0.7587, 786_432: 0.7382, 1_048_576: 0.7297, 2_097_152: 0.7108, 4_194_304: 0.7030, 8_388_608: 0.6989},
    ),
    (67_888, {524_288: 0.7611, 1_048_576: 0.7394}),
    (115_072, {524_288: 0.7578, 786_432: 0.7438, 1_048_576: 0.7339, 2_097_152: 0.7109, 4_194_304: 0.7019}),
    (246_304, {524_288: 0.7507, 786_432: 0.7333, 1_048_576: 0.7242, 2_097_152: 0.7062}),
)
TRUE_FLOOR = 0.6936


def planted(seed: int, *, noise: float = 0.005, reach: float = 16.0, gamma: float = 1.0) -> Observations:
    """Six sizes and five budgets, `reach` being the ratio of the largest budget to the smallest."""
    params = np.repeat(np.geomspace(1e4, 1e6, 6), 5)
    tokens = np.tile(np.geomspace(2.5e5, 2.5e5 * reach, 5), 6)
    loss = E + (A / params**ALPHA + B / tokens**BETA) ** gamma
    source = np.random.default_rng(seed)
    loss *= np.exp(noise * source.standard_normal(len(loss)))
    return Observations(params, tokens, loss, trajectory=np.repeat([f"run {i}" for i in range(6)], 5))


def test_the_interval_holds_the_planted_floor() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = [floor_interval(planted(seed)) for seed in range(8)]
    held = [each is not None and each.low <= E <= each.high for each in found]
    assert sum(held) >= 7  # a range of several doubts holds at least its 95%: fewer than 7 of 8 happens 1 time in 17
    for each in found:
        assert each is not None
        assert each.low <= each.estimate <= each.high
        assert 0 < each.high - each.low < 0.35  # and says something: the smallest loss is 1.5, the term in D .15


def test_the_profile_alone_covers_at_its_level() -> None:
    """The noise of a correct form: 20 studies, at 95%; 16 or fewer hold with probability 0.02."""
    held = 0
    for seed in range(20):
        rows = planted(100 + seed)
        low, high = profile(fit_law(CHINCHILLA, rows), rows)
        held += low <= E <= high
    assert held > 16


def test_a_wrong_form_with_small_residuals_does_not_shut_the_truth_out() -> None:
    """Losses of another form: Chinchilla's fits them to half a percent with a floor that is far off."""
    rows = planted(0, noise=0.001, gamma=0.6)
    fit = fit_law(CHINCHILLA, rows)
    assert np.sqrt(np.mean(fit.residuals**2)) < 0.01
    found = floor_interval(rows)
    assert found is not None
    assert abs(found.estimate / E - 1) > 0.05
    assert found.low <= E <= found.high


def test_losses_that_near_their_floor_faster_than_a_power_do_not_shut_it_out() -> None:
    """No form of constant exponents reaches the truth here, however small the residuals."""
    runs = [
        (size, tokens, loss, f"run {i}") for i, (size, run) in enumerate(NEAR_ITS_FLOOR) for tokens, loss in run.items()
    ]
    params, tokens, loss, trajectory = (np.array(column) for column in zip(*runs, strict=True))
    found = floor_interval(Observations(params, tokens, loss, trajectory=trajectory))
    assert found is not None
    constant = [doubt.high for doubt in found.doubts if doubt.name != GROWING and doubt.high is not None]
    assert max(constant) < TRUE_FLOOR
    assert found.low <= TRUE_FLOOR <= found.high
    assert found.high - found.low < 0.25 * TRUE_FLOOR


def test_a_form_that_the_points_speak_against_is_no_doubt() -> None:
    def names(noise: float) -> set[str]:
        found = floor_interval(planted(0, noise=noise))
        assert found is not None
        return {doubt.name for doubt in found.doubts}

    assert GROWING in names(0.02)
    assert GROWING not in names(0.001)


def test_reach_narrows_and_noise_widens_it() -> None:
    def width(rows: Observations) -> float:
        found = floor_interval(rows)
        assert found is not None
        return found.high - found.low

    assert width(planted(0, reach=256.0)) < width(planted(0))
    assert width(planted(0, noise=0.001)) < width(planted(0, noise=0.01))


def test_rows_of_one_trajectory_count_as_far_as_they_are_independent() -> None:
    rows = planted(3, noise=0.0)
    shared = np.repeat(np.random.default_rng(5).standard_normal(6), 5)
    rows = replace(rows, loss=rows.loss * np.exp(0.005 * shared))
    together = profile(fit_law(CHINCHILLA, rows), rows)
    alone = replace(rows, trajectory=np.array([f"run {i}" for i in range(30)]))
    apart = profile(fit_law(CHINCHILLA, alone), alone)
    assert together[1] - together[0] > apart[1] - apart[0]


def test_too_few_rows_have_no_interval() -> None:
    assert floor_interval(planted(0).take(np.arange(5))) is None


def test_the_smallest_loss_bounds_it() -> None:
    found = floor_interval(planted(1, noise=0.02, reach=2.0))
    assert found is not None
    assert found.high <= planted(1, noise=0.02, reach=2.0).loss.min()
    assert found.low >= 0.0


def test_a_floor_of_zero_has_an_interval_too() -> None:
    """E at its bound, where a width relative to the estimate would be nothing."""
    rows = planted(0, noise=0.0)
    sunk = replace(rows, loss=rows.loss - E - 0.05)
    fit = fit_law(CHINCHILLA, sunk)
    assert fit.parameters["E"] == 0.0
    low, high = profile(fit, sunk)
    assert low == 0.0
    assert 0.0 <= high < float(sunk.loss.min())
