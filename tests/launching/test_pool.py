"""The pool: longest first, failures told apart and tried again where that helps, interrupts passed on, orphans
waited for; with fresh processes and with forks of a warm one."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scaling.launching.pool import PoolOptions, PoolState, run_pool
from scaling.launching.slots import Slot, Slots, cpu_environment, make_slots
from scaling.launching.tasks import Outcome, Task, outcome
from scaling.launching.workers import FreshWorkers, WarmWorkers, Workers
from scaling.machine import GPU_SHARE
from scaling.records import STOP_FILE, RunStatus, record_path
from scaling.values import read_json, write_json
from tests.tiny_run import BATCH, make_run, make_spec

LONG = (100, 1_000_000)  # no machine ends it before it is killed or told to stop
WHILE = (1500,)  # steps that outlast many looks of the pool, on any machine


@pytest.fixture(scope="module")
def warm() -> Iterator[WarmWorkers]:
    workers = WarmWorkers(cpu_environment("1"))
    yield workers
    workers.close()


def slots(workers: int = 1) -> Slots:
    return make_slots(workers=workers, threads=1, use_gpus=False)


def task(folder: Path, seconds: float = 1.0, steps: tuple[int, ...] = (20,)) -> Task:
    return Task(folder, seconds, tuple(BATCH * n for n in steps))


def loss(folder: Path, steps: int = 20) -> float:
    return float(json.loads(record_path(folder, BATCH * steps).read_text())["final_loss_nats"])


def at_work(state: PoolState) -> list[RunStatus]:
    """The last words of the runs that train: from their first word on, as a fast machine may leave no second one."""
    return [r.status for r in state.running if r.status is not None and r.status.state == "running"]


def test_longest_first_and_a_failure_stops_nobody_else(tmp_path: Path, corpus_folder: Path, warm: Workers) -> None:
    _, good = make_run(tmp_path, make_spec(steps=(20,)), corpus_folder)
    _, bad = make_run(tmp_path, make_spec(steps=(20,), qk_norm=False), tmp_path / "nowhere")
    states: list[list[str]] = []
    result = run_pool(
        [task(good, 1.0), task(bad, 2.0)],
        slots(),
        warm,
        options=PoolOptions(retry=3),
        on_change=lambda state: states.append([r.task.folder.name for r in state.running]),
    )
    assert result.done == [good.name]
    assert "nowhere" in result.failed[bad.name]
    assert next(names for names in states if names) == [bad.name]
    assert read_json(RunStatus, bad / "status.json").attempt == 1, "a bug's answer would be the same"


def test_a_fork_of_a_warm_process_trains_what_a_fresh_process_trains(
    tmp_path: Path, corpus_folder: Path, warm: Workers
) -> None:
    spec = make_spec(steps=(20,))
    losses, logs = [], []
    for name, workers in (("fresh", FreshWorkers()), ("warm", warm), ("again", warm)):
        _, folder = make_run(tmp_path / name, spec, corpus_folder)
        assert run_pool([task(folder)], slots(), workers).done == [folder.name]
        losses.append(loss(folder))
        logs.append((folder / "log.txt").exists())
    assert losses[0] == losses[1] == losses[2]
    assert logs == [True] * 3


def test_a_lost_run_is_tried_again_and_goes_on(tmp_path: Path, corpus_folder: Path, warm: Workers) -> None:
    """Killed once, it finishes at the second try; with no second try, it is reported as lost."""
    spec = make_spec(steps=WHILE)
    _, undisturbed = make_run(tmp_path / "undisturbed", spec, corpus_folder)
    run_pool([task(undisturbed, steps=WHILE)], slots(), warm)
    for retry in (1, 0):
        _, folder = make_run(tmp_path / str(retry), spec, corpus_folder)
        killed: list[int] = []

        def kill_once(state: PoolState, killed: list[int] = killed) -> None:
            for status in [] if killed else at_work(state):
                killed.append(status.pid)
                os.kill(status.pid, signal.SIGKILL)

        options = PoolOptions(retry=retry)
        result = run_pool([task(folder, steps=WHILE)], slots(), warm, options=options, on_change=kill_once)
        assert killed
        if retry:
            assert result.done == [folder.name]
            assert loss(folder, *WHILE) == loss(undisturbed, *WHILE)
            assert read_json(RunStatus, folder / "status.json").attempt == 2
        else:
            assert result.failed == {folder.name: "killed by SIGKILL"}


def test_one_run_killed_takes_no_other_along(tmp_path: Path, corpus_folder: Path, warm: Workers) -> None:
    _, victim = make_run(tmp_path, make_spec(steps=LONG), corpus_folder)
    _, other = make_run(tmp_path, make_spec(steps=(300,), qk_norm=False), corpus_folder)

    def kill_the_victim(state: PoolState) -> None:
        for running in state.running:
            status = running.status
            if running.task.folder == victim and status is not None and status.state == "running":
                os.kill(status.pid, signal.SIGKILL)

    tasks = [task(victim, 2.0, LONG), task(other, 1.0, (300,))]
    result = run_pool(tasks, slots(2), warm, on_change=kill_the_victim)
    assert result.done == [other.name]
    assert set(result.failed) == {victim.name}


@pytest.mark.slow
def test_the_warm_process_may_die_too(tmp_path: Path, corpus_folder: Path) -> None:
    """Its run goes on as an orphan, which the next try finds at work and waits for."""
    _, folder = make_run(tmp_path, make_spec(steps=WHILE), corpus_folder)
    workers = WarmWorkers(cpu_environment("1"))
    killed: list[int] = []

    def kill_the_parent(state: PoolState) -> None:
        for status in [] if killed else at_work(state):
            parent = int(Path(f"/proc/{status.pid}/stat").read_text().rsplit(")")[1].split()[1])
            killed.append(parent)
            os.kill(parent, signal.SIGKILL)

    if not Path("/proc/self/stat").exists():
        pytest.skip("finds the parent of a process in /proc, which this system has not")
    options = PoolOptions(retry=1)
    result = run_pool([task(folder, steps=WHILE)], slots(), workers, options=options, on_change=kill_the_parent)
    workers.close()
    assert killed
    assert result.done == [folder.name]
    assert read_json(RunStatus, folder / "status.json").attempt == 1, "the orphan itself made the record"


def test_an_interrupt_reaches_the_workers_which_save(tmp_path: Path, corpus_folder: Path, warm: Workers) -> None:
    _, folder = make_run(tmp_path, make_spec(steps=LONG), corpus_folder)
    _, never = make_run(tmp_path, make_spec(steps=LONG, qk_norm=False), corpus_folder)

    def interrupt_when_it_runs(state: PoolState) -> None:
        if at_work(state):
            os.kill(os.getpid(), signal.SIGINT)

    tasks = [task(folder, 2.0, LONG), task(never, 1.0, LONG)]
    result = run_pool(tasks, slots(), warm, on_change=interrupt_when_it_runs)
    assert result.interrupted
    assert result.failed == {}
    assert read_json(RunStatus, folder / "status.json").state == "interrupted"
    assert (folder / "trunk.pt").exists()
    assert not (never / "status.json").exists()


def test_a_stop_file_does_what_an_interrupt_does(tmp_path: Path, corpus_folder: Path, warm: Workers) -> None:
    _, folder = make_run(tmp_path, make_spec(steps=LONG), corpus_folder)

    def leave_a_file(state: PoolState) -> None:
        if at_work(state):
            (tmp_path / STOP_FILE).touch()

    result = run_pool([task(folder, 1.0, LONG)], slots(), warm, on_change=leave_a_file)
    assert result.interrupted
    assert read_json(RunStatus, folder / "status.json").state == "interrupted"


def test_fail_fast_starts_nothing_more(tmp_path: Path, corpus_folder: Path, warm: Workers) -> None:
    _, bad = make_run(tmp_path, make_spec(steps=(20,)), tmp_path / "nowhere")
    _, next_one = make_run(tmp_path, make_spec(steps=(20,), qk_norm=False), corpus_folder)
    options = PoolOptions(fail_fast=True, retry=2)
    result = run_pool([task(bad, 2.0), task(next_one, 1.0)], slots(), warm, options=options)
    assert set(result.failed) == {bad.name}
    assert result.done == []
    assert not result.interrupted
    assert not (next_one / "status.json").exists()


@pytest.mark.slow
def test_an_orphan_of_a_killed_sweep_is_waited_for(tmp_path: Path, corpus_folder: Path, warm: Workers) -> None:
    """Somebody else's process is at work in the folder; it keeps its core, and is found done when it is."""
    spec = make_spec(steps=WHILE)
    _, folder = make_run(tmp_path, spec, corpus_folder)
    _, other = make_run(tmp_path, make_spec(steps=(20,), qk_norm=False), corpus_folder)
    with (folder / "log.txt").open("w") as log:
        orphan = subprocess.Popen([sys.executable, "-m", "scaling.train", str(folder)], stderr=log)
    reaper = threading.Thread(target=orphan.wait)
    reaper.start()
    deadline = time.monotonic() + 60
    while not (folder / "status.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    elsewhere: list[int] = []
    result = run_pool(
        [task(folder, 2.0, WHILE), task(other, 1.0)],
        slots(1),
        warm,
        on_change=lambda state: elsewhere.append(len(state.elsewhere) if not state.running else 0),
    )
    reaper.join()
    assert orphan.returncode == 0
    assert max(elsewhere) == 1
    assert sorted(result.done) == sorted([folder.name, other.name])
    assert record_path(folder, spec.budgets[0]).exists()


def test_a_worker_imports_torch_once(tmp_path: Path, corpus_folder: Path) -> None:
    """A further run costs far less than the seconds of a core in which torch is imported, and its compiler with the
    first optimizer. In CPU time, so that a busy machine does not matter."""
    spec, seconds = make_spec(steps=(5,)), []
    for count in (1, 7):
        folders = [make_run(tmp_path / f"{count}-{i}", spec, corpus_folder)[1] for i in range(count)]
        before = os.times().children_user
        workers = WarmWorkers(cpu_environment("1"))
        assert len(run_pool([task(folder, steps=(5,)) for folder in folders], slots(2), workers).done) == count
        workers.close()  # waits for it, so that its time and its children's are this process' children's
        seconds.append(os.times().children_user - before)
    assert (seconds[1] - seconds[0]) / 6 < 0.2 * seconds[0]


class PlantedWorkers:
    """Ends each run at once with a planted exit code and, before that, planted last words."""

    def __init__(self, ends: list[tuple[int, str | None]]) -> None:
        self.ends, self.started, self._ended = ends, [], []  # type: tuple[object, list[Path], list[tuple[Path, int]]]

    def start(self, folder: Path, slot: object) -> None:
        code, error = self.ends[len(self.started)]
        self.started.append(folder)
        if error is not None:
            write_json(folder / "status.json", RunStatus("failed", 1, 9, 0.0, time.time(), "here", 1, error))
        self._ended.append((folder, code))

    def ended(self, timeout: float) -> list[tuple[Path, int]]:
        ended, self._ended = self._ended, []
        return ended

    def send(self, folder: Path, number: signal.Signals) -> None:
        raise AssertionError("nothing runs long enough to be told anything")

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("code", "error", "tries"),
    [
        (1, "OSError: [Errno 5] Input/output error", 3),
        (1, "OSError: [Errno 116] Stale file handle", 3),
        (1, "OSError: [Errno 28] No space left on device", 1),
        (1, "ValueError: a bug", 1),
        (1, "OutOfMemoryError: CUDA out of memory", 3),
        (1, "CrowdedOut: one sequence does not fit; its share is 12%", 4),  # one of them for having been crowded
        (1, "AcceleratorError: CUDA error: uncorrectable ECC error encountered", 3),
        (1, "DistBackendError: NCCL error in: ProcessGroupNCCL.cpp", 3),
        (1, "AcceleratorError: CUDA error: an illegal memory access was encountered", 1),
        (-signal.SIGKILL, None, 3),
        (-signal.SIGTERM, None, 3),
    ],
)
def test_only_what_another_try_may_mend_is_tried_again(
    code: int, error: str | None, tries: int, tmp_path: Path
) -> None:
    folder = tmp_path / "study" / "run"
    folder.mkdir(parents=True)
    workers = PlantedWorkers([(code, error)] * 4)
    told: list[Outcome] = []
    result = run_pool(
        [task(folder)],
        slots(),
        workers,
        options=PoolOptions(retry=2),
        on_outcome=lambda task, ended: told.append(ended),
    )
    assert len(workers.started) == len(told) == tries
    assert set(result.failed) == {"run"}


