"""The process around one trajectory: lock, signals, status, exit code."""

import logging
import os
import platform
import signal
import time
from pathlib import Path
from types import FrameType

import torch
from filelock import FileLock, Timeout

from scaling.records import (
    EXIT_BUSY,
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    JOB_FILE,
    LOCK_FILE,
    STATUS_FILE,
    RunState,
    RunStatus,
)
from scaling.training.config import Job
from scaling.training.trajectory import Interrupted, Trajectory
from scaling.values import read_json, write_json

log = logging.getLogger(__name__)

SECONDS_BETWEEN_STATUSES = 1.0


class StatusWriter:
    """The run's `status.json`, rewritten at most once a second while it runs."""

    def __init__(self, folder: Path, total_steps: int) -> None:
        self._path, self._total_steps = folder / STATUS_FILE, total_steps
        self._written_at, self._step, self._speed = 0.0, 0, 0.0

    def progress(self, step: int, tokens_per_second: float) -> None:
        self._step, self._speed = step, tokens_per_second
        if time.monotonic() - self._written_at >= SECONDS_BETWEEN_STATUSES:
            self.write("running")

    def write(self, state: RunState, error: str | None = None) -> None:
        status = RunStatus(
            state=state,
            step=self._total_steps if state == "done" else self._step,
            total_steps=self._total_steps,
            tokens_per_second=self._speed,
            updated_at=time.time(),
            host=platform.node(),
            pid=os.getpid(),
            error=error,
        )
        write_json(self._path, status)
        self._written_at = time.monotonic()


def run_folder(folder: Path) -> int:
    """Train what `folder/job.json` says and return the exit code.

    TERM, INT and USR1 mean: save and leave. A second process on the same folder leaves at once with EXIT_BUSY.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    job = read_json(Job, folder / JOB_FILE)
    if job.spec.id != folder.name:
        log.error(
            "%s holds the job of run %s: it was copied or edited by hand; plan the study again",
            folder,
            job.spec.id,
        )
        return EXIT_FAILED
    try:
        with FileLock(folder / LOCK_FILE, blocking=False):
            return _run_locked(job, folder)
    except Timeout:
        log.info("another process is at work in %s", folder)
        return EXIT_BUSY


def _run_locked(job: Job, folder: Path) -> int:
    notices: list[int] = []

    def notice(number: int, _: FrameType | None) -> None:
        notices.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, notice)
    torch.set_num_threads(job.runtime.threads)
    status = StatusWriter(folder, job.spec.total_steps)
    status.write("running")
    try:
        Trajectory(job, folder, should_stop=lambda: bool(notices), on_progress=status.progress).run()
    except Interrupted as interruption:
        log.info("%s; the same command goes on from here", interruption)
        status.write("interrupted")
        return EXIT_INTERRUPTED
    except BaseException as error:
        status.write("failed", error=f"{type(error).__name__}: {error}")
        raise
    status.write("done")
    return EXIT_DONE
