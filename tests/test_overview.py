"""What `scaling.status` says of a study whose runs are in every state at once; nothing here trains."""

import platform
import time
from pathlib import Path

import pytest
from filelock import FileLock

from scaling.records import LOCK_FILE, RunState, RunStatus, branch_folder, read_records, record_path, write_record
from scaling.specs import Plan, PlannedPoint
from scaling.stages.overview import Overview, PointState, look_at
from scaling.values import write_json
from tests.analysis.conftest import make_record
from tests.planted_study import planted_study


def said(folder: Path, state: RunState, *, age: float = 0.0, host: str | None = None, error: str | None = None) -> None:
    """The last word of a second process at step 40 of 100, so many seconds ago."""
    status = RunStatus(state, 40, 100, 1e3, time.time() - age, host or platform.node(), 1, error, attempt=2)
    write_json(folder / "status.json", status)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    """Every point is done but the first eight."""
    config, plan = planted_study(tmp_path_factory.mktemp("overview"), "recipe=cosine")
    for point in plan.points[:8]:
        record_path(config.folder / point.run_id, point.tokens).unlink()
    return config.folder, plan


def seen(folder: Path, plan: Plan) -> Overview:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    overview = look_at(folder, plan)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before, "it never writes"
    return overview


def test_every_state_is_told_apart(study: tuple[Path, Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, plan = study
    point: list[PlannedPoint] = list(plan.points)
    at = [folder / p.run_id for p in point]
    write_record(at[0], make_record(plan, point[0], None))
    write_record(at[1], make_record(plan, point[1], None, status="out_of_memory", reason="4.1 GB at micro-batch 1"))
    said(at[2], "running", age=3.0)  # with its lock, below
    said(at[3], "running", age=3.0)  # without: killed
    said(at[4], "running", age=3.0, host="elsewhere")
    said(at[5], "running", age=1e4, host="elsewhere")
    said(at[6], "failed", error="ValueError: a bug")
    (folder / "slurm").mkdir(exist_ok=True)
    (folder / "slurm" / "1.json").write_text(
        f'{{"number": 1, "kind": "runs", "wave": 1, "groups": [["{point[7].run_id}"]], "seconds": 1.0, "job_id": "7"}}'
    )
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\necho '7|0|PENDING|a name'\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with FileLock(at[2] / LOCK_FILE):
        overview = seen(folder, plan)
    states: dict[int, PointState] = {state.point: state for state in overview.points}
    told = [states[p.index] for p in point[:9]]
    assert [state.state for state in told] == [
        "diverged", "out_of_memory", "running", "stale", "running", "stale", "failed", "queued", "done",
    ]  # fmt: skip
    assert overview.counts == {
        "diverged": 1, "out_of_memory": 1, "running": 2, "stale": 2, "failed": 1, "queued": 1, "done": len(point) - 8,
    }  # fmt: skip
    reasons = ["nan", "micro-batch 1", "step 40 of 100", "its process is gone", "step 40", "gone", "ValueError: a bug"]
    assert all(reason in (state.reason or "") for reason, state in zip(reasons, told, strict=False))
    assert told[2].heartbeat_seconds == pytest.approx(3.0, abs=2.5)
    assert (told[2].attempt, told[4].host, told[7].queue_id) == (2, "elsewhere", "7_0")


def test_cost_so_far_and_what_is_left(study: tuple[Path, Plan]) -> None:
    folder, plan = study
    for point in plan.points[:8]:
        for path in (folder / point.run_id).glob("*.json"):
            path.unlink()
    (folder / "slurm" / "1.json").unlink(missing_ok=True)
    overview = seen(folder, plan)
    assert overview.counts == {"planned": 8, "done": len(plan.points) - 8}
    total = sum(point.flops for point in plan.points)
    missing = sum(point.flops for point in plan.points[:8])
    assert overview.cost.flops_left == pytest.approx(missing, rel=0.01)
    assert overview.cost.flops + overview.cost.flops_left <= total * 1.01
    assert overview.cost.seconds_left is not None
    assert overview.cost.seconds_left > 0


def test_a_queue_that_does_not_answer_is_said_and_the_rest_is_shown(
    study: tuple[Path, Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, plan = study
    (folder / "slurm").mkdir(exist_ok=True)
    (folder / "slurm" / "1.json").write_text(
        '{"number": 1, "kind": "runs", "wave": 1, "groups": [["x"]], "seconds": 1.0, "job_id": "7"}'
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    overview = seen(folder, plan)
    assert overview.queue is not None
    assert "squeue is not found" in overview.queue
    assert len(overview.points) == len(plan.points)


def test_a_branch_that_is_a_task_of_its_own_speaks_for_its_point(tmp_path: Path) -> None:
    """The trunk has gone by; of its branches one runs, one was killed, one waits; a shared GPU counts by its share."""
    config, plan = planted_study(tmp_path)
    run = next(run for run in plan.runs if len(run.budgets) >= 3)
    folder, budgets = config.folder / run.id, run.budgets[-3:]
    points = [p for p in plan.points if p.run_id == run.id and p.tokens in budgets]
    for budget in budgets:
        record_path(folder, budget).unlink()
    trunk_steps = run.cooldown_start(budgets[-1])
    word = RunStatus(
        "done", trunk_steps, trunk_steps, 1e3, time.time(), platform.node(), 1, part="trunk", gpu="0", gpu_share=0.25
    )
    write_json(folder / "status.json", word)
    for budget in budgets[:2]:
        branch_folder(folder, budget).mkdir()
        branch = RunStatus(
            "running", 10, 99, 1e3, time.time(), platform.node(), 1, part="branch", gpu="0", gpu_share=0.25
        )
        write_json(branch_folder(folder, budget) / "status.json", branch)
    with FileLock(branch_folder(folder, budgets[0]) / LOCK_FILE):
        overview = seen(config.folder, plan)
    told = {state.tokens: state for state in overview.points if state.run_id == run.id}
    assert [told[point.tokens].state for point in points] == ["running", "stale", "planned"]
    steps = trunk_steps + 20
    tokens_per_second = next(r.tokens_per_second for r in read_records(config.folder) if r.run_id == run.id)
    hours = steps * run.optimizer.batch_tokens / tokens_per_second / 3600
    assert overview.cost.gpu_hours == pytest.approx(0.25 * hours, rel=1e-6)
