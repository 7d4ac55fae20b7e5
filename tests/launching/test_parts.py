"""Trunks and branches as tasks of their own: what comes out is what one process makes of the whole run, bit for bit."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from scaling.exits import EXIT_BUSY, EXIT_DONE
from scaling.launching.pool import PoolOptions, PoolState, run_pool
from scaling.launching.slots import cpu_environment, make_slots
from scaling.launching.tasks import LaunchResult, Task
from scaling.launching.workers import WarmWorkers, Workers
from scaling.records import TRUNK_FILE, branch_folder, read_record, record_path
from scaling.training.config import Job
from scaling.training.progress import Progress
from scaling.training.saving import Saver
from scaling.training.trajectory import Interrupted, Trajectory
from scaling.training.worker import run_folder
from scaling.values import from_plain, read_json, write_json
from tests.tiny_run import make_run, make_spec
from tests.training.test_trajectory import outcome, stop_after

SPEC = make_spec(steps=(20, 30, 45))
FIRST, _, LAST = SPEC.budgets


@pytest.fixture(scope="module")
def warm() -> Iterator[WarmWorkers]:
    workers = WarmWorkers(cpu_environment("1"))
    yield workers
    workers.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, corpus_folder: Path) -> Path:
    job, folder = make_run(tmp_path_factory.mktemp("whole"), SPEC, corpus_folder)
    Trajectory(job, folder).run()
    return folder


def make_parts(root: Path, corpus_folder: Path) -> tuple[Path, list[Task]]:
    """The run's folder and its tasks, of which the largest budget's branch is held back."""
    job, folder = make_run(root, SPEC, corpus_folder, checkpoint_every_seconds=0.0)
    write_json(folder / "job.json", replace(job, part="trunk"))
    tasks = [Task(folder, 3.0, SPEC.budgets, "tiny", "trunk", chain_seconds=9.0)]
    for budget in SPEC.budgets:
        own = branch_folder(folder, budget)
        own.mkdir()
        write_json(own / "job.json", Job(SPEC, job.runtime, job.corpus_folder, "branch", budget))
        tasks.append(Task(own, 1.0, (budget,), "tiny", "branch", held_back=budget == LAST))
    return folder, tasks


def run(tasks: list[Task], workers: Workers, **options: object) -> LaunchResult:
    slots = make_slots(workers=2, threads=1, use_gpus=False)
    on_change = options.pop("on_change", lambda state: None)
    return run_pool(tasks, slots, workers, options=PoolOptions(**options), on_change=on_change)  # type: ignore[arg-type]


def assert_same(folder: Path, whole: Path) -> None:
    for budget in SPEC.budgets:
        mine, theirs = (read_record(record_path(root, budget)) for root in (folder, whole))
        assert outcome(mine) == outcome(theirs)
    for curve in whole.glob("curve-*.jsonl"):
        rows, others = (
            [json.loads(line) for line in (root / curve.name).read_text().splitlines()] for root in (folder, whole)
        )
        for name in ("tokens", "train_loss_nats", "validation_loss_nats", "grad_norm"):
            assert [row[name] for row in rows] == [row[name] for row in others], curve.name


def test_in_parts_it_is_the_same_and_what_is_held_back_waits(
    tmp_path: Path, corpus_folder: Path, whole: Path, warm: Workers
) -> None:
    folder, tasks = make_parts(tmp_path, corpus_folder)
    seen: list[list[int]] = []

    def open_gate() -> bool:
        seen.append([budget for budget in SPEC.budgets if record_path(folder, budget).exists()])
        return True

    result = run(tasks, warm, open_gate=open_gate)
    assert sorted(result.done) == sorted([SPEC.id, *(f"{SPEC.id} at {budget:,} tokens" for budget in SPEC.budgets)])
    assert seen == [list(SPEC.budgets[:-1])], "before the gate the held-back loss is not there, all others are"
    assert_same(folder, whole)
    assert not list(folder.rglob("branch*.pt")) + list(folder.glob(f"budget-*/{TRUNK_FILE}"))


def test_a_gate_that_stays_shut_ends_the_pool(tmp_path: Path, corpus_folder: Path, warm: Workers) -> None:
    folder, tasks = make_parts(tmp_path, corpus_folder)
    result = run(tasks, warm, open_gate=lambda: False)
    assert not result.interrupted
    assert not result.failed
    assert not record_path(folder, LAST).exists()


def test_a_kill_of_any_process_changes_no_bit(tmp_path: Path, corpus_folder: Path, whole: Path, warm: Workers) -> None:
    """The trunk's, once it has left its first state behind, and the first branch's."""
    folder, tasks = make_parts(tmp_path, corpus_folder)
    killed: list[str] = []

    def kill(state: PoolState) -> None:
        for running in state.running:
            status, part = running.status, running.task.part
            ready = part == "branch" or (branch_folder(folder, FIRST) / TRUNK_FILE).exists()
            if status is not None and status.state == "running" and ready and part not in killed:
                killed.append(part)
                os.kill(status.pid, signal.SIGKILL)

    result = run(tasks, warm, retry=2, on_change=kill)
    assert "branch" in killed
    assert not result.failed
    assert_same(folder, whole)


def stopped_trunk(folder: Path, calls: int) -> None:
    """A trunk's process that is told to go after so many steps."""
    job = Job(SPEC, make_job(folder).runtime, make_job(folder).corpus_folder, "trunk")
    with pytest.raises(Interrupted):
        Trajectory(job, folder, should_stop=stop_after(calls)).run()


