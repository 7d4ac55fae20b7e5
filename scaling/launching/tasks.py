"""What is to run, and what became of it: read from the run's folder, whoever ran it and however it ended."""

import errno
import re
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from scaling.exits import EXIT_BUSY, EXIT_FAILED, EXIT_REQUEUE
from scaling.records import (
    BRANCH_FILE,
    LOG_FILE,
    STATUS_FILE,
    TRUNK_FILE,
    RunPart,
    RunRecord,
    RunStatus,
    branch_folder,
    record_path,
    recorded,
)
from scaling.values import ValueMismatch, read_file, read_json

# A worker's last words on a shared GPU that had no room for it: alone it may fit.
CROWDED_OUT = "CrowdedOut"
# Of hardware and drivers, not of kernels: an illegal address would be met again.
BROKEN_GPU_WORDS = (
    "uncorrectable ECC",
    "NCCL error",
    "unspecified launch failure",
    "CUDA error: unknown error",
    "GPU has fallen off the bus",
    "busy or unavailable",
    "system not yet initialized",
    "MPS client",
)

OutcomeKind = Literal["done", "diverged", "out_of_memory", "lost", "failed", "interrupted", "busy"]

# What another try can find mended: a network file system's hiccups, and nothing that the same run would meet again.
TRANSIENT_ERRORS = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.EREMOTEIO})


@dataclass(frozen=True)
class Task:
    """The folder of a job, the budgets (tokens) that it lacks, and its estimated cost.

    A `trunk` has done its part for a budget when its state lies in the branch's folder, or the record is there; a
    `branch` can begin from then on. The one goes first of which `chain_seconds` are the most: those until the last of
    what hangs on it can have ended (None: its own). What is `held_back` waits until the pool opens its gate.
    """

    folder: Path
    seconds: float
    budgets: tuple[int, ...]
    size: str = ""
    part: RunPart = "whole"
    chain_seconds: float | None = None
    held_back: bool = False

    @property
    def run_folder(self) -> Path:
        return self.folder.parent if self.part == "branch" else self.folder

    @property
    def name(self) -> str:
        run = self.run_folder.name
        return f"{run} at {self.budgets[0]:,} tokens" if self.part == "branch" else run

    @property
    def rank(self) -> float:
        return -(self.seconds if self.chain_seconds is None else self.chain_seconds)

    def has_begun(self) -> bool:
        """Of a branch, whether there is a state to go on from."""
        return any((self.folder / name).exists() for name in (TRUNK_FILE, BRANCH_FILE))


@dataclass
class LaunchResult:
    """Names of tasks by how they ended, as far as this launch saw them end."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False


@dataclass(frozen=True)
class Outcome:
    """`lost` is an end that says nothing of the run: another try may go well. `diverged` would diverge again."""

    kind: OutcomeKind
    reason: str = ""


def outcome(task: Task, exit_code: int | None) -> Outcome:
    """How a task ended. `exit_code` is its process' (negative: by that signal), or None where nobody waited for it."""
    try:
        found = [recorded(task.run_folder, budget) for budget in task.budgets]
    except OSError as error:
        return Outcome("failed", f"its records cannot be read: {error}")
    records = [record for record in found if record is not None]
    for kind in ("out_of_memory", "diverged") if task.part != "trunk" else ():  # then each branch tells its own
        for record in records:
            if record.status == kind:
                return Outcome(kind, f"{kind} at {record.budget_tokens:,} tokens: {record.reason}")
    if len(records) == len(task.budgets) or (task.part == "trunk" and has_left_all(task)):
        return Outcome("done")
    status = last_status(task.folder)
    if exit_code == EXIT_BUSY:
        return Outcome("busy")
    if exit_code == EXIT_REQUEUE or (status is not None and status.state == "interrupted"):
        return Outcome("interrupted")
    if status is not None and status.state == "failed" and status.error is not None:
        return Outcome(_error_kind(status.error), status.error)
    if exit_code is not None and exit_code < 0:
        return Outcome("lost", f"killed by {signal.Signals(-exit_code).name}")
    if exit_code is None or (exit_code != EXIT_FAILED and status is not None and status.state == "running"):
        return Outcome("lost", "its process is gone without a word")
    last = f"the last line of {task.folder / LOG_FILE}: {last_line(task.folder)}"
    return Outcome("failed", f"exit code {exit_code}; {last}")


def missing_first(task: Task) -> list[Path]:
    return [record_path(task.run_folder, budget) for budget in task.budgets]


def has_left_all(task: Task) -> bool:
    """Whether a trunk's state lies where each branch begins, or the branch has ended."""
    return all(
        record_path(task.folder, budget).exists() or (branch_folder(task.folder, budget) / TRUNK_FILE).exists()
        for budget in task.budgets
    )


def new_records(task: Task, known: set[tuple[str, int]]) -> list[RunRecord]:
    """The task's records that are not in `known`, by run and budget, which then has them."""
    run = task.run_folder
    missing = [budget for budget in task.budgets if (run.name, budget) not in known]
    found = [record for budget in missing if (record := recorded(run, budget)) is not None]
    known.update((run.name, record.budget_tokens) for record in found)
    return found


def last_status(folder: Path) -> RunStatus | None:
    """None before the first, or where it is another version's."""
    try:
        return read_json(RunStatus, folder / STATUS_FILE)
    except (OSError, ValueMismatch):
        return None


def last_line(folder: Path) -> str:
    try:
        lines = read_file(folder / LOG_FILE).decode(errors="replace").strip().splitlines()
    except (OSError, ValueMismatch):
        return "(none)"
    return lines[-1] if lines else "(empty)"


def _error_kind(error: str) -> OutcomeKind:
    """Of a worker's last words, `Class: message`. A worker halves its micro-batches by itself: memory that runs out
    elsewhere is what somebody else on the same device took. A GPU that breaks says nothing of the run either."""
    if error.startswith(("OutOfMemoryError", "MemoryError", CROWDED_OUT, "DistBackendError")):
        return "lost"
    if any(words in error for words in BROKEN_GPU_WORDS):
        return "lost"
    number = re.search(r"\[Errno (\d+)\]", error)
    return "lost" if number is not None and int(number[1]) in TRANSIENT_ERRORS else "failed"
