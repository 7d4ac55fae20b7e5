"""The process around one trajectory: lock, signals, status, exit code."""

import importlib
import logging
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType

import torch
from filelock import FileLock, Timeout

from scaling.claims import trains_whole, works_elsewhere
from scaling.exits import EXIT_BUSY, EXIT_DONE, EXIT_FAILED, EXIT_REQUEUE
from scaling.records import JOB_FILE, LOCK_FILE, STOP_FILE, RunPart
from scaling.training.config import Job
from scaling.training.provenance import git_commit
from scaling.training.status import StatusWriter
from scaling.training.team import Team, team_of_this_process
from scaling.training.trajectory import Busy, Interrupted, Trajectory
from scaling.values import ValueMismatch, read_json, remove_left_overs

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS_FOR_STOP = 1.0
SECONDS_FOR_THE_LOCK = 2.0  # others ask for an instant who holds it


def prepare_for_forks(folder: Path) -> None:
    """What each run like that of `folder` would otherwise spend parts of a second on: once for all later forks of this
    process. Starts no thread. A job that cannot be read is its run's to tell."""
    git_commit()
    with suppress(OSError, ValueMismatch):
        if read_json(Job, folder / JOB_FILE).runtime.tensorboard:
            importlib.import_module("torch.utils.tensorboard")


def run_folder(
    folder: Path, on_notice: Callable[[int], None] = lambda number: None, received: list[int] | None = None
) -> int:
    """Train what `folder/job.json` says and return the exit code, the same in every process of a team.

    TERM, INT and USR1, to any of its processes, mean: save and leave, and so does a STOP file in the study's folder.
    `on_notice` is told the first such signal when it is seen, before anything is saved; `received` has those that the
    caller has heard so far, and gets those that it hears until this listens itself. A second start on the same folder
    leaves with EXIT_BUSY.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    team = team_of_this_process()
    try:
        job = read_json(Job, folder / JOB_FILE)
    except ValueMismatch as error:
        log.error("%s", error)
        return EXIT_FAILED
    run, study = (folder.parent, folder.parent.parent) if job.part == "branch" else (folder, folder.parent)
    if job.spec.id != run.name:
        log.error(
            "%s holds the job of run %s: it was copied or edited by hand; plan the study again",
            folder,
            job.spec.id,
        )
        return EXIT_FAILED
    with ExitStack() as lock:
        if not team.told(_claim(folder, lock, job.part) if team.leads else False):
            return EXIT_BUSY
        notices = Notices(study / STOP_FILE, on_notice, [] if received is None else received)
        return _run_locked(job, folder, team, notices)


def _claim(folder: Path, lock: ExitStack, part: RunPart) -> bool:
    """Lock the folder, if nobody else works in it, and clear what a killed process left behind."""
    if part == "branch" and trains_whole(folder.parent):
        log.info("another process trains the whole run of %s", folder.parent)
        return False
    try:
        lock.enter_context(FileLock(folder / LOCK_FILE, timeout=SECONDS_FOR_THE_LOCK))
    except Timeout:
        log.info("another process is at work in %s", folder)
        return False
    if works_elsewhere(folder):
        log.info("a process on another host is at work in %s", folder)
        return False
    remove_left_overs(folder, spare=JOB_FILE)  # a second sweep of the study may be writing that
    return True


def _run_locked(job: Job, folder: Path, team: Team, notices: "Notices") -> int:
    torch.set_num_threads(job.runtime.threads)
    with StatusWriter(folder, job.total_steps, part=job.part, silent=not team.leads) as status:
        status.write("running")
        try:
            Trajectory(job, folder, team, should_stop=notices.given, on_progress=status.progress).run()
        except Busy as busy:
            log.info("%s", busy)
            status.write("interrupted")
            return EXIT_BUSY
        except Interrupted as interruption:
            log.info("%s; the same command goes on from here", interruption)
            status.write("interrupted")
            return EXIT_REQUEUE
        except BaseException as error:
            status.write("failed", error=f"{type(error).__name__}: {error}")
            raise
        status.write("done")
    return EXIT_DONE


class Notices:
    """Whether somebody wants this process to save and leave: by a signal, or by the study's STOP file, which is
    looked for at most once a second."""

    def __init__(self, stop_file: Path, on_signal: Callable[[int], None], received: list[int]) -> None:
        self._stop_file, self._on_signal, self._received = stop_file, on_signal, received
        self._told = False
        self._looked_at = float("-inf")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, self._receive)

    def _receive(self, number: int, _: FrameType | None) -> None:
        self._received.append(number)

    def given(self) -> bool:
        if self._received and not self._told:
            self._told = True
            self._on_signal(self._received[0])
        if not self._received and time.monotonic() - self._looked_at >= SECONDS_BETWEEN_LOOKS_FOR_STOP:
            self._looked_at = time.monotonic()
            self._told = self._told or self._stop_file.exists()
        return self._told
