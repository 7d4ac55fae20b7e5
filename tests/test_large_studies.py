"""What a study's commands do for each point does not grow with the number of points: nothing is looked for in a list
once a point, nothing that grows is written once a point."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import large_studies
from scaling.analysis import repetition
from scaling.curves import read_losses
from scaling.json_text import MOST_INDENTED
from scaling.laws.influence import CELLS, rows_that_may_pull
from scaling.laws.observations import Observations
from scaling.sinks import publish as publishing
from scaling.sinks.point import FinishedPoint
from scaling.specs import Plan, PlannedPoint, read_plan
from scaling.stages.overview import look_at
from scaling.stages.study import list_tasks
from scaling.status import MOST_LISTED, worth_listing
from scaling.store import point_rows
from scaling.values import read_plain, write_json
from tests.analysis.conftest import make_records
from tests.planted_study import planted_study


class Counted(tuple[PlannedPoint, ...]):
    """Points that know how often somebody went through them."""

    walks: list[int]

    def __iter__(self) -> Iterator[PlannedPoint]:
        self.walks.append(1)
        return super().__iter__()


def counted(plan: Plan) -> tuple[Plan, list[int]]:
    points = Counted(plan.points)
    points.walks = []
    return replace(plan, points=points), points.walks


def test_points_are_walked_through_a_few_times_and_not_once_a_point(tmp_path: Path) -> None:
    config, plan = planted_study(tmp_path, "recipe=cosine")
    records = make_records(plan)
    assert len(plan.points) > 30
    for use in (
        lambda plan: point_rows(plan, records),
        lambda plan: look_at(config.folder, plan),
        lambda plan: list_tasks(config, plan, plan.points, wave=1),
    ):
        watched, walks = counted(plan)
        use(watched)
        assert len(walks) < 8


def test_sinks_note_what_they_sent_by_the_second_and_read_the_curves_of_what_they_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, plan = planted_study(tmp_path)
    records = make_records(plan)
    notes: list[Path] = []
    monkeypatch.setattr(publishing, "write_json", lambda path, value: (notes.append(path), write_json(path, value)))
    sent: list[FinishedPoint] = []

    def send() -> None:
        sink = SimpleNamespace(send=sent.append)
        publishing.publish(["wandb"], plan, records, tmp_path, tell=print, open_=lambda name, folder: sink)

    send()
    assert len(sent) == len(records)
    assert len(notes) < len(records) / 4
    monkeypatch.setattr(publishing, "finished_point", lambda *arguments: pytest.fail("it was sent"))
    send()
    assert len(sent) == len(records)


def test_status_lists_first_what_needs_a_look() -> None:
    states = [SimpleNamespace(point=i, state="failed" if i % 7 == 3 else "done") for i in range(MOST_LISTED + 500)]
    listed = worth_listing(states)  # type: ignore[arg-type]
    assert len(listed) == MOST_LISTED
    assert [point.point for point in listed] == sorted(point.point for point in listed)
    assert sum(point.state == "failed" for point in listed) == sum(point.state == "failed" for point in states)


def test_a_long_list_is_written_with_a_line_for_each_item_and_read_the_same(tmp_path: Path) -> None:
    plain = {"name": "x", "nested": {"items": [{"a": i, "b": [1.5, None]} for i in range(MOST_INDENTED + 1)]}}
    write_json(tmp_path / "long.json", plain)
    assert read_plain(tmp_path / "long.json") == plain
    assert len((tmp_path / "long.json").read_text().splitlines()) < MOST_INDENTED + 20


LINE = '{"tokens": 512, "train_loss_nats": 3.5, "learning_rate": 0.1, "grad_norm": 1.0, "tokens_per_second": 9.0, '
LINE += '"validation_loss_nats": null}\n'


@pytest.mark.parametrize(
    ("damage", "kept"),
    [
        (LINE, 3),
        (LINE.replace("3.5", "NaN"), 2),
        (LINE.replace("3.5", "1e999"), 2),
        (LINE.replace('"tokens": 512', '"tokens": -1'), 2),
        (LINE.replace('"tokens": 512', f'"tokens": {10**100}'), 2),
        (LINE.replace('"tokens": 512', '"tokens": 512, "tokens": 3'), 2),
        (LINE.replace("null}", 'null} {"a": 1}'), 2),
        (LINE[:40] + "\n", 2),
        ("\n", 2),
        (LINE.replace("3.5", "4"), 3),
        (LINE.replace(', "validation_loss_nats": null', ""), 3),
        (LINE.rstrip("\n"), 2),
    ],
)  # fmt: skip
def test_columns_of_a_curve_are_those_of_its_lines_whatever_one_of_them_is(
    tmp_path: Path, damage: str, kept: int
) -> None:
    path = tmp_path / "curve-trunk.jsonl"
    told: list[str] = []
    path.write_text(LINE + LINE + damage)
    losses = read_losses(path, told.append)
    assert len(losses.tokens) == len(losses.train) == len(losses.validation) == kept
    assert losses.train[:2] == (3.5, 3.5)


def test_a_jackknife_of_very_many_trajectories_leaves_out_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Observations(*np.random.default_rng(0).uniform(1, 2, (3, 100)))
    fits: list[int] = []

    def fitted(part: Observations) -> tuple[SimpleNamespace, SimpleNamespace]:
        fits.append(len(part))
        return SimpleNamespace(parameters=True, theta=np.array([2.0 + 0.01 * len(fits)] * 2)), SimpleNamespace()

    monkeypatch.setattr(repetition, "_fit_repeated", fitted)
    monkeypatch.setattr(repetition, "MOST_GROUPS", 10)
    fit = SimpleNamespace(law=SimpleNamespace(parameter_names=("a", "b")), theta=np.array([2.0, 2.0]))
    found = repetition._jackknife(fit, rows, 0.95)  # type: ignore[arg-type]
    assert fits == [90] * 10
    assert found["a"].method == "jackknife by 10 groups of trajectories"


def test_the_benchmark_of_large_studies_plants_what_its_commands_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(large_studies, "prepare", lambda *_: tmp_path)
    monkeypatch.setattr(large_studies, "run", lambda command, **_: asked.append(command))
    names = [name for name, count, _ in large_studies.study_costs(tmp_path, 50, "cosine") if count == 50]
    assert len(names) == len(asked) == 6
    (folder,) = (tmp_path / "runs").iterdir()
    assert look_at(folder, read_plan(folder / "plan.json")).counts == {"done": 50}
    assert (tmp_path / "experiments" / "experiment" / f"{folder.name}.yaml").is_file()


def test_of_very_many_rows_a_few_are_left_out_in_turn() -> None:
    """Those that may pull most: each costs a fit of all rows, at once with the others."""
    rows, residuals = np.geomspace(1e7, 1e9, 100_000), np.full(100_000, 0.01)
    residuals[[3, 99_990]] = 0.5
    of = Observations(rows, rows[::-1], np.full(len(rows), 3.0))
    found = rows_that_may_pull(SimpleNamespace(residuals=residuals), of)  # type: ignore[arg-type]
    assert len(found) * len(rows) <= CELLS
    assert {3, 99_990} <= set(found.tolist())
