"""The schedule that a dry run shows is the pool's: longest chains first, held-out branches last, few workers idle."""

from pathlib import Path

import pytest

from scaling.planning.cost import Cost
from scaling.planning.parts import Part, parts_of
from scaling.planning.schedule import Turn, finish, lower_bound, plan_parts, schedule
from scaling.stages.study import plan_study
from tests.planning.conftest import COST, plan
from tests.test_configs import load


def test_longest_first_on_the_first_free_worker() -> None:
    parts = [Part(name, 1, seconds, seconds) for name, seconds in (("a", 1.0), ("b", 4.0), ("c", 3.0), ("d", 2.0))]
    assert schedule(parts, workers=2) == [
        Turn("b at 1 tokens", 0, 0.0, 4.0),
        Turn("c at 1 tokens", 1, 0.0, 3.0),
        Turn("d at 1 tokens", 1, 3.0, 5.0),
        Turn("a at 1 tokens", 0, 4.0, 5.0),
    ]


def test_a_branch_waits_for_its_trunk_and_a_held_back_one_for_all_others() -> None:
    """The trunk goes on to where the held-back branch begins; the forecasts take two seconds."""
    parts = [
        Part("a", None, 10.0, 13.0),
        Part("a", 1, 4.0, 4.0, after_seconds=5.0),
        Part("a", 2, 3.0, 3.0, after_seconds=10.0, held_back=True),
    ]
    turns = schedule(parts, workers=2, between_seconds=2.0)
    assert [(turn.start, turn.end) for turn in turns] == [(0.0, 10.0), (5.0, 9.0), (11.0, 14.0)]
    assert [(turn.start, turn.end) for turn in schedule(parts, workers=1)] == [(0.0, 10.0), (10.0, 14.0), (14.0, 17.0)]


def test_parts_add_up_to_the_run() -> None:
    """The trunk once, each branch once; what a trunk left on disk is not planned again."""
    planned = plan()
    run = planned.runs[0]
    parts = parts_of(planned, COST, {run.id: run.budgets})
    overhead = COST.time_model.seconds_per_run
    assert sum(part.seconds for part in parts) - overhead == pytest.approx(COST.seconds(run, run.total_steps))
    left = parts_of(planned, COST, {run.id: run.budgets}, left={run.id: run.budgets})
    assert {part.budget for part in left} == set(run.budgets)
    later = parts_of(planned, COST, {run.id: run.budgets}, left={run.id: run.budgets[:2]})
    (trunk,) = (part for part in later if part.budget is None)
    begun, end = (run.cooldown_start(run.budgets[i]) for i in (1, -1))
    assert trunk.seconds == pytest.approx(COST.trunk_seconds(run, begun, end))


def test_one_budget_that_waits_for_nobody_is_one_task() -> None:
    planned = plan(grid={"budgets": (6e5,), "holdout_share": 0.0})
    assert [(part.budget, part.after_seconds) for part in plan_parts(planned, COST)] == [
        (run.budgets[0], None) for run in sorted(planned.runs, key=lambda run: -COST.run_seconds(run, run.budgets))
    ]
    cosine = plan(recipe={"schedule": "cosine"})
    assert all(part.budget is not None and part.after_seconds is None for part in plan_parts(cosine, COST))


@pytest.mark.parametrize(
    "overrides", [("grid=default",), ("grid=isoflop",), ("experiment=gpu", "time_model=h100")], ids=" ".join
)
@pytest.mark.parametrize(("workers", "most"), [(1, 1.1), (2, 1.1), (4, 1.1), (8, 1.1), (16, 1.25), (64, 1.25)])
def test_it_ends_little_later_than_any_schedule_could(
    workers: int, most: float, overrides: tuple[str, ...], tmp_path: Path
) -> None:
    config = load(*overrides, f"cache={tmp_path}")
    parts = plan_parts(plan_study(config), Cost(config.time_model, validation_tokens=245_000))
    assert finish(schedule(parts, workers)) <= most * lower_bound(parts, workers)
