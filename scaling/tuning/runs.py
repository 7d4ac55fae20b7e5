"""A recipe's run on disk, and what runs it."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from scaling.curves import curve_path, read_curve
from scaling.records import RunRecord, is_done, recorded


class Runner(Protocol):
    """Runs folders on the slots of a machine, each in a process of its own."""

    @property
    def has_room(self) -> bool: ...

    def start(self, folder: Path) -> None: ...

    def stop(self, folder: Path) -> None:
        """Ask for a save and an end."""

    def ended(self, timeout: float) -> list[tuple[Path, str | None]]:
        """Folders that ended since the last call, each with the reason of a failure; waits for one."""
        ...


@dataclass(frozen=True)
class Run:
    """One recipe's run: its folder and the budgets (tokens) whose records are its answer."""

    folder: Path
    budgets: tuple[int, ...]

    def record(self, budget: int) -> RunRecord | None:
        return recorded(self.folder, budget)

    @property
    def is_done(self) -> bool:
        return is_done(self.folder, self.budgets)

    def evaluations(self) -> list[float]:
        """Validation losses so far, in the order of tokens."""
        losses: dict[int, float] = {}
        for segment in (None, *self.budgets):
            with contextlib.suppress(FileNotFoundError):
                for row in read_curve(curve_path(self.folder, segment)):
                    if row.validation_loss_nats is not None:
                        losses[row.tokens] = row.validation_loss_nats
        return [losses[tokens] for tokens in sorted(losses)]


def train_all(
    runs: Sequence[Run],
    runner: Runner,
    *,
    should_stop: Callable[[], bool],
    on_change: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, str]:
    """Until every run has its records, or `should_stop`. Returns failures: folder's name and reason."""
    waiting = list({run.folder: run for run in runs if not run.is_done}.values())
    total, failed = len(waiting), dict[str, str]()
    running: dict[Path, Run] = {}
    stopped = False
    while running or (waiting and not should_stop()):
        while waiting and runner.has_room and not should_stop():
            run = waiting.pop(0)
            running[run.folder] = run
            runner.start(run.folder)
        if should_stop() and not stopped:
            stopped = True
            for folder in running:
                runner.stop(folder)
        for folder, reason in runner.ended(timeout=0.5):
            run = running.pop(folder)
            if not run.is_done and not should_stop():
                failed[folder.name] = reason or "it ended without a record"
            on_change(total - len(waiting) - len(running), total)
    return failed
