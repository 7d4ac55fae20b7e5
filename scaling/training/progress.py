"""What a run has measured so far along its path: the part of a checkpoint that is no tensor."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from scaling.training.divergence import DivergenceWatch
from scaling.training.energy import Lap


@dataclass
class Interval:
    """Sums since the last row of the curve. `skipped` steps have no finite gradient norm to add."""

    loss: float = 0.0
    grad_norm: float = 0.0
    steps: int = 0
    skipped: int = 0
    seconds: float = 0.0
    joules: float | None = 0.0

    @property
    def mean_grad_norm(self) -> float | None:
        updates = self.steps - self.skipped
        return self.grad_norm / updates if updates else None

    @property
    def power_watts(self) -> float | None:
        return None if self.joules is None else self.joules / max(self.seconds, 1e-9)


@dataclass
class Progress:
    """`curve_bytes` is how much of the segment's curve file belongs to this state. `energy_joules` of this process'
    device is None unless all of it was counted. `stale_evaluations` of those that were due brought no progress since
    `reference_loss_nats`."""

    seconds: float = 0.0
    energy_joules: float | None = 0.0
    best_loss_nats: float | None = None
    best_loss_tokens: int | None = None
    skipped_steps: int = 0
    watch: DivergenceWatch = field(default_factory=DivergenceWatch)
    curve_bytes: int = 0
    interval: Interval = field(default_factory=Interval)
    reference_loss_nats: float | None = None
    stale_evaluations: int = 0

    def branch(self) -> "Progress":
        """Where a branch starts from, with a curve of its own."""
        return replace(
            self,
            watch=replace(self.watch),
            curve_bytes=0,
            interval=Interval(),
            reference_loss_nats=None,
            stale_evaluations=0,
        )

    def add(self, losses: Sequence[float], grad_norms: Sequence[float], *, skipped: int, lap: Lap) -> None:
        """Steps that were read together."""
        self.seconds += lap.seconds
        self.energy_joules = _sum(self.energy_joules, lap.joules)
        self.skipped_steps += skipped
        interval = self.interval
        interval.loss += math.fsum(losses)
        interval.grad_norm += math.fsum(norm for norm in grad_norms if math.isfinite(norm))
        interval.steps += len(losses)
        interval.skipped += skipped
        interval.seconds += lap.seconds
        interval.joules = _sum(interval.joules, lap.joules)

    def take_interval(self) -> Interval:
        taken, self.interval = self.interval, Interval()
        return taken


def _sum(total: float | None, part: float | None) -> float | None:
    return None if total is None or part is None else total + part
