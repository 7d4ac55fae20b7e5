"""Selection sees the training rows alone, finds a planted form, and its intervals are honest."""

import numpy as np
import pytest

from scaling.laws.agreement import compare_conventions, compare_estimators
from scaling.laws.backtest import forecaster
from scaling.laws.envelope import fit_envelope
from scaling.laws.fit import fit_law
from scaling.laws.forecast import score
from scaling.laws.forms import CHINCHILLA, CROSS
from scaling.laws.intervals import delta_interval, parameter_intervals, predict_interval
from scaling.laws.observations import FloatArray, Observations, points
from scaling.laws.selection import aicc, select
from scaling.laws.splits import below_fraction, relative_error, top_share

from .published import load
from .test_fit import NOISY, REFERENCE, planted

CROSSED = planted(CROSS, (1.6, 300.0, 500.0, 0.33, 0.5, 0.15), noise=0.002, seed=2)


def test_planted_form_gets_the_weight() -> None:
    weight: dict[str, float] = {}
    for member in select(CROSSED).average.members:
        name = member.way.law.name
        weight[name] = weight.get(name, 0) + member.weight
    assert sum(weight.values()) == pytest.approx(1)
    assert weight["cross"] > 1.2 * weight["chinchilla"]
    assert weight["cross"] + weight["interaction"] > 0.7  # which follow the same rows nearly as well


def test_aicc_prefers_the_planted_form() -> None:
    criteria = {law.name: aicc(fit_law(law, CROSSED)) for law in (CHINCHILLA, CROSS)}
    assert criteria["cross"] is not None
    assert criteria["chinchilla"] is not None
    assert criteria["cross"] < criteria["chinchilla"] - 10


def test_selection_does_not_look_at_held_rows() -> None:
    split = top_share(NOISY)
    train = NOISY.take(split.kept)
    one = select(train)
    spoiled = NOISY.loss.copy()
    spoiled[split.held] *= 2
    again = select(Observations(NOISY.params, NOISY.tokens, spoiled).take(split.kept))
    assert np.array_equal(one.average.weights, again.average.weights)


def test_noiseless_law_is_forecast_exactly() -> None:
    rows = planted(CHINCHILLA, (1.8, 480.0, 2100.0, 0.35, 0.37))
    split = top_share(rows)
    average = select(rows.take(split.kept)).average
    held = rows.take(split.held)
    assert relative_error(average.predict(held), held.loss) < 1e-5


# shared/data/README.md, "Held out": mean relative error of plain Chinchilla beyond the top fifth by compute.
PLAIN_ERRORS = {"epoch_240": 0.0105, "gemstones": 0.0163, "mlf_c4": 0.0158}


@pytest.mark.parametrize("name", PLAIN_ERRORS)
def test_plain_chinchilla_errs_as_published(name: str) -> None:
    rows = load(name)
    split = top_share(rows)
    train, held = rows.take(split.kept), rows.take(split.held)
    fit = fit_law(CHINCHILLA, train)
    assert relative_error(CHINCHILLA.predict(fit.theta, held), held.loss) == pytest.approx(PLAIN_ERRORS[name], abs=5e-5)


@pytest.mark.slow
@pytest.mark.parametrize("cut", [top_share, below_fraction], ids=["top fifth", "beyond a tenth"])
def test_extrapolation_beats_plain_chinchilla(cut) -> None:  # type: ignore[no-untyped-def]
    """Error as a ratio to plain Chinchilla's, geometric mean over the published sets: at most 0.7; 95% covers 80%."""
    ratios, coverages = [], []
    for name in ("epoch_240", "kyo_takano", "gemstones", "mlf_c4", "datablations"):
        rows = load(name)
        split = cut(rows)
        train, held = rows.take(split.kept), rows.take(split.held)
        plain = fit_law(CHINCHILLA, train)
        error, coverage = score(forecaster(train).predict(held), held)
        ratios.append(error / relative_error(CHINCHILLA.predict(plain.theta, held), held.loss))
        coverages.append(coverage)
    assert np.exp(np.mean(np.log(ratios))) <= 0.7
    assert np.mean(coverages) >= 0.8


TRUTH = np.array([1.8, 480.0, 2100.0, 0.35, 0.37])


