"""Data that cannot tell a law are refused with the reason and what to add, and no number is shown as a result."""

from dataclasses import replace

import numpy as np
import pytest

from scaling.laws.analysis import analyse
from scaling.laws.fit import Fit, fit_law
from scaling.laws.forms import CHINCHILLA, power_law
from scaling.laws.intervals import linearise_fit, predict_interval
from scaling.laws.isoflop import MOST_BUDGETS, fit_isoflops
from scaling.laws.joint import KAPLAN
from scaling.laws.observations import Observations, points
from scaling.laws.payload import fits_payload

from .test_fit import NOISY

TRUTH = np.array([1.8, 480.0, 2100.0, 0.35, 0.37])


def chinchilla_rows(params: np.ndarray, tokens: np.ndarray, noise: float = 0.005, seed: int = 0) -> Observations:
    loss = CHINCHILLA.predict(TRUTH, points(params, tokens))
    return Observations(params, tokens, loss * np.exp(noise * np.random.default_rng(seed).standard_normal(len(loss))))


def refuse(rows: Observations, status: str, reason: str) -> Fit:
    fit = fit_law(CHINCHILLA, rows)
    assert fit.status == status
    assert reason in fit.message
    assert "add" in fit.message
    assert not fit.usable
    return fit


SIZES = np.geomspace(1e7, 1e9, 12)


def test_one_ratio() -> None:
    refuse(chinchilla_rows(SIZES, 20 * SIZES), "unidentified", "same tokens per parameter")


def test_one_ratio_with_rounding() -> None:
    wobble = 1 + 0.004 * np.sin(np.arange(12))
    refuse(chinchilla_rows(SIZES, 20 * SIZES * wobble), "unidentified", "same tokens per parameter")


def test_one_path_of_any_slope() -> None:
    refuse(chinchilla_rows(SIZES, 1e9 * (SIZES / 1e8) ** 0.7), "unidentified", "tokens ~ params^0.70")


def test_one_tokens() -> None:
    refuse(chinchilla_rows(SIZES, np.full(12, 1e10)), "refused", "same tokens")


def test_one_params() -> None:
    refuse(chinchilla_rows(np.full(12, 1e8), np.geomspace(1e8, 1e11, 12)), "refused", "same params")


def test_two_params() -> None:
    rows = chinchilla_rows(np.repeat([1e8, 1e9], 6), np.tile(np.geomspace(1e8, 1e11, 6), 2))
    refuse(rows, "refused", "only 2 values of params")


def test_two_budgets() -> None:
    flops = np.repeat([1e18, 1e19], 6)
    params = np.sqrt(flops / 120) * np.tile(np.geomspace(0.2, 5, 6), 2)
    refuse(chinchilla_rows(params, flops / 6 / params), "refused", "only 2 compute budgets")


def test_too_few_points() -> None:
    refuse(NOISY.take([0, 5, 8, 13, 17, 22]), "refused", "6 distinct points for the 5 parameters")


def test_repeating_too_few_points_does_not_help() -> None:
    refuse(NOISY.take(np.tile([0, 5, 8, 13, 17, 22], 4)), "refused", "6 distinct points")


def test_constant_loss() -> None:
    refuse(replace(NOISY, loss=np.full(len(NOISY), 3.0)), "refused", "every loss is the same")


def test_floor_below_zero() -> None:
    """Losses that fall faster and faster want a negative floor."""
    x = np.geomspace(1e6, 1e9, 12)
    rows = Observations(x, 20 * x, 5.0 - 0.2 * np.log(x))
    fit = fit_law(power_law("params"), rows)
    assert fit.status == "at_bound"
    assert "E is below zero" in fit.message
    assert fit.parameters["E"] == 0


def test_flat_profile_of_the_floor() -> None:
    """A pure power law over one decade under noise: any floor from zero up to half the loss fits."""
    x = np.tile(np.geomspace(1e7, 1e8, 10), 2)
    noise = np.exp(0.02 * np.random.default_rng(4).standard_normal(20))
    fit = fit_law(power_law("params"), Observations(x, 20 * x, 12 * x**-0.08 * noise))
    assert fit.status in ("unidentified", "at_bound")
    assert "add" in fit.message


