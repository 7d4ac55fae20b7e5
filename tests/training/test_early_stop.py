"""Early stopping: what stops, what its record says, and that neither other budgets nor a restart change it."""

from dataclasses import replace
from pathlib import Path

import pytest

from scaling.curves import curve_path, read_curve
from scaling.planning import rules
from scaling.records import RunRecord, read_record, record_path
from scaling.specs import Evaluations, RunSpec
from scaling.training.trajectory import Interrupted, Trajectory
from tests.planning.conftest import RECIPE, plan
from tests.tiny_run import BATCH, make_run, make_spec

# No evaluation of random words is a whole nat better than the last, so the second and third bring no progress.
STOPS_AT = 15
RULE = Evaluations(every_steps=5, patience=2, min_delta_nats=1e3)


def records(folder: Path, spec: RunSpec) -> dict[int, RunRecord]:
    return {b // BATCH: read_record(record_path(folder, b)) for b in spec.budgets}


def train(root: Path, corpus_folder: Path, *, steps: tuple[int, ...], rule: Evaluations = RULE) -> dict[int, RunRecord]:
    spec = replace(make_spec(steps=steps), evaluations=rule)
    job, folder = make_run(root, spec, corpus_folder)
    Trajectory(job, folder).run()
    return records(folder, spec)


def told(record: RunRecord) -> tuple[object, ...]:
    return (record.status, record.reason, record.tokens, record.final_loss_nats, record.best_loss_nats)


def test_what_the_trunk_reached_is_cooled_and_the_rest_is_recorded_as_stopped(
    tmp_path: Path, corpus_folder: Path
) -> None:
    """The branch of 15 steps begins at 12; those of 30 and 45 steps would at 24 and 36."""
    measured = train(tmp_path / "all", corpus_folder, steps=(15, 30, 45))
    assert (measured[15].status, measured[15].tokens) == ("done", 15 * BATCH)
    for budget in (30, 45):
        stopped = measured[budget]
        assert (stopped.status, stopped.tokens, stopped.budget_tokens) == (
            "stopped_early",
            STOPS_AT * BATCH,
            budget * BATCH,
        )
        assert stopped.reason is not None
        assert "the trunk stopped at 1920 tokens, before its cooldown: 2 evaluations in a row" in stopped.reason
        assert stopped.final_loss_nats is not None
        assert stopped.best_loss_nats is not None
        assert stopped.best_loss_nats <= stopped.final_loss_nats
    alone = train(tmp_path / "alone", corpus_folder, steps=(30,))
    assert told(alone[30]) == told(measured[30])


def test_a_branch_that_begins_where_patience_ends_is_cooled(tmp_path: Path, corpus_folder: Path) -> None:
    """19 steps branch at 15, the step of the stop; the trunk goes no further."""
    measured = train(tmp_path, corpus_folder, steps=(19, 30))
    assert (measured[19].status, measured[19].steps) == ("done", 19)
    assert (measured[30].status, measured[30].steps) == ("stopped_early", STOPS_AT)


@pytest.mark.parametrize("calls", [6, 10, 13])
def test_a_restart_stops_at_the_same_step_with_the_same_numbers(
    calls: int, tmp_path: Path, corpus_folder: Path
) -> None:
    undisturbed = train(tmp_path / "undisturbed", corpus_folder, steps=(30,))
    spec = replace(make_spec(steps=(30,)), evaluations=RULE)
    job, folder = make_run(tmp_path / "stopped", spec, corpus_folder)
    counter = iter(range(calls))
    with pytest.raises(Interrupted):
        Trajectory(job, folder, should_stop=lambda: next(counter, None) is None).run()
    Trajectory(job, folder).run()
    assert told(records(folder, spec)[30]) == told(undisturbed[30])


def test_evaluations_alone_change_no_loss_and_are_in_the_curve(tmp_path: Path, corpus_folder: Path) -> None:
    watched = train(tmp_path / "watched", corpus_folder, steps=(20, 30), rule=Evaluations(every_steps=5))
    plain = train(tmp_path / "plain", corpus_folder, steps=(20, 30), rule=Evaluations())
    for budget in (20, 30):
        assert watched[budget].final_loss_nats == plain[budget].final_loss_nats
    spec = replace(make_spec(steps=(20, 30)), evaluations=Evaluations(every_steps=5))
    curve = read_curve(curve_path(tmp_path / "watched" / spec.id, None))
    assert [row.tokens // BATCH for row in curve if row.validation_loss_nats is not None] == [5, 10, 15, 20]
    unwatched = read_curve(curve_path(tmp_path / "plain" / make_spec(steps=(20, 30)).id, None))
    assert [row for row in unwatched if row.validation_loss_nats is not None] == []


def test_a_trunk_that_sees_its_text_again_is_evaluated_where_a_branch_leaves_it(
    tmp_path: Path, corpus_folder: Path
) -> None:
    """Its loss may rise, and the record's best loss tells."""
    spec = replace(make_spec(steps=(10, 20, 30)), unique_tokens=12 * BATCH)
    job, folder = make_run(tmp_path, spec, corpus_folder)
    Trajectory(job, folder).run()
    curve = read_curve(curve_path(folder, None))
    assert [row.tokens // BATCH for row in curve if row.validation_loss_nats is not None] == [16, 24]


def test_progress_by_small_steps_is_progress(tmp_path: Path, corpus_folder: Path) -> None:
    """A fall of less than the minimum at each evaluation adds up: it is held against the last one that counted."""
    falls = train(tmp_path, corpus_folder, steps=(45,), rule=Evaluations(every_steps=3, patience=4, min_delta_nats=0.1))
    assert falls[45].status == "done"


def test_the_rule_in_tokens_becomes_whole_steps_and_part_of_the_id() -> None:
    recipe = {"evaluate_every_tokens": 50_000, "early_stop_patience": 3}
    batch = plan().runs[0].optimizer.batch_tokens
    assert rules.evaluations(replace(RECIPE, **recipe), batch) == Evaluations(98, 3)  # type: ignore[arg-type]
    assert plan(recipe=recipe).runs[0].id != plan().runs[0].id
    with pytest.raises(ValueError, match="early_stop_patience is 3, and needs"):
        replace(RECIPE, early_stop_patience=3)
