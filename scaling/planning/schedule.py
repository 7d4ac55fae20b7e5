"""Who runs what when: the pool's own rule, the longest run first on whichever worker is free, by the time model."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from scaling.terminal import PlainConsole

MOST_ROWS = 40


@dataclass(frozen=True)
class Turn:
    """One run on one worker, in seconds from the start of its wave."""

    name: str
    worker: int
    start: float
    end: float


def schedule(runs: Sequence[tuple[str, float]], workers: int) -> list[Turn]:
    """Turns of (name, seconds) in the order in which they start."""
    free = [(0.0, worker) for worker in range(workers)]
    turns = []
    for name, seconds in sorted(runs, key=lambda run: -run[1]):
        start, worker = free[0]
        heapq.heapreplace(free, (start + seconds, worker))
        turns.append(Turn(name, worker, start, start + seconds))
    return turns


def print_schedule(title: str, turns: Sequence[Turn], console: PlainConsole) -> None:
    """The first rows of a long one; the predicted finish of all."""
    finish = max((turn.end for turn in turns), default=0.0)
    table = Table(title=f"{title}: done after {finish:.0f} s", title_justify="left")
    for column in ("run", "worker", "starts at s", "ends at s"):
        table.add_column(column, justify="left" if column == "run" else "right")
    for turn in turns[:MOST_ROWS]:
        table.add_row(turn.name, str(turn.worker), f"{turn.start:.0f}", f"{turn.end:.0f}")
    console.print(table)
    if len(turns) > MOST_ROWS:
        console.print(f"and {len(turns) - MOST_ROWS} shorter ones")
