"""A plan held against its question before anything is spent."""

from dataclasses import dataclass

import numpy as np

from scaling.laws.design import Belief, Noise
from scaling.laws.forms import CHINCHILLA
from scaling.laws.observations import IntArray, Points, points
from scaling.laws.power import Power, expected_power
from scaling.laws.quantities import NAMES
from scaling.laws.repeated import MIN_LEVELS, REPEATED
from scaling.shapes import ASPECT
from scaling.specs import Plan, PlannedPoint

TARGET_OVER_LARGEST = 10.0


@dataclass(frozen=True)
class PriorLaw:
    """L = E + A/N^alpha + B/D^beta, N in all parameters, D in tokens, in nats per token."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float


@dataclass(frozen=True)
class PowerConfig:
    """What is believed before the study, and the question that its plan is held against.

    quantity     what the study is to answer: ln N_opt, ln L_opt (the loss there), alpha or beta; ln aspect, the best
                 d_model / num_layers of shapes of one N; null asks for nothing
    target       training FLOPs of the question; null: 10 times the plan's largest point
    prior        folder of an earlier study, such as runs/default: its fitted law and measured noise replace the rest
    law          otherwise this law
    relative_sd  and this standard deviation of the log loss over seeds
    shared       and this correlation between the losses of one trajectory
    source       where these numbers come from, in words
    """

    quantity: str | None
    target: float | None
    prior: str | None
    law: PriorLaw
    relative_sd: float
    shared: float
    source: str

    def __post_init__(self) -> None:
        known = (*NAMES, ASPECT)
        if self.quantity is not None and self.quantity not in known:
            raise ValueError(f"power.quantity is {self.quantity!r}; it must be one of {', '.join(known)}, or null")
        Noise(self.relative_sd, self.shared)

    @property
    def belief(self) -> Belief:
        """By the numbers given here."""
        theta = np.array([getattr(self.law, name) for name in CHINCHILLA.parameter_names])
        return Belief(CHINCHILLA, theta, Noise(self.relative_sd, self.shared), self.source)


def plan_power(plan: Plan, belief: Belief, target: float | None = None, *, level: float = 0.95) -> Power | None:
    """What the points that the plain laws will be fitted to will say; None where every point is held out."""
    fitted = points_for_the_laws(plan)
    if not fitted:
        return None
    trajectories = numbered([point.run_id for point in fitted])
    return expected_power(as_points(fitted), trajectories, belief, target or default_target(plan), level=level)


def points_for_the_laws(plan: Plan) -> list[PlannedPoint]:
    """The points that are not held out, without those that repeat their text where the others carry the laws alone: as
    the analysis will take them (`analysis.study.split_records`)."""
    apart = set(repeated_apart(plan))
    return [point for point in plan.points if not point.held_out and point not in apart]


def repeated_apart(plan: Plan) -> list[PlannedPoint]:
    """The points, held out or not, that go to the law of repeated data: none where the others do not carry the plain
    laws."""
    fresh = [point for point in plan.points if not point.held_out and (point.epochs or 0.0) <= REPEATED]
    carries = min(len({p.params for p in fresh}), len({p.tokens for p in fresh})) >= MIN_LEVELS
    return [point for point in plan.points if carries and (point.epochs or 0.0) > REPEATED]


def default_target(plan: Plan) -> float:
    return TARGET_OVER_LARGEST * max(point.flops for point in plan.points)


def as_points(planned: list[PlannedPoint]) -> Points:
    """N (all parameters), D and C of planned points."""
    return points(
        params=[float(point.params) for point in planned],
        tokens=[float(point.tokens) for point in planned],
        flops=[float(point.flops) for point in planned],
    )


def numbered(names: list[str]) -> IntArray:
    """Each name's number, by first appearance."""
    order = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.array([order[name] for name in names], dtype=np.int64)
