"""The progress line of a sweep: done, running, left, tokens/s, ETA. Plain lines where there is no terminal."""

import time
from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from scaling.launching.pool import PoolState, Task

SECONDS_BETWEEN_PLAIN_LINES = 30.0


class ProgressLine:
    """`show` takes each state of the pool; on a terminal one line is redrawn, elsewhere one is printed now and then."""

    def __init__(self, title: str, tasks: Sequence[Task], workers: int, console: Console) -> None:
        self._title, self._console, self._workers = title, console, workers
        self._estimates = {task.folder.name: task.seconds for task in tasks}
        self._started, self._printed = time.monotonic(), 0.0
        self._last_counts: tuple[int, int] = (-1, -1)
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None

    def show(self, state: PoolState) -> None:
        line = self._line(state)
        if self._live is not None:
            self._live.update(Text(line, no_wrap=True, overflow="ellipsis"))
            return
        counts = (state.finished, state.failed)
        if counts != self._last_counts or time.monotonic() - self._printed > SECONDS_BETWEEN_PLAIN_LINES:
            self._console.print(line, highlight=False, soft_wrap=True)
            self._last_counts, self._printed = counts, time.monotonic()

    def _line(self, state: PoolState) -> str:
        speed = sum(status.tokens_per_second for status in state.running.values() if status is not None)
        parts = []
        for run_id, status in state.running.items():
            share = 0.0 if status is None else status.step / max(1, status.total_steps)
            parts.append(f"{run_id.rsplit('-', 1)[0]} {share:.0%}")
        return (
            f"{self._title}: {state.finished} done, {len(state.running)} running, {state.waiting} left"
            + (f", {state.failed} failed" if state.failed else "")
            + f" | {speed:,.0f} tokens/s | ETA {self._eta(state)} | {', '.join(parts)}"
        )

    def _eta(self, state: PoolState) -> str:
        """From the time model, scaled by how fast this machine has been so far."""
        total = sum(self._estimates.values())
        running = sum(
            self._estimates[run_id] * (1.0 - (0.0 if status is None else status.step / max(1, status.total_steps)))
            for run_id, status in state.running.items()
        )
        waiting = sum(seconds for seconds in sorted(self._estimates.values())[: state.waiting])
        left = running + waiting
        elapsed = time.monotonic() - self._started
        done = total - left
        pace = elapsed * self._workers / done if done > 0.02 * total and elapsed > 5 else 1.0
        seconds = round(left * pace / self._workers)
        return f"{seconds // 60}:{seconds % 60:02d}"

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.__exit__(None, None, None)
