"""What is to run, and what became of it: read from the run's folder, whoever ran it and however it ended."""

import errno
import re
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from scaling.records import (
    EXIT_BUSY,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    LOG_FILE,
    STATUS_FILE,
    RunRecord,
    RunStatus,
    recorded,
)
from scaling.values import ValueMismatch, read_file, read_json

OutcomeKind = Literal["done", "diverged", "out_of_memory", "lost", "failed", "interrupted", "busy"]

# What another try can find mended: a network file system's hiccups, and nothing that the same run would meet again.
TRANSIENT_ERRORS = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.EREMOTEIO})


@dataclass(frozen=True)
class Task:
    """A run's folder, the budgets (tokens) that it lacks, and its estimated cost, by which the longest goes first."""

    folder: Path
    seconds: float
    budgets: tuple[int, ...]
    size: str = ""


@dataclass
class LaunchResult:
    """Run ids by how they ended, as far as this launch saw them end."""

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
        found = [recorded(task.folder, budget) for budget in task.budgets]
    except OSError as error:
        return Outcome("failed", f"its records cannot be read: {error}")
    records = [record for record in found if record is not None]
    for kind in ("out_of_memory", "diverged", "failed"):
        for record in records:
            if record.status == kind:
                return Outcome(kind, f"{kind} at {record.budget_tokens:,} tokens: {record.reason}")
    if len(records) == len(task.budgets):
        return Outcome("done")
    status = last_status(task.folder)
    if exit_code == EXIT_BUSY:
        return Outcome("busy")
    if exit_code == EXIT_INTERRUPTED or (status is not None and status.state == "interrupted"):
        return Outcome("interrupted")
    if status is not None and status.state == "failed" and status.error is not None:
        return Outcome(_error_kind(status.error), status.error)
    if exit_code is not None and exit_code < 0:
        return Outcome("lost", f"killed by {signal.Signals(-exit_code).name}")
    if exit_code is None or (exit_code != EXIT_FAILED and status is not None and status.state == "running"):
        return Outcome("lost", "its process is gone without a word")
    last = f"the last line of {task.folder / LOG_FILE}: {last_line(task.folder)}"
    return Outcome("failed", f"exit code {exit_code}; {last}")


def new_records(task: Task, known: set[tuple[str, int]]) -> list[RunRecord]:
    """The task's records that are not in `known`, by run and budget, which then has them."""
    missing = [budget for budget in task.budgets if (task.folder.name, budget) not in known]
    found = [record for budget in missing if (record := recorded(task.folder, budget)) is not None]
    known.update((task.folder.name, record.budget_tokens) for record in found)
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
    elsewhere is what somebody else on the same device took."""
    if error.startswith(("OutOfMemoryError", "MemoryError")):
        return "lost"
    number = re.search(r"\[Errno (\d+)\]", error)
    return "lost" if number is not None and int(number[1]) in TRANSIENT_ERRORS else "failed"