def test_what_the_folder_says_counts_where_nobody_waited(tmp_path: Path) -> None:
    """Other people's launchers give no exit code."""
    one = task(tmp_path)
    assert outcome(one, None).kind == "lost"
    for state, kind in (("interrupted", "interrupted"), ("running", "lost"), ("failed", "failed")):
        error = "ValueError: a bug" if state == "failed" else None
        status = RunStatus(state, 1, 9, 0.0, time.time(), "here", 1, error)  # type: ignore[arg-type]
        write_json(tmp_path / "status.json", status)
        assert outcome(one, None).kind == kind


@pytest.mark.parametrize("by_memory", [True, False], ids=["by memory", "by number"])
def test_who_was_crowded_out_has_a_gpu_to_itself_next(by_memory: bool, tmp_path: Path) -> None:
    """Though no further try was asked for: that it shared was the pool's doing."""
    shared, other = (tmp_path / "study" / name for name in ("shared", "other"))
    for folder in (shared, other):
        folder.mkdir(parents=True)
    eighth = {} if by_memory else {GPU_SHARE: "0.125000"}
    places = Slots([Slot("gpu0", ("0",), eighth) for _ in range(8)], by_memory={"0": 40 * 2**30} if by_memory else {})
    shares: list[tuple[str, str]] = []

    class Watching(PlantedWorkers):
        def start(self, folder: Path, slot: object) -> None:
            assert isinstance(slot, Slot)
            shares.append((folder.name, slot.environment[GPU_SHARE]))
            super().start(folder, slot)

    workers = Watching([(1, "CrowdedOut: no room")] + [(1, "ValueError: a bug")] * 2)
    options = PoolOptions(memory_of=lambda task: 2**30)
    run_pool([task(shared, 2.0), task(other, 1.0)], places, workers, options=options)
    assert shares == [("shared", "0.125000"), ("other", "0.125000"), ("shared", "1.000000")]
