"""Which sizes of a plan are shapes of about one N (as many parameters at another d_model / num_layers, the aspect
ratio), and what a study found of them. Nothing here is fitted."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from scaling.laws.observations import IntArray
from scaling.laws.shapes import Estimate, Shaped, Valley
from scaling.model.config import ModelConfig
from scaling.model.counting import ParameterCount, count_parameters
from scaling.specs import Plan, PlannedPoint

ASPECT = "ln aspect"  # what such a study may be asked for: the log of the best ratio
COUNTS: dict[str, Callable[[ParameterCount], int]] = {
    "parameters": lambda count: count.total,
    "parameters without embeddings": lambda count: count.non_embedding,
}
NEXT_SIZE = 1.2  # an N so many times the next smaller one begins another group
MIN_SHAPES, APART = 3, 1.05  # ratios of one group, at least so many times each other
MIN_SPREAD = 2.0  # between the smallest ratio of a group and its largest
MORE_THAN_N = 3.0  # times the log of its spread in N is that of a group's ratios: a ladder's grow slower than N
MIN_LEVELS = 3  # of N, below which no law in N is fitted


@dataclass(frozen=True)
class ShapeGroup:
    """The shapes of one N, by size: d_model / num_layers, and N in what is `counted`."""

    aspects: Mapping[str, float]
    params: Mapping[str, int]
    counted: str

    @property
    def typical_params(self) -> float:
        return math.exp(math.fsum(map(math.log, self.params.values())) / len(self.params))

    @property
    def spread(self) -> float:
        """By what share the largest N exceeds the smallest."""
        return max(self.params.values()) / min(self.params.values()) - 1


def size_models(plan: Plan) -> dict[str, ModelConfig]:
    return {run.size: run.model for run in plan.runs}


def shape_groups(plan: Plan) -> tuple[ShapeGroup, ...]:
    """By increasing N; empty where no sizes are shapes of one N. N is counted with embeddings or without, whichever
    the shapes have more nearly in common: small models can share only one of the two."""
    models = size_models(plan)
    ways = [tuple(_groups(models, counted)) for counted in COUNTS]
    return max(ways, key=lambda groups: (sum(len(g.params) for g in groups), -sum(g.spread for g in groups)))


def _groups(models: Mapping[str, ModelConfig], counted: str) -> Iterator[ShapeGroup]:
    params = {size: COUNTS[counted](count_parameters(model)) for size, model in models.items()}
    order = sorted(params, key=lambda size: params[size])
    begins = [i for i in range(len(order)) if not i or params[order[i]] > NEXT_SIZE * params[order[i - 1]]]
    for begin, end in pairwise([*begins, len(order)]):
        own = order[begin:end]
        group = ShapeGroup(
            {size: models[size].d_model / models[size].num_layers for size in own},
            {size: params[size] for size in own},
            counted,
        )
        ratios = sorted(group.aspects.values())
        distinct = 1 + sum(larger > APART * smaller for smaller, larger in pairwise(ratios))
        spread = ratios[-1] / ratios[0]
        if distinct >= MIN_SHAPES and spread >= max(MIN_SPREAD, (1 + group.spread) ** MORE_THAN_N):
            yield group


def holds_size(plan: Plan) -> tuple[ShapeGroup, ...]:
    """The groups of a plan that varies the shape instead of N, so that it can carry no law in N; else empty."""
    groups = shape_groups(plan)
    grouped = {size for group in groups for size in group.params}
    others = {count_parameters(model).total for size, model in size_models(plan).items() if size not in grouped}
    return groups if groups and len(groups) + len(others) < MIN_LEVELS else ()


def shaped(points: Sequence[PlannedPoint], groups: Sequence[ShapeGroup]) -> tuple[Shaped, list[tuple[int, float]]]:
    """The design of points whose sizes are all in a group, and each cell: the number of its group, and its budget."""
    group_of = {size: number for number, group in enumerate(groups) for size in group.params}
    aspects = {size: aspect for group in groups for size, aspect in group.aspects.items()}
    levels = budget_levels(points)
    cells = [(group_of[point.size], point.unique_tokens, level) for point, level in zip(points, levels, strict=True)]
    known = sorted(set(cells), key=lambda cell: (cell[0], cell[2], cell[1] or 0))
    sizes, runs = (sorted({getattr(point, name) for point in points}) for name in ("size", "run_id"))

    def numbered(values: Sequence[object], order: Sequence[object]) -> IntArray:
        place = {value: i for i, value in enumerate(order)}
        return np.array([place[value] for value in values], dtype=np.int64)

    design = Shaped(
        x=np.log([aspects[point.size] for point in points]),
        size=numbered([point.size for point in points], sizes),
        cell=numbered(cells, known),
        run=numbered([point.run_id for point in points], runs),
    )
    return design, [(group, level) for group, _, level in known]


def budget_levels(points: Sequence[PlannedPoint]) -> list[float]:
    """What the points of one budget have in common: their FLOPs, their tokens, or their tokens per parameter."""
    if all(point.nominal_flops is not None for point in points):
        return [float(point.nominal_flops or 0.0) for point in points]
    tokens = [float(f"{point.nominal_tokens:.6g}") for point in points]
    ratios = [float(f"{point.nominal_tokens / point.params:.6g}") for point in points]
    return tokens if len(set(tokens)) <= len(set(ratios)) else ratios


@dataclass(frozen=True)
class ShapeLoss:
    """Of one shape at one budget: the geometric mean over `num_runs` runs, in nats/token, and by what share it lies
    above that of the best ratio, None where there is no curve. `cell` numbers `Shapes.cells`."""

    cell: int
    num_runs: int
    loss: Estimate
    above: Estimate | None


@dataclass(frozen=True)
class Shape:
    """One size. `loss_cost` is by what share its loss lies above that of the best ratio, by the curve, and
    `compute_cost` what share of compute that is worth; None where there is no curve."""

    size: str
    num_layers: int
    d_model: int
    num_heads: int
    aspect: float
    params: int
    flops_per_token: int
    losses: tuple[ShapeLoss, ...]
    loss_cost: Estimate | None
    compute_cost: Estimate | None


@dataclass(frozen=True)
class ShapeCell:
    """What is compared: about one N, one budget. `tokens` are typical, `best` the ratio by its own losses alone; None
    where these are too few, or have no valley."""

    params: float
    tokens: float
    num_losses: int
    best: Estimate | None


@dataclass(frozen=True)
class OddRun:
    """Left out, since the noise of the others does not explain it. `above`: the share by which its losses lie above
    their curve."""

    run_id: str
    above: float


@dataclass(frozen=True)
class Shapes:
    """What a study says of depth against width.

    asked       the study is about this: it holds N fixed, or its `power.quantity` says so
    reason      why nothing can be said, None where something can
    level       probability of the intervals
    groups      the shapes of each N, by increasing N
    taken_out   by what differences in N within a group were taken out
    moved       the largest share of a loss that this changed
    odd         runs that were left out
    best_with_odd  the best ratio with these; None where there are none, or where nothing can be said
    valley      the curve that all cells share; None for a reason
    best        d_model / num_layers, an end None where it lies beyond what was measured
    band        ratios that cost less than `share` of the compute, likewise; None without a best
    slopes      of each group, - d ln L / d ln D
    slope_from  what these come from
    noise_from  what the intervals of the losses come from
    """

    asked: bool
    reason: str | None
    level: float
    groups: tuple[ShapeGroup, ...]
    taken_out: str
    moved: float
    odd: tuple[OddRun, ...]
    best_with_odd: Estimate | None
    valley: Valley | None
    best: Estimate | None
    share: float
    band: tuple[float | None, float | None] | None
    slopes: tuple[Estimate, ...]
    slope_from: str
    noise_from: str
    shapes: tuple[Shape, ...]
    cells: tuple[ShapeCell, ...]

    @property
    def answers(self) -> bool:
        """Whether this is what the study was asked for, and it says something."""
        return self.asked and self.reason is None