@pytest.mark.parametrize("seed", range(3))
def test_narrow_study_is_not_sold(seed: int) -> None:
    params, ratio = np.meshgrid(np.geomspace(1e8, 2e8, 6), np.geomspace(10, 40, 4))
    rows = chinchilla_rows(params.ravel(), (params * ratio).ravel(), noise=0.01, seed=seed)
    assert not fit_law(CHINCHILLA, rows).usable


def test_wide_study_is_not_refused() -> None:
    """The other side of every refusal above: the same law, seen well, converges."""
    assert fit_law(CHINCHILLA, NOISY).status == "converged"
    flops = np.repeat([1e18, 1e19, 1e20], 6)
    params = np.sqrt(flops / 120) * np.tile(np.geomspace(0.2, 5, 6), 3)
    assert fit_law(CHINCHILLA, chinchilla_rows(params, flops / 6 / params)).status == "converged"


@pytest.mark.parametrize(
    "rows",
    [chinchilla_rows(SIZES, 20 * SIZES), NOISY.take([0, 5, 8, 13, 17, 22]), replace(NOISY, loss=np.full(24, 3.0))],
    ids=["one ratio", "few points", "constant"],
)
def test_refused_numbers_do_not_reach_the_file(rows: Observations) -> None:
    payload = fits_payload(analyse(rows, resamples=20, targets=(1e22,)), source="test")
    entry = payload["fits"][0]
    assert entry["law"] == "chinchilla"
    assert entry["status"] in ("refused", "unidentified")
    assert entry["parameters"] is None
    assert entry["optimum"] is None
    assert entry["intervals"] == {}
    assert payload["forecasts"] == []


def test_isoflops_refuse_two_budgets_and_unusable_parabolas() -> None:
    flops = np.repeat([1e18, 1e19, 1e20, 1e21], 7)
    params = np.sqrt(flops / 120) * np.tile(np.geomspace(0.2, 5, 7), 4)
    rows = chinchilla_rows(params, flops / 6 / params, noise=0.0)
    good = fit_isoflops(rows)
    assert good.status == "converged"
    assert [p.status for p in good.parabolas] == ["used"] * 4
    two = fit_isoflops(rows.take(np.arange(14)))
    assert two.status == "refused"
    with pytest.raises(ValueError, match="approach 2 was refused"):
        two.optimal_params(1e22)
    humped = rows.loss.copy()
    humped[:7] = 6.0 - humped[:7]
    assert fit_isoflops(replace(rows, loss=humped)).parabolas[0].status == "concave"
    off_centre = rows.take(np.flatnonzero(np.arange(28) % 7 > 2))
    assert {p.status for p in fit_isoflops(off_centre).parabolas} == {"edge"}
    assert fit_isoflops(rows.take(np.flatnonzero(np.arange(28) % 7 < 3))).parabolas[0].status == "few"


def test_a_column_of_budgets_that_are_all_different_is_looked_at_in_part() -> None:
    """Compute given as the budget: a million of them would be a million parabolas."""
    rng = np.random.default_rng(0)
    params, tokens = 10 ** rng.uniform(7, 9, 5000), 10 ** rng.uniform(8, 10, 5000)
    rows = Observations(params, tokens, 2 + 1e3 / params**0.5, budget=6 * params * tokens)
    found = fit_isoflops(rows)
    assert found.status == "refused"
    assert len(found.parabolas) == MOST_BUDGETS
    assert "2,000 of 5,000 were looked at" in found.message


def test_of_a_fit_that_ran_away_nothing_is_known() -> None:
    """The losses do not fall with size, and Kaplan's N_c goes beyond every number: no error, and no interval."""
    params, tokens = np.repeat([6144.0, 13824.0, 24576.0], 3), np.tile([16000.0, 24064.0, 32000.0], 3)
    losses = np.array([2.0531, 1.9663, 1.919, 2.0415, 2.0049, 1.9744, 2.0428, 1.9967, 1.9479])
    rows = Observations(params, tokens, losses)
    fit = fit_law(KAPLAN, rows)
    assert not fit.usable
    assert np.isnan(linearise_fit(fit, rows).covariance).all()
    assert np.isnan(predict_interval(fit, rows, points(38400.0, 32000.0)).low).all()
