"""Run folders on the slots of one machine: one fresh process each, longest first, nothing lost on a signal.

The pool decides nothing about a run: a worker is `python -m scaling.train FOLDER`, its exit code and its records
say how it went.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from scaling.records import EXIT_BUSY, EXIT_DONE, EXIT_INTERRUPTED, LOG_FILE, STATUS_FILE, RunStatus
from scaling.values import ValueMismatch, read_json

SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_UNTIL_BUSY_AGAIN = 2.0

# glibc gives freed memory back to the kernel and a small model's activations are page-faulted in again at each
# step; keeping it is worth 1.1 to 1.4 times the speed. Other C libraries ignore the names.
KEEP_FREED_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(1 << 26),
}


@dataclass(frozen=True)
class Task:
    """A run's folder with its estimated cost, by which the longest goes first."""

    folder: Path
    seconds: float


@dataclass(frozen=True)
class Slot:
    """A place to run: the environment that confines a worker to its cores or its GPU."""

    name: str
    environment: Mapping[str, str]


@dataclass
class PoolState:
    """What a progress line shows."""

    waiting: int
    running: dict[str, RunStatus | None]
    finished: int
    failed: int


@dataclass
class _Worker:
    task: Task
    slot: Slot
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    started_at: float


@dataclass
class PoolResult:
    """Run ids by how their process ended."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False


def make_slots(*, workers: int | None, threads: int, use_gpus: bool) -> list[Slot]:
    """One slot for each GPU, or for each `threads` cores; `workers` overrides their number.

    With more workers than GPUs, GPUs are shared in turn.
    """
    gpus = visible_gpus() if use_gpus else []
    common = {**KEEP_FREED_MEMORY, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    if gpus:
        count = workers or len(gpus)
        return [
            Slot(f"gpu{gpus[i % len(gpus)]}", {**common, "CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]})
            for i in range(count)
        ]
    count = workers or max(1, usable_cores() // threads)
    return [Slot(f"cpu{i}", {**common, "OMP_WAIT_POLICY": "PASSIVE"}) for i in range(count)]


def usable_cores() -> int:
    """Cores this process may run on: a container's share, not the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """Ids from CUDA_VISIBLE_DEVICES or else from nvidia-smi, without importing torch; none is no error."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [gpu.strip() for gpu in named.split(",") if gpu.strip() not in ("", "-1")]
    try:
        listing = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return listing.split()


def run_pool(
    tasks: Sequence[Task],
    slots: Sequence[Slot],
    *,
    on_change: Callable[[PoolState], None] = lambda state: None,
) -> PoolResult:
    """Run every task and return how each ended. INT and TERM are passed on to the workers, which save and leave.

    A folder in which an orphan of an earlier, killed sweep is still at work is looked at again until it is free.
    """
    waiting = sorted(tasks, key=lambda task: -task.seconds)
    not_before: dict[Path, float] = {}
    free, running = list(slots), list[_Worker]()
    result = PoolResult()

    def stop(number: int, _: FrameType | None) -> None:
        result.interrupted = True
        for worker in running:
            worker.process.send_signal(signal.SIGTERM)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        while running or (waiting and not result.interrupted):
            now = time.monotonic()
            ready = [task for task in waiting if not_before.get(task.folder, 0.0) <= now]
            while free and ready and not result.interrupted:
                task = ready.pop(0)
                waiting.remove(task)
                running.append(_start(task, free.pop(0)))
            for worker in [w for w in running if w.process.poll() is not None]:
                running.remove(worker)
                free.append(worker.slot)
                worker.log.close()
                if worker.process.returncode == EXIT_BUSY:
                    not_before[worker.task.folder] = now + SECONDS_UNTIL_BUSY_AGAIN
                    waiting.append(worker.task)
                else:
                    _settle(worker, result)
            on_change(
                PoolState(
                    waiting=len(waiting),
                    running={w.task.folder.name: _status(w) for w in running},
                    finished=len(result.done),
                    failed=len(result.failed),
                )
            )
            time.sleep(SECONDS_BETWEEN_LOOKS)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return result


def _start(task: Task, slot: Slot) -> _Worker:
    log = (task.folder / LOG_FILE).open("ab")
    # A session of its own: a Ctrl-C in the terminal reaches the pool alone, which passes it on in order.
    process = subprocess.Popen(
        [sys.executable, "-m", "scaling.train", str(task.folder)],
        env={**os.environ, **slot.environment},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    return _Worker(task, slot, process, log, time.time())


def _settle(worker: _Worker, result: PoolResult) -> None:
    code, folder = worker.process.returncode, worker.task.folder
    if code == EXIT_DONE:
        result.done.append(folder.name)
    elif code == EXIT_INTERRUPTED or (result.interrupted and code == -signal.SIGTERM):
        # A worker that is told to stop before or after it listens dies of the signal; nothing of it is lost.
        result.interrupted = True
    elif code < 0:
        result.failed[folder.name] = f"killed by {signal.Signals(-code).name}"
    else:
        result.failed[folder.name] = f"exit code {code}; the last line of {folder / LOG_FILE}: {_last_line(folder)}"


def _last_line(folder: Path) -> str:
    lines = (folder / LOG_FILE).read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "(empty)"


def _status(worker: _Worker) -> RunStatus | None:
    """The worker's last word; that of an earlier process in the same folder is none."""
    try:
        status = read_json(RunStatus, worker.task.folder / STATUS_FILE)
    except (FileNotFoundError, ValueMismatch):
        return None
    return status if status.updated_at >= worker.started_at else None
