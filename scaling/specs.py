"""What shall be trained: a trajectory with its budgets, and the plan that holds them. Numbers only, no torch."""

import hashlib
import json
import math
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from scaling.model.config import ADDED_LATER, ModelConfig
from scaling.model.counting import count_training_flops
from scaling.values import ValueMismatch, read_json, require_name, shown, to_plain

ScheduleKind = Literal["wsd", "cosine", "linear"]
OptimizerKind = Literal["adamw", "muon"]
SPEC_VERSION = 1


@dataclass(frozen=True)
class Optimizer:
    """Numbers already worked out for one model. Learning rates are peaks.

    adamw   Loshchilov & Hutter 2019, arXiv 1711.05101
    muon    for the hidden matrices, momentum that is made orthogonal (Jordan et al. 2024); AdamW for the rest

    Decoupled weight decay touches the hidden matrices alone. `momentum` is Muon's. `z_loss` weighs the squared log of
    the softmax' partition function (Chowdhery et al. 2022, arXiv 2204.02311).
    """

    batch_tokens: int
    matrix_lr: float
    embedding_lr: float
    vector_lr: float
    beta1: float
    beta2: float
    epsilon: float
    weight_decay: float
    grad_clip: float
    kind: OptimizerKind = field(default="adamw", metadata=ADDED_LATER)
    momentum: float = field(default=0.95, metadata=ADDED_LATER)
    z_loss: float = field(default=0.0, metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        if self.batch_tokens < 1:
            raise ValueError(f"optimizer.batch_tokens is {self.batch_tokens}; it must be at least 1")


@dataclass(frozen=True)
class Schedule:
    """Linear warmup, then one of
    wsd     constant, and linear to zero over the last `cooldown_share` of each budget's steps: one trunk serves
            every budget (Hägele et al. 2024, arXiv 2405.18392);
    cosine  half a cosine to `final_lr_share` of the peak (Hoffmann et al. 2022, arXiv 2203.15556);
    linear  straight to zero (Bergsma et al. 2025, arXiv 2502.15938).
    """

    kind: ScheduleKind
    warmup_steps: int
    cooldown_share: float = 0.2
    final_lr_share: float = 0.0

    def __post_init__(self) -> None:
        if self.warmup_steps < 0 or not (0 <= self.cooldown_share <= 1 and 0 <= self.final_lr_share <= 1):
            raise ValueError(
                f"schedule has warmup_steps {self.warmup_steps}, cooldown_share {self.cooldown_share} and "
                f"final_lr_share {self.final_lr_share}; give a number of steps and two shares"
            )


@dataclass(frozen=True)
class DivergenceRule:
    """When a run is given up: its loss is above its lowest running mean by `margin_nats` for `steps` steps in a row.

    The running mean is exponential with a time constant of `steps` / 4. A non-finite loss ends a run at once, whatever
    the rule. It decides which points exist, so it belongs to the spec; `steps` 0 switches it off.
    """

    margin_nats: float = 1.0
    steps: int = 200

    def __post_init__(self) -> None:
        if not self.margin_nats > 0:
            raise ValueError(f"divergence.margin_nats is {self.margin_nats}; it must be positive")
        if self.steps < 0:
            raise ValueError(f"divergence.steps is {self.steps}; it must be at least 1, or 0 for no such rule")


@dataclass(frozen=True)
class Evaluations:
    """Evaluations on the way, every `every_steps` steps from the run's first, and when they end it early.

    A trunk stops where `patience` evaluations in a row were not more than `min_delta_nats` (nats/token) below the last
    one that was; a branch whose beginning it has reached is cooled to its end, since a loss between two learning rates
    compares with none. So what stops, and where, follows from the trunk's path, whatever other budgets there are.
    None for `every_steps`: only where a branch ends, and where it begins if its text has been seen before. None for
    `patience`: nothing stops early.

    An evaluation takes the first `most_tokens` of a validation text, whose documents lie in the order of a hash, and so
    a random sample of them (None: all). A loss has its standard error, and text beyond some millions buys little.
    """

    every_steps: int | None = None
    patience: int | None = None
    min_delta_nats: float = 0.0
    most_tokens: int | None = field(default=4_000_000, metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        for name in ("every_steps", "patience", "most_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"evaluations.{name} is {value}; it must be at least 1, or null")
        if self.patience is not None and self.every_steps is None:
            raise ValueError(
                f"early_stop_patience is {self.patience} and nothing is evaluated on the way: give "
                "recipe.evaluate_every_tokens as well"
            )

    def due(self, step: int) -> bool:
        return self.every_steps is not None and step % self.every_steps == 0

    def exhausted(self, stale: int) -> bool:
        return self.patience is not None and stale >= self.patience


@dataclass(frozen=True)
class RunSpec:
    """One training trajectory: everything that decides its numbers, and the budgets at which it yields a point.

    `budgets` are tokens, each a whole number of batches, ascending. The id hashes all but the budgets, so that a
    larger budget added later continues the same trunk; under a schedule that depends on its horizon there is one
    budget and it belongs to the id. `corpus` is the corpus' fingerprint; `unique_tokens` restricts training to a
    prefix of it.
    """

    size: str
    model: ModelConfig
    optimizer: Optimizer
    schedule: Schedule
    corpus: str
    unique_tokens: int | None
    init_seed: int
    data_seed: int
    budgets: tuple[int, ...]
    divergence: DivergenceRule = field(default=DivergenceRule(), metadata=ADDED_LATER)
    evaluations: Evaluations = field(default=Evaluations(), metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        require_name("size", self.size)
        batch = self.optimizer.batch_tokens
        if not self.budgets or list(self.budgets) != sorted(set(self.budgets)):
            raise ValueError(f"budgets are {self.budgets}; they must be distinct, ascending and at least one")
        for budget in self.budgets:
            if budget % batch:
                raise ValueError(f"a budget of {budget} tokens is no whole number of batches of {batch} tokens")
            if budget // batch <= self.schedule.warmup_steps:
                raise ValueError(
                    f"a budget of {budget} tokens is {budget // batch} steps of {batch} tokens, not more than the "
                    f"warmup of {self.schedule.warmup_steps} steps: raise the budget or shorten the warmup"
                )
        if self.schedule.kind != "wsd" and len(self.budgets) > 1:
            raise ValueError(
                f"a {self.schedule.kind} schedule belongs to one budget and there are {len(self.budgets)}: "
                "make one run for each, or use wsd"
            )

    @property
    def branching(self) -> bool:
        return self.schedule.kind == "wsd"

    @cached_property
    def id(self) -> str:
        """A readable prefix and a hash of all that decides the trained numbers."""
        plain = _identity(self)
        if self.branching:
            del plain["budgets"]
        text = json.dumps([SPEC_VERSION, plain], sort_keys=True, allow_nan=False)
        return f"{self.size}-{self.schedule.kind}-s{self.init_seed}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    def steps(self, budget: int) -> int:
        return budget // self.optimizer.batch_tokens

    def cooldown_start(self, budget: int) -> int:
        """The step at which a budget's branch leaves the trunk; without branches, its end."""
        steps = self.steps(budget)
        if not self.branching:
            return steps
        return min(steps, max(self.schedule.warmup_steps, steps - math.ceil(self.schedule.cooldown_share * steps)))

    @property
    def total_steps(self) -> int:
        """Steps that are really computed: the trunk up to its last branch, and every branch."""
        trunk = max(self.cooldown_start(budget) for budget in self.budgets)
        return trunk + sum(self.steps(budget) - self.cooldown_start(budget) for budget in self.budgets)


def _identity(value: Any) -> Any:
    """What the id hashes: a spec's plain form, less the later fields that stand at their defaults."""
    if not is_dataclass(value):
        return to_plain(value)
    kind: Any = type(value)
    return {
        name: _identity(getattr(value, name))
        for name, later, default in _hashed_fields(kind)
        if not (later and getattr(value, name) == default)
    }


@cache
def _hashed_fields(kind: Any) -> tuple[tuple[str, bool, Any], ...]:
    """Each field's name, whether it came later, and its default then."""
    return tuple((f.name, "added_later" in f.metadata, f.default) for f in fields(kind))


@dataclass(frozen=True)
class PlannedPoint:
    """One loss to be measured. `nominal_*` is what was asked before rounding to whole batches; `flops` is counted.

    `wave` orders the work: held-out points are of wave 2, after the forecasts of wave 1 are in the store.
    """

    index: int
    run_id: str
    size: str
    init_seed: int
    tokens: int
    steps: int
    params: int
    non_embedding_params: int
    flops: int
    epochs: float | None
    nominal_tokens: float
    nominal_flops: float | None
    held_out: bool
    replicate: bool
    estimated_seconds: float | None
    unique_tokens: int | None = None

    def __post_init__(self) -> None:
        for name in ("tokens", "steps", "params", "flops", "nominal_tokens"):
            if not getattr(self, name) > 0:
                raise ValueError(f"the {name} of a point is {shown(getattr(self, name))}; it must be positive")

    @property
    def wave(self) -> int:
        return 2 if self.held_out else 1


@dataclass(frozen=True)
class Plan:
    """Trajectories and their points. `points` are ordered by trajectory, then by tokens."""

    study: str
    runs: tuple[RunSpec, ...]
    points: tuple[PlannedPoint, ...]

    def __repr__(self) -> str:
        return f"<Plan of {self.study}: {len(self.points)} points on {len(self.runs)} trajectories>"

    @cached_property
    def by_id(self) -> dict[str, RunSpec]:
        return {run.id: run for run in self.runs}

    @cached_property
    def by_cell(self) -> dict[tuple[str, int], PlannedPoint]:
        """Points by run and tokens."""
        return {(point.run_id, point.tokens): point for point in self.points}

    @cached_property
    def of_run(self) -> dict[str, list[PlannedPoint]]:
        """Points by run."""
        found: dict[str, list[PlannedPoint]] = {}
        for point in self.points:
            found.setdefault(point.run_id, []).append(point)
        return found

    @property
    def total_flops(self) -> int:
        """FLOPs that are really computed, with trunks shared."""
        return sum(
            run.total_steps * run.optimizer.batch_tokens * count_training_flops(run.model).total for run in self.runs
        )

    @property
    def num_held_out(self) -> int:
        return sum(point.held_out for point in self.points)


def read_plan(path: Path) -> Plan:
    """A study's plan from its file. Raises ValueMismatch, also where a point is of no run, and FileNotFoundError."""
    plan = read_json(Plan, path)
    budgets = {run_id: run.budgets for run_id, run in plan.by_id.items()}
    for point in plan.points:
        if point.tokens not in budgets.get(point.run_id, ()):
            raise ValueMismatch(
                f"{path} has a point of {shown(point.run_id)} at {point.tokens} tokens, and no such run"
            )
    return plan
