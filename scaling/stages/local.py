"""The runs of a study on this machine: its slots, its workers, its progress on the terminal."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from scaling.config import ConfigError, StudyConfig
from scaling.launching.config import LaunchConfig
from scaling.launching.early import take_warm
from scaling.launching.pool import PoolOptions, PoolState, run_pool
from scaling.launching.progress import Progress
from scaling.launching.slots import Slots, make_slots
from scaling.launching.tasks import LaunchResult, Task
from scaling.launching.workers import FreshWorkers, Workers
from scaling.records import read_records
from scaling.training.config import Runtime


def run_here(
    config: StudyConfig,
    tasks: Sequence[Task],
    title: str,
    meanwhile: Callable[[], None] = lambda: None,
    open_gate: Callable[[], bool] = lambda: True,
) -> LaunchResult:
    slots = study_slots(config.runtime, config.launch)
    workers = make_workers(slots)
    options = PoolOptions(
        fail_fast=config.fail_fast,
        retry=config.retry,
        memory_of=measured_memory(config.folder),
        open_gate=open_gate,
    )
    try:
        with Progress(title, tasks, len(slots.free), Console(stderr=True)) as progress:

            def look(state: PoolState) -> None:
                progress.show(state)
                meanwhile()

            return run_pool(tasks, slots, workers, options=options, on_change=look, on_outcome=progress.tell)
    finally:
        workers.close()


def study_slots(runtime: Runtime, launch: LaunchConfig) -> Slots:
    """Raises ConfigError where the machine has not what is asked for."""
    try:
        return make_slots(
            workers=runtime.workers,
            threads=runtime.threads,
            use_gpus=None if runtime.device == "auto" else runtime.device == "cuda",
            workers_per_gpu=launch.workers_per_gpu,
            gpus_per_point=launch.gpus_per_point,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None


def make_workers(slots: Slots) -> Workers:
    """Forks of a warm process on the cores of a Linux machine; fresh processes on GPUs, and where a fork of a process
    that has loaded the system's libraries is not safe (macOS)."""
    if sys.platform.startswith("linux") and not any(slot.gpus for slot in slots.free):
        return take_warm(slots.free[0].environment)
    return FreshWorkers()


def measured_memory(study_folder: Path) -> Callable[[Task], int | None]:
    """The most bytes that a finished run of a task's size has taken in this study, read anew at each question."""

    def memory_of(task: Task) -> int | None:
        return max((r.peak_memory_bytes for r in read_records(study_folder) if r.size == task.size), default=None)

    return memory_of