def make_job(folder: Path) -> Job:
    return read_json(Job, folder / "job.json")


def between_file_and_second_name(folder: Path) -> None:
    """Killed when the trunk's state was written, and not yet under its second name in the branch's folder."""
    stopped_trunk(folder, 20)
    (branch_folder(folder, FIRST) / TRUNK_FILE).unlink()


def passed_by(folder: Path) -> None:
    """A later checkpoint is there, and nothing in the branch's folder."""
    stopped_trunk(folder, 28)
    (branch_folder(folder, FIRST) / TRUNK_FILE).unlink()


def damaged_state(folder: Path) -> None:
    assert run_folder(folder) == EXIT_DONE
    for budget in SPEC.budgets:
        file = branch_folder(folder, budget) / TRUNK_FILE
        content = file.read_bytes()
        file.unlink()  # it is the trunk's own file under a second name
        file.write_bytes(content[: len(content) // 2])


def lost_branch_folder(folder: Path) -> None:
    """Somebody tidied up: the branch is begun from nothing, along a trunk of its own."""
    assert run_folder(folder) == EXIT_DONE
    (branch_folder(folder, FIRST) / TRUNK_FILE).write_bytes(b"")
    (folder / TRUNK_FILE).unlink()


@pytest.mark.parametrize("accident", [between_file_and_second_name, passed_by, damaged_state, lost_branch_folder])
def test_what_an_accident_left_is_gone_on_from(
    accident: Callable[[Path], None], tmp_path: Path, corpus_folder: Path, whole: Path, warm: Workers
) -> None:
    folder, tasks = make_parts(tmp_path, corpus_folder)
    accident(folder)
    assert not run(tasks, warm).failed
    assert_same(folder, whole)


def test_a_study_that_was_trained_whole_goes_on_in_parts(
    tmp_path: Path, corpus_folder: Path, whole: Path, warm: Workers
) -> None:
    """Stopped in the second branch, whose checkpoint lies in the run's folder."""
    folder, tasks = make_parts(tmp_path, corpus_folder)
    with pytest.raises(Interrupted):
        Trajectory(replace(make_job(folder), part="whole"), folder, should_stop=stop_after(30)).run()
    assert (folder / "branch.pt").exists()
    assert not run(tasks, warm).failed
    assert_same(folder, whole)


def test_a_trunk_that_diverges_ends_the_branches_after_it(tmp_path: Path, corpus_folder: Path, warm: Workers) -> None:
    folder, tasks = make_parts(tmp_path, corpus_folder)
    stopped_trunk(folder, 20)  # past the first branch's beginning
    content = torch.load(folder / TRUNK_FILE, weights_only=True)
    trajectory = Trajectory(make_job(folder), folder)
    trajectory._resume(folder / TRUNK_FILE, budget=None)
    with torch.no_grad():
        trajectory.state.decoder.embedding.weight.fill_(float("nan"))
    with Saver(SPEC.id, trajectory.team, torch.device("cpu"), "fp32") as saver:
        saver.save(folder / TRUNK_FILE, trajectory.state, from_plain(Progress, content["progress"], ""), budget=None)
    result = run(tasks, warm)
    states = [read_record(record_path(folder, budget)).status for budget in SPEC.budgets]
    assert states == ["done", "diverged", "diverged"]
    assert set(result.failed) == {f"{SPEC.id} at {budget:,} tokens" for budget in SPEC.budgets[1:]}


def test_a_branch_keeps_away_from_a_process_that_trains_the_whole_run(tmp_path: Path, corpus_folder: Path) -> None:
    folder, _ = make_parts(tmp_path, corpus_folder)
    assert run_folder(folder) == EXIT_DONE
    own = branch_folder(folder, FIRST)
    status = json.loads((folder / "status.json").read_text())
    with FileLock(folder / ".lock"):
        for part, code in (("whole", EXIT_BUSY), ("trunk", EXIT_DONE)):
            (folder / "status.json").write_text(json.dumps({**status, "state": "running", "part": part}))
            assert run_folder(own) == code
    with FileLock(branch_folder(folder, LAST) / ".lock"):
        write_json(folder / "job.json", replace(make_job(folder), part="whole"))
        assert run_folder(folder) == EXIT_BUSY
    assert [record_path(folder, budget).exists() for budget in SPEC.budgets] == [True, True, False]
