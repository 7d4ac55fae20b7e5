"""The pool: slots, failures told apart, interrupts passed on, orphans waited for."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from scaling.launching.pool import KEEP_FREED_MEMORY, PoolState, Task, make_slots, run_pool, visible_gpus
from scaling.records import RunStatus, record_path
from scaling.values import read_json
from tests.tiny_run import make_run, make_spec

LONG = (100, 20000)


def test_slots_are_gpus_or_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-ab12")
    assert visible_gpus() == ["3", "GPU-ab12"]
    slots = make_slots(workers=None, threads=1, use_gpus=True)
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in slots] == ["3", "GPU-ab12"]
    shared = make_slots(workers=3, threads=1, use_gpus=True)
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in shared] == ["3", "GPU-ab12", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    cores = make_slots(workers=None, threads=1, use_gpus=True)
    assert len(cores) == len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    assert all(slot.environment["OMP_NUM_THREADS"] == "1" for slot in cores)
    assert all(KEEP_FREED_MEMORY.items() <= slot.environment.items() for slot in cores)


def test_longest_first_and_a_failure_stops_nobody_else(tmp_path: Path, corpus_folder: Path) -> None:
    _, good = make_run(tmp_path, make_spec(steps=(20,)), corpus_folder)
    _, bad = make_run(tmp_path, make_spec(steps=(20,), qk_norm=False), tmp_path / "nowhere")
    states: list[PoolState] = []
    slots = make_slots(workers=1, threads=1, use_gpus=False)
    result = run_pool([Task(good, 1.0), Task(bad, 2.0)], slots, on_change=states.append)
    assert result.done == [good.name]
    assert "nowhere" in result.failed[bad.name]
    first = next(state for state in states if state.running)
    assert list(first.running) == [bad.name]


def test_a_killed_worker_is_told_from_a_failed_one(tmp_path: Path, corpus_folder: Path) -> None:
    _, folder = make_run(tmp_path, make_spec(steps=LONG), corpus_folder)

    def kill_when_it_runs(state: PoolState) -> None:
        for status in state.running.values():
            if status is not None and status.step > 0 and status.state == "running":
                os.kill(status.pid, signal.SIGKILL)

    slots = make_slots(workers=1, threads=1, use_gpus=False)
    result = run_pool([Task(folder, 1.0)], slots, on_change=kill_when_it_runs)
    assert result.failed == {folder.name: "killed by SIGKILL"}


def test_an_interrupt_reaches_the_workers_which_save(tmp_path: Path, corpus_folder: Path) -> None:
    _, folder = make_run(tmp_path, make_spec(steps=LONG), corpus_folder)
    _, never = make_run(tmp_path, make_spec(steps=LONG, qk_norm=False), corpus_folder)

    def interrupt_when_it_runs(state: PoolState) -> None:
        for status in state.running.values():
            if status is not None and status.step > 0:
                os.kill(os.getpid(), signal.SIGINT)

    slots = make_slots(workers=1, threads=1, use_gpus=False)
    result = run_pool([Task(folder, 2.0), Task(never, 1.0)], slots, on_change=interrupt_when_it_runs)
    assert result.interrupted
    assert result.failed == {}
    assert read_json(RunStatus, folder / "status.json").state == "interrupted"
    assert (folder / "trunk.pt").exists()
    assert not (never / "status.json").exists()


def test_an_orphan_of_a_killed_sweep_is_waited_for(tmp_path: Path, corpus_folder: Path) -> None:
    """Somebody else's process is at work in the folder; the pool comes back to it and finds it done."""
    spec = make_spec(steps=(3000,))
    _, folder = make_run(tmp_path, spec, corpus_folder)
    orphan = subprocess.Popen([sys.executable, "-m", "scaling.train", str(folder)], stderr=subprocess.DEVNULL)
    reaper = threading.Thread(target=orphan.wait)
    reaper.start()
    deadline = time.monotonic() + 60
    while not (folder / "status.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    result = run_pool([Task(folder, 1.0)], make_slots(workers=1, threads=1, use_gpus=False))
    reaper.join()
    assert orphan.returncode == 0
    assert result.done == [folder.name]
    assert record_path(folder, spec.budgets[0]).exists()
    assert "another process is at work" in (folder / "log.txt").read_text()
