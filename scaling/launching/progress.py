"""What a sweep's console shows: a line for each worker while it runs, a line for each point that is finished.

Without a terminal the workers share one plain line, printed now and then.
"""

import time
from collections.abc import Sequence
from typing import Self

from rich.console import Group
from rich.live import Live
from rich.text import Text

from scaling.launching.pool import PoolState, RunningTask
from scaling.launching.tasks import Outcome, Task, new_records
from scaling.records import RunRecord
from scaling.terminal import PlainConsole, visible

SECONDS_BETWEEN_PLAIN_LINES = 30.0
SECONDS_BETWEEN_LOOKS_AT_RECORDS = 1.0
BAR_WIDTH = 24


class Progress:
    """`show` takes each state of the pool, `tell` each outcome."""

    def __init__(self, title: str, tasks: Sequence[Task], workers: int, console: PlainConsole) -> None:
        self._title, self._console, self._workers = title, console, max(1, workers)
        self._total_seconds = sum(task.seconds for task in tasks)
        self._started, self._printed, self._looked = time.monotonic(), 0.0, 0.0
        self._known: set[tuple[str, int]] = set()
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None

    def show(self, state: PoolState) -> None:
        if time.monotonic() - self._looked >= SECONDS_BETWEEN_LOOKS_AT_RECORDS:
            self._looked = time.monotonic()
            for running in state.running:
                self._tell_new_records(running.task)
        if self._live is not None:
            self._live.update(
                Group(*(Text(visible(line), no_wrap=True, overflow="ellipsis") for line in self._lines(state)))
            )
        elif time.monotonic() - self._printed >= SECONDS_BETWEEN_PLAIN_LINES:
            self._printed = time.monotonic()
            shares = ", ".join(f"{_short(r.task)} {_share(r):.0%}" for r in state.running)
            self._print(f"{self._heading(state)} | {shares}" if shares else self._heading(state))

    def tell(self, task: Task, ended: Outcome) -> None:
        self._tell_new_records(task)
        if ended.kind not in ("done", "diverged"):
            self._print(f"{task.name}: {ended.reason}")

    def _tell_new_records(self, task: Task) -> None:
        for record in new_records(task, self._known):
            self._print(f"{record.run_id} at {record.budget_tokens:,} tokens: {_in_words(record)}")

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)

    def _lines(self, state: PoolState) -> list[str]:
        lines = [self._heading(state)]
        for running in state.running:
            share, status = _share(running), running.status
            bar = "█" * round(share * BAR_WIDTH)
            steps = "starting" if status is None else f"step {status.step:,} of {status.total_steps:,}"
            steps = "evaluating" if share >= 1.0 else steps
            speed = "" if status is None else f"{status.tokens_per_second:,.0f} tokens/s"
            lines.append(f"  {running.slot.name:<6} {_short(running.task):<24} {bar:·<{BAR_WIDTH}} {steps} {speed}")
        return lines

    def _heading(self, state: PoolState) -> str:
        parts = [f"{len(state.result.done)} done", f"{len(state.running)} running", f"{len(state.waiting)} left"]
        if state.elsewhere:
            parts.append(f"{len(state.elsewhere)} at work in other processes")
        if state.result.failed:
            parts.append(f"{len(state.result.failed)} failed")
        speed = sum(r.status.tokens_per_second for r in state.running if r.status is not None)
        return f"{self._title}: {', '.join(parts)} | {speed:,.0f} tokens/s | ETA {self._eta(state)}"

    def _eta(self, state: PoolState) -> str:
        """From the time model, scaled by how fast this machine has been so far."""
        left = sum(task.seconds for task in state.waiting)
        left += sum(r.task.seconds * (1.0 - _share(r)) for r in state.running)
        elapsed = time.monotonic() - self._started
        done = self._total_seconds - left
        pace = elapsed * self._workers / done if done > 0.02 * self._total_seconds and elapsed > 5 else 1.0
        seconds = round(left * pace / self._workers)
        if not seconds and state.running:
            return "when the last losses are evaluated"
        return f"{seconds // 60}:{seconds % 60:02d}"

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.__exit__(None, None, None)


def _share(running: RunningTask) -> float:
    status = running.status
    return 0.0 if status is None else status.step / max(1, status.total_steps)


def _short(task: Task) -> str:
    run = task.run_folder.name.rsplit("-", 1)[0]
    return f"{run} at {task.budgets[0] / 1e6:.3g}M" if task.part == "branch" else run


def _in_words(record: RunRecord) -> str:
    if record.final_loss_nats is None:
        return f"{record.status}: {record.reason}"
    return f"{record.final_loss_nats:.4f} nats/token in {record.seconds:.0f} s"
