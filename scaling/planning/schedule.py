"""Who does what when: the pool's own rule, simulated by the time model. Of the parts that may begin, the one on which
the longest chain hangs goes first, on whichever worker is free; held-out branches wait until all others have ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from rich.table import Table

from scaling.planning.cost import Cost
from scaling.planning.parts import Part, parts_of
from scaling.specs import Plan
from scaling.terminal import PlainConsole

MOST_ROWS = 40


@dataclass(frozen=True)
class Turn:
    """One part on one worker, in seconds from the start."""

    name: str
    worker: int
    start: float
    end: float
    held_back: bool = False


def schedule(parts: Sequence[Part], workers: int, between_seconds: float = 0.0) -> list[Turn]:
    """Turns in the order in which they start. Held-back branches wait for `between_seconds` after all others."""
    free = [(0.0, worker) for worker in range(workers)]
    queue = _Queue(sorted(parts, key=lambda part: -part.chain_seconds))
    open_branches = sum(part.budget is not None and not part.held_back for part in parts)
    if open_branches == 0:
        queue.open_gate(0.0)
    last_end = 0.0
    turns: list[Turn] = []
    while len(turns) < len(parts):
        now, worker = heappop(free)
        part = queue.take(now)
        if part is None:
            # Nothing may begin yet: this worker idles until the first that may, or until another worker is done.
            later = [queue.next_at, *(end for end, _ in free if end > now)]
            heappush(free, (min(later), worker))
            continue
        end = now + part.seconds
        heappush(free, (end, worker))
        turns.append(Turn(part.name, worker, now, end, part.held_back))
        if part.budget is None:
            queue.begin_trunk(part.run_id, now)
        elif not part.held_back:
            open_branches, last_end = open_branches - 1, max(last_end, end)
            if open_branches == 0:
                queue.open_gate(last_end + between_seconds)
    return turns


class _Queue:
    """Parts by when they may begin, as far as that is known; of those that may, the first in the order given goes."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._may: list[int] = []
        self._will: list[tuple[float, int]] = []
        self._behind_trunk: dict[str, list[int]] = {}
        self._behind_gate: list[tuple[float, int]] = []
        self._gate: float | None = None
        for order, part in enumerate(parts):
            if part.after_seconds is None:
                self._know(0.0, order)
            else:
                self._behind_trunk.setdefault(part.run_id, []).append(order)

    @property
    def next_at(self) -> float:
        return self._will[0][0] if self._will else float("inf")

    def take(self, now: float) -> Part | None:
        while self._will and self._will[0][0] <= now:
            heappush(self._may, heappop(self._will)[1])
        return self._parts[heappop(self._may)] if self._may else None

    def begin_trunk(self, run_id: str, start: float) -> None:
        for order in self._behind_trunk.pop(run_id, ()):
            self._know(start + (self._parts[order].after_seconds or 0.0), order)

    def open_gate(self, at: float) -> None:
        self._gate = at
        for known, order in self._behind_gate:
            self._know(known, order)
        self._behind_gate = []

    def _know(self, at: float, order: int) -> None:
        if not self._parts[order].held_back:
            heappush(self._will, (at, order))
        elif self._gate is None:
            self._behind_gate.append((at, order))
        else:
            heappush(self._will, (max(at, self._gate), order))


def finish(turns: Sequence[Turn]) -> float:
    return max((turn.end for turn in turns), default=0.0)


def plan_parts(plan: Plan, cost: Cost) -> list[Part]:
    """Of a whole plan of which nothing is done."""
    held_back = {(point.run_id, point.tokens) for point in plan.points if point.held_out}
    return parts_of(plan, cost, {run.id: run.budgets for run in plan.runs}, held_back)


def wall_seconds(plan: Plan, cost: Cost, workers: int) -> tuple[float, float]:
    """Predicted until the last loss that the forecasts are made from, and from there to the last of all."""
    turns = schedule(plan_parts(plan, cost), workers)
    first = finish([turn for turn in turns if not turn.held_back and " at " in turn.name])
    return first, finish(turns) - first


def lower_bound(parts: Sequence[Part], workers: int) -> float:
    """No schedule ends before its longest chain, nor before all work is done on workers that never idle."""
    longest = max((part.chain_seconds for part in parts), default=0.0)
    return max(longest, sum(part.seconds for part in parts) / workers)


def print_schedule(title: str, turns: Sequence[Turn], console: PlainConsole) -> None:
    """The first rows of a long one; the predicted finish of all."""
    table = Table(title=f"{title}: done after {finish(turns):.0f} s", title_justify="left")
    for column in ("part", "worker", "starts at s", "ends at s"):
        table.add_column(column, justify="left" if column == "part" else "right")
    for turn in turns[:MOST_ROWS]:
        table.add_row(turn.name, str(turn.worker), f"{turn.start:.0f}", f"{turn.end:.0f}")
    console.print(table)
    if len(turns) > MOST_ROWS:
        console.print(f"and {len(turns) - MOST_ROWS} shorter ones")
