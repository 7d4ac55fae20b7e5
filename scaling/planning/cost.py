"""What a plan costs in time: a linear model for each run, and the schedule that the pool will follow."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from scaling.model.counting import TRAINING_OVER_FORWARD, count_training_flops
from scaling.planning.config import TimeModel
from scaling.specs import Plan, RunSpec
from scaling.speeds import Calibration, shape_of


@dataclass(frozen=True)
class Cost:
    """Seconds by what was measured of a shape, else by a machine's time model; without `validation_tokens` evaluations
    are left out."""

    time_model: TimeModel
    validation_tokens: int = 0
    calibration: Calibration = field(default_factory=lambda: Calibration({}))

    def is_measured(self, run: RunSpec) -> bool:
        return shape_of(run) in self.calibration.by_shape

    def seconds_per_step(self, run: RunSpec) -> float:
        measured = self.calibration.by_shape.get(shape_of(run))
        if measured is not None:
            return measured.seconds_per_step
        model = self.time_model
        flops = run.optimizer.batch_tokens * count_training_flops(run.model).total
        overhead = model.seconds_per_step + run.model.num_layers * model.seconds_per_layer_step
        return overhead + flops / model.flops_per_second

    def seconds(self, run: RunSpec, steps: int) -> float:
        """Training time of `steps` steps of a run."""
        return steps * self.seconds_per_step(run)

    def run_seconds(self, run: RunSpec, budgets: Sequence[int], done: Sequence[int] = ()) -> float:
        """One process that makes `budgets`, the trunk being there already up to the branch of the last `done`."""
        if not budgets:
            return 0.0
        trunk_end = max(run.cooldown_start(budget) for budget in budgets)
        trunk_start = max((run.cooldown_start(budget) for budget in done), default=0)
        branches = sum(run.steps(budget) - run.cooldown_start(budget) for budget in budgets)
        training = self.seconds(run, max(0, trunk_end - trunk_start) + branches)
        # Each budget's end is evaluated, and where it leaves the trunk if that has seen its text before.
        starts = [run.cooldown_start(budget) * run.optimizer.batch_tokens for budget in budgets]
        repeated = 0 if run.unique_tokens is None else sum(start > run.unique_tokens for start in starts)
        evaluations = len(budgets) + repeated
        return self.time_model.seconds_per_run + training + evaluations * self.evaluation_seconds(run)

    def evaluation_seconds(self, run: RunSpec) -> float:
        """Of one evaluation, which is forward passes alone."""
        measured = self.calibration.by_shape.get(shape_of(run))
        if measured is not None:
            return self.validation_tokens * measured.seconds_per_validation_token
        forward_flops = count_training_flops(run.model).total / TRAINING_OVER_FORWARD
        return self.validation_tokens * forward_flops / self.time_model.flops_per_second


def wall_seconds(plan: Plan, cost: Cost, workers: int) -> tuple[float, float]:
    """Predicted wall time of the two waves, longest run first on `workers` equal workers."""
    waves = []
    held_out = {(point.run_id, point.tokens) for point in plan.points if point.held_out}
    for wave in (1, 2):
        seconds = []
        for run in plan.runs:
            first = [b for b in run.budgets if (run.id, b) not in held_out]
            second = [b for b in run.budgets if (run.id, b) in held_out]
            seconds.append(cost.run_seconds(run, first) if wave == 1 else cost.run_seconds(run, second, first))
        waves.append(makespan(seconds, workers))
    return waves[0], waves[1]


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Finish of the last worker when each takes the longest job that is left."""
    busy_until = [0.0] * workers
    for job in sorted(seconds, reverse=True):
        heapq.heapreplace(busy_until, busy_until[0] + job)
    return max(busy_until)
