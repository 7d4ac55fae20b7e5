"""The average over forms: it is always there, holds planted truths, and can be stored and asked again."""

import json

import numpy as np
import pytest

from benchmarks.laws_scenarios import NOISE, base, best, draw, isoflop
from scaling.laws.backtest import forecaster
from scaling.laws.fit import fit_law
from scaling.laws.form_report import optimum_intervals
from scaling.laws.forms import CHINCHILLA
from scaling.laws.ladder import ladder
from scaling.laws.noise import shared_noise
from scaling.laws.observations import FloatArray, Observations, points
from scaling.laws.selection import select
from scaling.laws.stored import forecaster_payload, stored_forecaster

from .test_fit import NOISY


def profiles(budgets: int, sizes: int, decades: float, seed: int = 0) -> Observations:
    rng = np.random.default_rng(seed)
    N, D = isoflop(rng, budgets, sizes, decades)
    return Observations(N, D, base(N, D) * np.exp(NOISE * rng.standard_normal(len(N))))


@pytest.mark.parametrize(("budgets", "sizes", "decades"), [(3, 12, 1.0), (4, 8, 2.0), (5, 6, 1.5), (6, 4, 3.0)])
def test_clean_isoflop_studies_have_a_forecast(budgets: int, sizes: int, decades: float) -> None:
    rows = profiles(budgets, sizes, decades)
    assert fit_law(CHINCHILLA, rows).usable
    flops = 10 * float(rows.flops.max())
    asked = forecaster(rows)
    found = asked.best(flops)
    assert found is not None
    truth, loss = best(base, flops)
    assert found.params_interval.low < truth < found.params_interval.high
    assert np.all(np.abs(np.log(asked.predict(points(truth, flops / 6 / truth)).loss / loss)) < 0.02)
    assert asked.backtest.tested is (budgets > 3)  # below three budgets no law is carried that could be tested
    assert ("untested" in asked.why) is (budgets == 3)


@pytest.mark.parametrize("named", [False, True])
def test_cuts_divide_no_budget(named: bool) -> None:
    """Compute of one budget differs by rounding, and nominal budgets by more."""
    rng = np.random.default_rng(1)
    rows = profiles(5, 6, 2.0)
    spread = 0.1 if named else 1e-12
    flops = rows.flops * np.exp(spread * rng.uniform(-1, 1, len(rows)))
    budget = np.repeat(np.geomspace(2e18, 2e20, 5), 6)
    rows = Observations(rows.params, rows.tokens, rows.loss, flops, budget=budget if named else None)
    cuts = ladder(rows)
    assert len(cuts) > 1
    for cut in cuts:
        assert set(np.bincount(np.repeat(np.arange(5), 6), weights=cut.kept)) <= {0.0, 6.0}


def test_an_interaction_that_plain_chinchilla_misses_is_held() -> None:
    held, missed = 0, 0
    for seed in range(6):
        scenario = draw("coupled", seed)
        flops = 10 * float(scenario.rows.flops.max())
        truth, _ = scenario.best(flops)
        found = forecaster(scenario.rows).best(flops)
        assert found is not None
        held += found.params_interval.low < truth < found.params_interval.high
        plain, _, _ = optimum_intervals(fit_law(CHINCHILLA, scenario.rows), scenario.rows, flops)
        missed += not plain.low < truth < plain.high
    assert held >= 5
    assert missed >= 2


def test_the_dearest_run_does_not_decide() -> None:
    """Six percent on the run of most compute: at most half as far off again as plain Chinchilla, in the mean."""
    ours, plain = [], []
    for seed in range(6):
        scenario = draw("outliers_top", seed)
        flops = 10 * float(scenario.rows.flops.max())
        N, loss = scenario.best(flops)
        at = points(N, flops / 6 / N)
        assert select(scenario.rows).odd[scenario.odd].all()
        ours.append(abs(float(forecaster(scenario.rows).predict(at).loss[0]) / loss - 1))
        fit = fit_law(CHINCHILLA, scenario.rows)
        plain.append(abs(float(CHINCHILLA.predict(fit.theta, at)[0]) / loss - 1))
    assert np.mean(ours) < 1.5 * np.mean(plain)


def test_residuals_bend_where_the_form_is_wrong_and_not_where_it_is_right() -> None:
    clean = [select(draw("clean", seed).rows).average.misfit for seed in range(0, 9, 3)]
    wrong = [select(draw("lr_grows", seed).rows).average.misfit for seed in range(0, 9, 3)]  # isoFLOP designs
    assert max(one.belief for one in clean) < 0.4
    assert min(one.belief for one in wrong) > 0.6
    assert all(one.each[0] < 0.01 for one in wrong)  # with N


def test_rows_of_a_run_that_share_their_noise_count_for_less() -> None:
    scenario = draw("runs_named", 1)
    together = forecaster(scenario.rows).average
    assert together.share > 1
    assert together.shared_freedom < 8
    assert together.shared.any()


def test_what_very_many_runs_share_is_found_without_a_table_of_their_pairs() -> None:
    rng, runs = np.random.default_rng(0), np.repeat(np.arange(50_000), 2)
    residuals = rng.standard_normal(50_000)[runs] + rng.standard_normal(100_000)
    found = shared_noise(residuals, rng.standard_normal((100_000, 5)), runs, sure=True)
    assert found.share == pytest.approx(1.0, abs=0.05)


def test_a_new_run_is_less_certain_than_the_mean_of_many() -> None:
    asked, at = forecaster(NOISY), points(1e10, 2e11)
    one, many = asked.predict(at), asked.curve(at)
    assert one.loss == many.loss
    assert one.low < many.low < many.high < one.high


def test_a_stored_forecaster_gives_the_same_answers() -> None:
    asked = forecaster(NOISY)
    again = stored_forecaster(json.loads(json.dumps({**forecaster_payload(asked), "why": asked.why})))
    at = points([1e9, 1e10], [1e11, 3e12])
    for level in (0.5, 0.95):
        for one, other in ((asked.predict(at, level), again.predict(at, level)), (asked.curve(at), again.curve(at))):
            for field in ("loss", "low", "high"):
                values: tuple[FloatArray, FloatArray] = getattr(one, field), getattr(other, field)
                assert values[0] == pytest.approx(values[1], rel=1e-12)
    assert again.best(1e23) == asked.best(1e23)
    with pytest.raises(ValueError, match="fit the rows again"):
        stored_forecaster({"candidates": []})


def test_an_infinite_delta_is_least_squares() -> None:
    fit = fit_law(CHINCHILLA, NOISY, delta=np.inf)
    assert fit.usable
    for delta in (1.0, 1e6):
        assert fit_law(CHINCHILLA, NOISY, delta=delta).parameters == pytest.approx(fit.parameters, rel=1e-9)
    assert fit.objective.value == pytest.approx(0.5 * float(fit.residuals @ fit.residuals), rel=1e-12)
    gradient = CHINCHILLA.gradient(fit.theta, NOISY) / CHINCHILLA.predict(fit.theta, NOISY)
    assert np.abs(gradient @ fit.residuals / np.linalg.norm(gradient, axis=1)).max() < 1e-9
