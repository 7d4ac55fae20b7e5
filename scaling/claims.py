"""Who is at work in a run's folder. The lock of a live process says it, whatever clocks or process ids say; where a
shared file system's locks do not reach another host, its heartbeat does."""

import contextlib
import fcntl
import os
import platform
import time
from pathlib import Path

from filelock import FileLock, Timeout

from scaling.records import LOCK_FILE, STATUS_FILE, RunStatus
from scaling.values import ValueMismatch, read_json, remove_left_overs

HEARTBEAT_SECONDS = 5.0
BEATS_TO_WAIT_FOR = 4


def is_claimed(run_folder: Path) -> bool:
    """Whether a process holds the run's lock; asked on a file opened for reading, so that nothing is written.

    The question holds the lock for an instant, shared: a worker that takes it waits that long.
    """
    try:
        lock = os.open(run_folder / LOCK_FILE, os.O_RDONLY | os.O_NONBLOCK)  # which does not wait, whatever it is
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def claimed_runs(study_folder: Path) -> list[Path]:
    """The runs of a study, and the branches that are tasks of their own, in which somebody is at work."""
    return [lock.parent for lock in sorted(_locks(study_folder)) if is_claimed(lock.parent)]


def trains_whole(run_folder: Path) -> bool:
    """Whether a process is at work on all of a run, so that nobody else may be on one of its branches."""
    if not is_claimed(run_folder):
        return False
    word = _last_word(run_folder)
    return word is None or word.part == "whole"


def _locks(study_folder: Path) -> list[Path]:
    return [lock for depth in ("*", "*/budget-*") for lock in study_folder.glob(f"{depth}/{LOCK_FILE}")]


def tidy(study_folder: Path) -> None:
    """Remove temporary files that killed processes left in a study's folders; a run that is at work does so itself, and
    what is no lock is its worker's to tell."""
    remove_left_overs(study_folder)
    for lock in _locks(study_folder):
        with contextlib.suppress(Timeout, OSError), FileLock(lock, timeout=0):
            remove_left_overs(lock.parent)


def works_elsewhere(run_folder: Path) -> bool:
    """Whether a process on another host, whose lock is not seen here, beats in the folder.

    Told by watching, for the clocks of two hosts need not agree: it takes some seconds, and only where the last word
    is "running" from another host (a node that died leaves one) and not this very job's before it was requeued.
    """
    before = _last_word(run_folder)
    if before is None or before.state != "running" or before.host == platform.node():
        return False
    if before.queue_id is not None and before.queue_id == queue_id():
        return False
    deadline = time.monotonic() + BEATS_TO_WAIT_FOR * HEARTBEAT_SECONDS
    while time.monotonic() < deadline:
        if _last_word(run_folder) != before:
            return True
        time.sleep(HEARTBEAT_SECONDS / 10)
    return False


def queue_id() -> str | None:
    """This process' job in Slurm's queue, as squeue prints it."""
    job, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{job}_{task}" if job and task else os.environ.get("SLURM_JOB_ID")


def _last_word(run_folder: Path) -> RunStatus | None:
    try:
        return read_json(RunStatus, run_folder / STATUS_FILE)
    except (FileNotFoundError, ValueMismatch):
        return None
