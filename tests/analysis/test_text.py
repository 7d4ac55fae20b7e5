"""What a study says of its text: every validation set has its law, repeated text has one of its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scaling.analysis.config import FitOptions
from scaling.analysis.study import analyse, forecast, split_records
from scaling.analysis.text import UnknownValidationSet, on_validation_set, validation_laws, with_text
from scaling.data.oracle import KnownEntropy
from scaling.laws.design import Belief, Noise
from scaling.laws.forms import CHINCHILLA
from scaling.laws.observations import points
from scaling.laws.repeated import DATA_CONSTRAINED
from scaling.planning.power import plan_power
from scaling.records import RunRecord, ValidationLoss
from scaling.report.text_section import repetition_blocks, text_section
from scaling.results import StudyReport
from scaling.results_json import fits_json
from scaling.specs import Plan
from tests.analysis.conftest import ALPHA, BETA, A, B, E, make_record, make_records
from tests.planning.conftest import plan

OPTIONS = FitOptions("total", bootstrap=0, level=0.95, targets=None, figures=False, seed=0)
R_D, R_N = 6.0, 5.0


def report_on(study: Plan, records: list[RunRecord], entropy: KnownEntropy | None = None) -> StudyReport:
    report = analyse(
        study, records, OPTIONS, (), folder=Path("nowhere"), question="?", command="c", corpus="t", findings=()
    )
    return with_text(report, split_records(study, records), OPTIONS, None, entropy)


def shown(report: StudyReport) -> str:
    section = text_section(report)
    assert section is not None
    return repr(section.blocks)


def other_set(record: RunRecord, factor: float) -> RunRecord:
    assert record.final_loss_nats is not None
    loss = ValidationLoss(record.final_loss_nats * factor, 0.01, 1.0, 9.0, 77)
    return replace(record, validation_sets={"other": loss})


def test_each_validation_set_has_a_law_of_its_own() -> None:
    study = plan()
    records = [other_set(record, 1.5) for record in make_records(study, noise=0.001)]
    report = report_on(study, records)
    own, other = report.validation_laws
    assert (own.name, other.name) == ("validation", "other")
    for name, factor in (("E", 1.5), ("alpha", 1.0), ("beta", 1.0)):
        expected = own.law.fit.parameters[name] * factor
        assert other.law.fit.parameters[name] == pytest.approx(expected, rel=1e-6)
    assert "'other', 'converged'" in shown(report)
    assert [each["name"] for each in fits_json(report)["text"]["validation_sets"]] == ["validation", "other"]
    assert validation_laws(study, make_records(study), OPTIONS, None) == ()


def test_a_study_can_be_fitted_on_one_of_its_sets() -> None:
    study = plan()
    records = [other_set(record, 1.5) for record in make_records(study)]
    records[0] = replace(records[0], validation_sets={})
    chosen = on_validation_set(records, "other")
    assert chosen[0].final_loss_nats is None
    assert chosen[1].final_loss_nats == pytest.approx(1.5 * (records[1].final_loss_nats or 0.0))
    assert (chosen[1].validation_tokens, chosen[1].word_perplexity) == (77, 9.0)
    assert on_validation_set(records, None) == on_validation_set(records, "validation") == records
    with pytest.raises(UnknownValidationSet, match="losses on validation, other: choose one"):
        on_validation_set(records, "third")


def repeated_study(noise: float = 0.002, floor: float = E) -> tuple[Plan, list[RunRecord]]:
    """Four sizes, fresh text and two small subsets of it; losses of the data-constrained law."""
    study = plan(grid={"unique_tokens": (65_536, 262_144, 5e6), "holdout_share": 0.1, "holdout_min": 2})
    source, theta = np.random.default_rng(0), np.array([floor, A, B, ALPHA, BETA, R_D, R_N])
    records = []
    for point in study.points:
        assert point.unique_tokens is not None
        unique = min(point.tokens, point.unique_tokens - 1)
        at = points(float(point.params), float(point.tokens), float(point.flops), float(unique))
        loss = float(DATA_CONSTRAINED.predict(theta, at)[0]) * float(np.exp(noise * source.standard_normal()))
        records.append(make_record(study, point, loss, unique_tokens=unique, epochs=point.tokens / unique))
    return study, records


def test_repeated_text_goes_to_its_own_law_and_leaves_the_plain_one() -> None:
    study, records = repeated_study()
    measured = split_records(study, records)
    assert measured.repeated
    assert all(record.tokens <= 1.01 * record.unique_tokens for record in measured.fitted)
    # the plan's power counts the points that are fitted in the end, and no other
    power = plan_power(study, Belief(CHINCHILLA, np.array([E, A, B, ALPHA, BETA]), Noise(0.01, 0.0), "a test"))
    assert power is not None
    assert power.num_points == len(measured.fitted) < sum(not point.held_out for point in study.points)
    reasons = {exclusion.reason for exclusion in measured.exclusions}
    assert all("epochs: goes to the law of repeated data" in reason for reason in reasons)
    report = report_on(study, records)
    found = report.repetition
    assert found is not None
    # the plain law is that of fresh text, which the repeated points would have bent
    fresh, bent = report.surface.fit, found.plain.fit
    assert np.sqrt(np.mean(fresh.residuals**2)) < 0.01 < np.sqrt(np.mean(bent.residuals**2))
    assert found.law.fit.usable
    interval = found.law.intervals["R_D"]
    assert interval.low <= R_D <= interval.high
    right, plain = found.errors
    # the base comes from fresh points, in which N beyond what their text can use counts as useful: a percent
    assert right.mean < 0.02 < plain.mean
    assert "'32'" in shown(report)
    assert "'32 (extrapolated)'" in str(repetition_blocks(replace(found, most_epochs=16.0)))


def test_epochs_are_worth_what_they_are_where_the_law_of_fresh_text_is_no_result() -> None:
    """A floor near zero cannot be told from none: the law serves to read between its points, and forecasts nothing."""
    study, records = repeated_study(floor=0.0)
    found = report_on(study, records).repetition
    assert found is not None
    assert (found.fresh_status, found.law.fit.status) == ("unidentified", "converged")
    interval = found.law.intervals["R_D"]
    assert interval.low <= R_D <= interval.high
    assert "is unidentified: it serves to read between the fresh points" in str(repetition_blocks(found))
    cells = {(point.run_id, point.tokens) for point in study.points if point.held_out}
    known = [record for record in records if (record.run_id, record.tokens) not in cells]
    assert all(each.law != DATA_CONSTRAINED.name for each in forecast(study, known, OPTIONS, ())[0])


def test_points_that_will_repeat_are_predicted_by_that_law_before_they_are_trained() -> None:
    study, records = repeated_study()
    held_out = {(point.run_id, point.tokens) for point in study.points if point.held_out}
    known = [record for record in records if (record.run_id, record.tokens) not in held_out]
    made, _ = forecast(study, known, OPTIONS, ())
    losses = {(record.run_id, record.tokens): record.final_loss_nats for record in records}
    laws = {(f.run_id, f.tokens): f.law for f in made if f.law == DATA_CONSTRAINED.name}
    assert set(laws) == {(r.run_id, r.tokens) for r in records if r.epochs > 1.01} & held_out
    for made_one in made:
        if made_one.law == DATA_CONSTRAINED.name:
            assert made_one.predicted == pytest.approx(losses[made_one.run_id, made_one.tokens], rel=0.02)


def test_repeated_points_stay_where_fresh_ones_are_too_few() -> None:
    study, records = repeated_study()
    short = [record for record in records if record.unique_tokens < 300_000 and record.epochs > 1.01]
    measured = split_records(study, short)
    assert not measured.repeated
    assert len(measured.fitted) + len(measured.held_out) == len(short)


def test_the_report_holds_the_floor_against_the_truth() -> None:
    study = plan()
    records = make_records(study, noise=0.002)
    inside = report_on(study, records, KnownEntropy(rate=E - 0.01, floor=E, context=64))
    assert inside.floor is not None
    assert inside.floor.low <= E <= inside.floor.high
    assert "lies inside the interval" in shown(inside)
    known = KnownEntropy(rate=0.1, floor=None, context=64)
    outside = with_text(inside, split_records(study, records), OPTIONS, None, known)
    assert "lies OUTSIDE the interval" in shown(outside)
    assert fits_json(outside)["text"]["entropy"]["rate"] == 0.1
