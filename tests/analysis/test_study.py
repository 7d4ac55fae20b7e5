"""From records to laws: the planted truth comes back, held-out points stay out, exclusions have reasons."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from scaling.analysis.config import FitOptions
from scaling.analysis.forecasts import score
from scaling.analysis.noise import seed_noise
from scaling.analysis.study import NothingToFit, analyse, forecast, split_records
from scaling.planning.config import ReplicateConfig
from scaling.results import StudyReport
from scaling.results_json import fits_json
from scaling.specs import Plan
from scaling.store import Forecast
from tests.analysis.conftest import ALPHA, BETA, E, make_record, make_records, planted_loss
from tests.planning.conftest import plan

OPTIONS = FitOptions(convention="total", bootstrap=50, level=0.95, targets=None, figures=False, seed=0)


def study() -> Plan:
    return plan(grid={"replicates": (ReplicateConfig("14k", (1, 2), (3e5, 6e5)),)})


def report_of(planned: Plan, records: list, tmp_path: Path, forecasts: tuple[Forecast, ...] = ()) -> StudyReport:  # type: ignore[type-arg]
    return analyse(
        planned, records, OPTIONS, forecasts, folder=tmp_path, question="?", command="c", corpus="c", findings=()
    )


def test_the_planted_law_comes_back_from_the_fitted_points_alone(tmp_path: Path) -> None:
    planned = study()
    held_out = {(p.run_id, p.tokens) for p in planned.points if p.held_out}
    # Held-out losses are nonsense here: nothing of them may reach the fit.
    records = [
        replace(r, final_loss_nats=99.0) if (r.run_id, r.budget_tokens) in held_out else r
        for r in make_records(planned)
    ]
    report = report_of(planned, records, tmp_path)
    assert report.surface.fit.status == "converged"
    assert report.surface.fit.parameters["E"] == pytest.approx(E, rel=1e-6)
    assert report.surface.fit.parameters["alpha"] == pytest.approx(ALPHA, rel=1e-6)
    assert report.surface.fit.parameters["beta"] == pytest.approx(BETA, rel=1e-6)
    assert len(report.held_out_records) == len(held_out) == 4
    for entry in report.optima:
        assert entry.allocation.params_exponent == pytest.approx(BETA / (ALPHA + BETA), rel=1e-6)


def test_forecasts_are_made_from_fitted_points_and_never_remade() -> None:
    planned = study()
    held_out = {(p.run_id, p.tokens) for p in planned.points if p.held_out}
    first_wave = [r for r in make_records(planned, noise=0.005) if (r.run_id, r.budget_tokens) not in held_out]
    made, reason = forecast(planned, first_wave, OPTIONS, ())
    assert reason is None
    assert {(f.run_id, f.tokens) for f in made} == held_out
    for entry in made:
        assert entry.low < entry.predicted < entry.high
        assert entry.measured is None
    assert forecast(planned, first_wave, OPTIONS, made) == ([], None)
    scored = score(made, make_records(planned))
    assert all(f.covered for f in scored)
    # 0.5% of noise on 16 points moves an extrapolation by less than four times that.
    assert all(abs(f.relative_error or 1.0) < 0.02 for f in scored)
    truth = {(p.run_id, p.tokens): planted_loss(p.params, p.tokens) for p in planned.points}
    assert [f.measured for f in scored] == [truth[f.run_id, f.tokens] for f in scored]


def test_no_forecast_from_a_fit_that_may_not_be_used() -> None:
    planned = study()
    few = make_records(planned)[:3]
    made, reason = forecast(planned, few, OPTIONS, ())
    assert made == []
    assert reason is not None
    assert "no form can be fitted" in reason
    assert "3 distinct points for the 3 parameters of power_tokens_floor" in reason  # three budgets of one size


def test_what_is_left_out_has_a_reason() -> None:
    planned = study()
    records = make_records(planned)
    records[0] = make_record(planned, planned.points[0], None)
    records[1] = replace(records[1], tokens=records[1].tokens // 2)
    measured = split_records(planned, records[:-1])
    reasons = {(e.run_id, e.tokens): e.reason for e in measured.exclusions}
    cells = [(planned.points[i].run_id, planned.points[i].tokens) for i in (0, 1, -1)]
    assert reasons[cells[0]] == "diverged: at step 7 the loss is nan"
    assert "were planned" in reasons[cells[1]]
    assert reasons[cells[2]] == "not measured yet"
    assert len(reasons) == 3
    assert len(measured.fitted) + len(measured.held_out) + 3 == len(planned.points)


def test_nothing_to_fit_says_why(tmp_path: Path) -> None:
    planned = study()
    with pytest.raises(NothingToFit, match=r"none of the 20 planned points .* \(not measured yet\)"):
        report_of(planned, [], tmp_path)


def test_the_same_tokens_from_less_text_are_no_other_seed() -> None:
    records = [r for r in make_records(plan(), noise=0.001) if r.init_seed == 0]
    less = [
        replace(r, unique_tokens=r.unique_tokens // 2, final_loss_nats=1.1 * (r.final_loss_nats or 0)) for r in records
    ]
    assert seed_noise([*records, *less]) is None


def test_seed_noise_is_the_pooled_spread_of_log_losses() -> None:
    planned = study()
    records = make_records(planned)
    assert seed_noise([r for r in records if r.init_seed == 0]) is None
    noisy = [
        replace(r, final_loss_nats=2.0 * math.exp({0: -0.01, 1: 0.0, 2: 0.01}[r.init_seed])) if r.size == "14k" else r
        for r in records
    ]
    noise = seed_noise(noisy)
    assert noise is not None
    assert (noise.num_cells, noise.num_points) == (2, 6)
    assert noise.relative_sd == pytest.approx(0.01, rel=1e-9)


def test_conventions_are_all_fitted_and_named(tmp_path: Path) -> None:
    report = report_of(study(), make_records(study()), tmp_path)
    assert len({answer.source for answer in report.conventions}) == 4
    total = report.conventions[0]
    assert total.source.startswith("N: all parameters; C: training")
    assert total.parameters["alpha"] == pytest.approx(ALPHA, rel=1e-6)
    assert [answer["source"] for answer in fits_json(report)["conventions"]] == [a.source for a in report.conventions]
