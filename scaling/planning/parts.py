"""What a plan is worked off in: the trunk of each run, and a branch for each budget, which waits for its trunk.

A branch that is held out waits for the forecasts as well; its trunk does not.
"""

from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass

from scaling.planning.cost import Cost
from scaling.specs import Plan, RunSpec


@dataclass(frozen=True)
class Part:
    """`budget` None is the trunk. It takes `seconds`; `chain_seconds` are those until the last of what hangs on it can
    have ended. A branch may begin `after_seconds` of its run's trunk, if that is a part still to be done."""

    run_id: str
    budget: int | None
    seconds: float
    chain_seconds: float
    after_seconds: float | None = None
    held_back: bool = False

    @property
    def name(self) -> str:
        return self.run_id if self.budget is None else f"{self.run_id} at {self.budget:,} tokens"


def parts_of(
    plan: Plan,
    cost: Cost,
    budgets: Mapping[str, Collection[int]],
    held_back: Set[tuple[str, int]] = frozenset(),
    left: Mapping[str, Collection[int]] | None = None,
) -> list[Part]:
    """Of the runs in `budgets`, what leads to these: the longest chain first.

    `left` are budgets whose branches' beginnings the trunks have reached before (their states are on disk).
    """
    parts: list[Part] = []
    for run_id, wanted in budgets.items():
        run, reached = plan.by_id[run_id], set((left or {}).get(run_id, ()))
        parts += _of_run(run, cost, sorted(wanted), reached, {b for b in wanted if (run_id, b) in held_back})
    return sorted(parts, key=lambda part: -part.chain_seconds)


def _of_run(run: RunSpec, cost: Cost, wanted: list[int], reached: set[int], held_back: set[int]) -> list[Part]:
    ahead = [budget for budget in wanted if budget not in reached]
    begun = max((run.cooldown_start(budget) for budget in reached), default=0)
    if is_one_task(run, wanted, held_back):
        seconds = cost.run_seconds(run, wanted)
        return [Part(run.id, wanted[0], seconds, seconds, held_back=bool(held_back))]
    parts, chain = [], 0.0
    for budget in wanted:
        seconds = cost.branch_seconds(run, budget)
        after = cost.trunk_seconds(run, begun, run.cooldown_start(budget)) if budget in ahead else None
        chain = max(chain, (after or 0.0) + seconds)
        parts.append(Part(run.id, budget, seconds, seconds, after, budget in held_back))
    if ahead:
        seconds = cost.trunk_seconds(run, begun, run.cooldown_start(ahead[-1]))
        parts.append(Part(run.id, None, seconds, chain))
    return parts


def is_one_task(run: RunSpec, wanted: Collection[int], held_back: Collection[int]) -> bool:
    """Whether nothing is gained by parts: the schedule has no branches, or the only one waits for nobody."""
    return not run.branching or (len(wanted) == 1 and not held_back)