@pytest.mark.slow
def test_intervals_cover_as_announced() -> None:
    """Nominal 90% over 400 studies of 24 points: alpha, beta, E and N* at 100 times the compute."""
    target = 100 * NOISY.flops.max()

    def log_optimum(theta: FloatArray) -> FloatArray:
        return np.log(CHINCHILLA.optimal_params(theta, np.array(target)))

    truth = np.array([0.35, 0.37, 1.8, float(log_optimum(TRUTH))])
    covered = np.zeros(4)
    for seed in range(400):
        rows = planted(CHINCHILLA, tuple(TRUTH), noise=0.01, seed=1000 + seed)
        fit = fit_law(CHINCHILLA, rows)
        intervals = parameter_intervals(fit, rows, level=0.9)
        four = [intervals[name] for name in ("alpha", "beta", "E")] + [
            delta_interval(fit, rows, log_optimum, level=0.9)
        ]
        covered += [i.low <= value <= i.high for i, value in zip(four, truth, strict=True)]
    assert np.all(covered / 400 >= 0.85)
    assert np.all(covered / 400 <= 0.95)


def test_interval_of_a_measurement_is_wider_than_that_of_the_curve() -> None:
    at = points(3e10, 6e11)
    prediction = predict_interval(REFERENCE, NOISY, at, level=0.95)

    def curve(theta: FloatArray) -> FloatArray:
        return CHINCHILLA.predict(theta, at)[..., 0]

    band = delta_interval(REFERENCE, NOISY, curve, level=0.95, log=True)
    assert prediction.low[0] < band.low < prediction.loss[0] < band.high < prediction.high[0]
    wider = predict_interval(REFERENCE, NOISY, at, level=0.95, widen=2.0)
    assert np.log(wider.high / wider.low) == pytest.approx(2 * np.log(prediction.high / prediction.low))
    with pytest.raises(ValueError, match="level is 95"):
        predict_interval(REFERENCE, NOISY, at, level=95)


def test_duplicating_the_target_changes_no_forecast() -> None:
    asked = forecaster(NOISY)
    one = asked.predict(points(1e10, 2e11))
    two = asked.predict(points([1e10, 1e10], 2e11))
    assert two.low == pytest.approx(np.repeat(one.low, 2))


def isoflop_rows() -> Observations:
    flops = np.repeat(np.geomspace(1e18, 1e21, 5), 9)
    params = np.sqrt(flops / 120) * np.tile(np.geomspace(0.4, 2.5, 9), 5)
    tokens = flops / 6 / params
    theta = np.array([1.8, 480.0, 480.0 * 20**0.35, 0.35, 0.35])  # symmetric: the parabola is unbiased
    return Observations(params, tokens, CHINCHILLA.predict(theta, points(params, tokens)), budget=flops)


def test_approaches_agree_on_a_symmetric_law() -> None:
    rows = isoflop_rows()
    sizes = np.repeat(np.geomspace(3e7, 3e10, 13), 40)
    tokens = sizes * np.tile(np.geomspace(0.5, 500, 40), 13)
    theta = np.array([1.8, 480.0, 480.0 * 20**0.35, 0.35, 0.35])
    curves = Observations(
        sizes,
        tokens,
        CHINCHILLA.predict(theta, points(sizes, tokens)),
        trajectory=np.repeat(np.arange(13), 40).astype(str),
    )
    three, two, one = compare_estimators(fit_law(CHINCHILLA, rows), rows, 1e22, {"curves": curves})
    assert [a.status for a in (three, two, one)] == ["converged"] * 3
    assert three.params_exponent == pytest.approx(0.5, abs=1e-6)
    assert two.params_exponent == pytest.approx(0.5, abs=1e-3)
    assert two.ratio == pytest.approx(1, abs=0.02)
    # The envelope hops between 11 sizes a factor 1.8 apart: its slope is good to a few percent.
    assert one.params_exponent == pytest.approx(0.5, abs=0.03)
    assert one.ratio == pytest.approx(1, abs=0.25)


def test_envelope_of_single_points_is_refused() -> None:
    refused = fit_envelope(NOISY)
    assert refused.status == "refused"
    with pytest.raises(ValueError, match="approach 1 was refused"):
        refused.optimal_params(1e22)


def test_conventions_are_fitted_side_by_side() -> None:
    """N without a constant part bends the law: the exponent moves, and the table shows it."""
    rows = isoflop_rows()
    fewer = Observations(rows.params - 0.5 * rows.params.min(), rows.tokens, rows.loss)
    total, partial = compare_conventions({"total": rows, "non-embedding": fewer}, 1e23)
    assert total.ratio == 1
    assert total.params_exponent == pytest.approx(0.5, abs=1e-6)
    assert partial.params_exponent is not None
    assert abs(partial.params_exponent - 0.5) > 0.005
    with pytest.raises(ValueError, match="no convention"):
        compare_conventions({}, 1e23)
