"""What a run costs in time, whole or in parts: a linear model, or what was measured of its shape."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from scaling.model.counting import TRAINING_OVER_FORWARD, count_training_flops
from scaling.planning.config import TimeModel
from scaling.specs import RunSpec
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
        moved = run.optimizer.batch_tokens * run.model.num_layers * run.model.d_model * model.seconds_per_width_token
        return overhead + moved + flops / model.flops_per_second

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

    def trunk_seconds(self, run: RunSpec, start: int, end: int) -> float:
        """A task that trains a trunk from one step to another, with the evaluations of text that it has seen before."""
        return self.time_model.seconds_per_run + self.seconds(run, max(0, end - start))

    def branch_seconds(self, run: RunSpec, budget: int) -> float:
        """A task that trains one branch and evaluates its end, and its start where that has seen its text before."""
        steps = run.steps(budget) - run.cooldown_start(budget)
        seen = run.unique_tokens is not None and run.cooldown_start(budget) * run.optimizer.batch_tokens > (
            run.unique_tokens
        )
        return self.time_model.seconds_per_branch + self.seconds(run, steps) + (1 + seen) * self.evaluation_seconds(run)

    def evaluation_seconds(self, run: RunSpec) -> float:
        """Of one evaluation, which is forward passes alone."""
        measured = self.calibration.by_shape.get(shape_of(run))
        if measured is not None:
            return self.validation_tokens * measured.seconds_per_validation_token
        forward_flops = count_training_flops(run.model).total / TRAINING_OVER_FORWARD
        return self.validation_tokens * forward_flops / self.time_model.flops_per_second
