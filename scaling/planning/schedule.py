"""Who does what when: the pool's own rule, simulated by the time model. Of the parts that may begin, the one on which
the longest chain hangs goes first, on whichever worker is free; held-out branches wait until all others have ended."""

from collections.abc import Sequence
from dataclasses import dataclass

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
    free = [0.0] * workers
    waiting = sorted(parts, key=lambda part: -part.chain_seconds)
    trunk_starts: dict[str, float] = {}
    open_branches = sum(part.budget is not None and not part.held_back for part in parts)
    gate = 0.0 if open_branches == 0 else float("inf")
    last_end = 0.0
    turns: list[Turn] = []
    while waiting:
        worker = min(range(workers), key=free.__getitem__)
        now = free[worker]
        ready = [(_ready_at(part, trunk_starts, gate), order) for order, part in enumerate(waiting)]
        chosen = next((order for at, order in ready if at <= now), None)
        if chosen is None:
            # Nothing may begin yet: this worker idles until the first that may, or until another worker is done.
            later = [at for at, _ in ready if at < float("inf")] + [end for end in free if end > now]
            free[worker] = min(at for at in later if at > now)
            continue
        part = waiting.pop(chosen)
        end = now + part.seconds
        free[worker] = end
        turns.append(Turn(part.name, worker, now, end, part.held_back))
        if part.budget is None:
            trunk_starts[part.run_id] = now
        elif not part.held_back:
            open_branches, last_end = open_branches - 1, max(last_end, end)
            if open_branches == 0:
                gate = last_end + between_seconds
    return turns


def _ready_at(part: Part, trunk_starts: dict[str, float], gate: float) -> float:
    at = gate if part.held_back else 0.0
    if part.after_seconds is None:
        return at
    return max(at, trunk_starts.get(part.run_id, float("inf")) + part.after_seconds)


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
