"""What a study says of depth against width at about one N, from its records."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from scaling.analysis.config import FitOptions
from scaling.analysis.observations import usable
from scaling.laws.design import Belief
from scaling.laws.distributions import t_two_sided
from scaling.laws.fit import Fit
from scaling.laws.forms import Law
from scaling.laws.observations import BoolArray, FloatArray, IntArray, points
from scaling.laws.shapes import Estimate, Shaped, TooFewShapes, Valley, fit_valley, odd_runs
from scaling.model.counting import count_training_flops
from scaling.records import RunRecord
from scaling.results import StudyReport
from scaling.shapes import (
    OddRun,
    Shape,
    ShapeCell,
    ShapeGroup,
    ShapeLoss,
    Shapes,
    holds_size,
    shape_groups,
    shaped,
    size_models,
)
from scaling.specs import Plan

SHARE = 0.01  # of the compute, that a band of ratios costs at most
STEP = 1e-3  # in ln D, for the slope of a law
LAW, SIZES, BUDGETS = "the fitted law", "the losses at several N", "the losses at several budgets"
SEEDS, RESIDUALS = "seeds of one shape", "distances from the curve"


@dataclass(frozen=True)
class _Losses:
    """Measured losses of the shapes, [n]: logs of the loss, of D, of N and of the typical N of the group."""

    records: Sequence[RunRecord]
    design: Shaped
    cells: list[tuple[int, float]]
    group: IntArray
    loss: FloatArray
    tokens: FloatArray
    params: FloatArray
    typical_params: FloatArray
    typical_tokens: FloatArray


@dataclass(frozen=True)
class _Slopes:
    """How the loss moves with N and D, and by what: what is taken off each log loss, [n], for being off its cell's N
    and D, and - d ln L / d ln D of each group."""

    off: FloatArray
    off_from: str
    along_tokens: tuple[Estimate, ...]
    along_from: str


@dataclass(frozen=True)
class _Compared:
    """Log losses as if all shapes of a group had its N: `common`, [n]."""

    groups: tuple[ShapeGroup, ...]
    losses: _Losses
    slopes: _Slopes
    common: FloatArray


def with_shapes(
    report: StudyReport, records: Sequence[RunRecord], options: FitOptions, belief: Belief, *, asked: bool
) -> StudyReport:
    """The report with what it says of shapes. `asked`: the study's question names them."""
    found = study_shapes(report.plan, records, report.surface.fit, options, belief, asked=asked)
    return replace(report, shapes=found)


def study_shapes(
    plan: Plan, records: Sequence[RunRecord], law: Fit, options: FitOptions, belief: Belief, *, asked: bool
) -> Shapes | None:
    """None where no sizes that were measured are shapes of one N. Held-out losses count too: nothing predicts them
    here. How the loss moves with N and D is told by the law, else by the losses of the shapes, else by the belief."""
    rows = usable(plan, records)[0]
    every = _compared(plan, rows, law, options, belief)
    if every is None:
        return None
    numbers = odd_runs(every.losses.design, every.common)
    runs = sorted({record.run_id for record in every.losses.records})
    names = [runs[number] for number in numbers]
    rest = [row for row in rows if row.run_id not in names]
    kept = every if not names else _compared(plan, rest, law, options, belief) or every
    losses, slopes, common, groups = kept.losses, kept.slopes, kept.common, kept.groups
    valley, reason = _valley(kept, options.level)
    band = None
    if valley is not None and valley.best is not None:
        slope = math.fsum(each.value for each in slopes.along_tokens) / len(groups)
        low, high = valley.band(slope * math.log1p(SHARE))
        band = (None if low is None else math.exp(low), None if high is None else math.exp(high))
    noise, noise_from = _noise(losses, common, valley, options.level)
    return Shapes(
        asked=asked or bool(holds_size(plan)),
        reason=reason,
        level=options.level,
        groups=groups,
        taken_out=slopes.off_from,
        moved=math.expm1(float(np.abs(slopes.off).max())),
        odd=() if valley is None else tuple(OddRun(runs[n], _above_curve(every, valley, numbers, n)) for n in numbers),
        best_with_odd=_best(_valley(every, options.level)[0]) if names else None,
        valley=valley,
        best=_best(valley),
        share=SHARE,
        band=band,
        slopes=slopes.along_tokens,
        slope_from=slopes.along_from,
        noise_from=noise_from,
        shapes=_shapes(plan, losses, groups, valley, slopes, _above(losses, common, valley), noise),
        cells=tuple(_cell(losses, common, groups, number, options.level) for number in range(len(losses.cells))),
    )


def _compared(plan: Plan, rows: Sequence[RunRecord], law: Fit, options: FitOptions, belief: Belief) -> _Compared | None:
    measured = {record.size for record in rows}
    groups = tuple(group for group in shape_groups(plan) if measured.intersection(group.params))
    if not groups:
        return None
    losses = _losses(plan, rows, groups)
    if law.usable:
        slopes = _by_law(losses, len(groups), law.law, law.theta, LAW)
    else:
        slopes = _own_slopes(losses, groups, options, belief)
    return _Compared(groups, losses, slopes, losses.loss - slopes.off)


def _valley(compared: _Compared, level: float) -> tuple[Valley | None, str | None]:
    """Or why there is none."""
    try:
        return fit_valley(compared.losses.design, compared.common, level), None
    except TooFewShapes as error:
        return None, str(error)


def _best(valley: Valley | None) -> Estimate | None:
    return None if valley is None or valley.best is None else valley.best.through(math.exp)


def _above_curve(every: _Compared, valley: Valley, odd: Sequence[int], number: int) -> float:
    """By what share the losses of a run lie above the curve through those of the runs that are not odd."""
    design = every.losses.design
    rest, kept = every.common - valley.curve(design.x), ~np.isin(design.run, odd)
    own = np.flatnonzero(design.run == number)
    off = [rest[i] - rest[kept & (design.cell == design.cell[i])].mean() for i in own]
    return math.expm1(float(np.mean(off)))


def _losses(plan: Plan, records: Sequence[RunRecord], groups: Sequence[ShapeGroup]) -> _Losses:
    sizes = {size for group in groups for size in group.params}
    rows = [record for record in records if record.size in sizes]
    planned = [plan.by_cell[record.run_id, record.budget_tokens] for record in rows]
    design, cells = shaped(planned, groups)
    group = np.array([cells[cell][0] for cell in design.cell], dtype=np.int64)
    tokens = np.log([float(record.tokens) for record in rows])
    params = np.log([float(groups[g].params[r.size]) for g, r in zip(group, rows, strict=True)])
    typical_params = np.log([g.typical_params for g in groups])[group]
    typical_tokens = _means(tokens, design.cell)
    if planned and planned[0].nominal_flops is not None:  # compared at equal compute: a smaller N has more tokens
        typical_tokens = tokens + params - typical_params
    loss = np.log([record.final_loss_nats or math.nan for record in rows])
    return _Losses(rows, design, cells, group, loss, tokens, params, typical_params, typical_tokens)


def _means(values: FloatArray, cell: IntArray) -> FloatArray:
    """The mean of each row's cell, [n]."""
    return np.asarray((np.bincount(cell, weights=values) / np.maximum(np.bincount(cell), 1))[cell])


def _by_law(losses: _Losses, num_groups: int, law: Law, theta: FloatArray, source: str) -> _Slopes:
    def log_loss(log_params: FloatArray, log_tokens: FloatArray) -> FloatArray:
        return np.asarray(np.log(law.predict(theta, points(np.exp(log_params), np.exp(log_tokens)))))

    each = [losses.group == group for group in range(num_groups)]
    params, tokens = (np.array([x[own].mean() for own in each]) for x in (losses.typical_params, losses.tokens))
    along = (log_loss(params, tokens - STEP) - log_loss(params, tokens + STEP)) / (2 * STEP)
    off = log_loss(losses.params, losses.tokens) - log_loss(losses.typical_params, losses.typical_tokens)
    return _Slopes(off, source, tuple(Estimate(float(slope), None, None) for slope in along), source)


def _own_slopes(losses: _Losses, groups: Sequence[ShapeGroup], options: FitOptions, belief: Belief) -> _Slopes:
    """Along D by budgets, along N by groups, each where the losses tell it."""
    found = _by_law(losses, len(groups), belief.law, belief.theta, f"{belief.source}, believed beforehand")
    along = [_along_tokens(losses, losses.group == group, options.level) for group in range(len(groups))]
    if None in along:
        return found
    found = replace(found, along_tokens=tuple(each for each in along if each), along_from=BUDGETS)
    if len(groups) > 1:
        u = losses.design.x - losses.design.x.mean()
        columns = np.stack([np.ones_like(u), u, u**2, u**3, losses.tokens, losses.params], axis=1)
        *_, tokens, params = np.linalg.lstsq(columns, losses.loss, rcond=1e-9)[0]
        off = tokens * (losses.tokens - losses.typical_tokens) + params * (losses.params - losses.typical_params)
        found = replace(found, off=off, off_from=SIZES)
    return found


def _along_tokens(losses: _Losses, own: BoolArray, level: float) -> Estimate | None:
    """- d ln L / d ln D by shapes that were trained at several D; None where it is not told from zero."""
    size, tokens = losses.design.size[own], losses.tokens[own]
    columns = np.column_stack([size[:, None] == np.unique(size), tokens - tokens.mean()]).astype(np.float64)
    solved, _, rank, _ = np.linalg.lstsq(columns, losses.loss[own], rcond=1e-9)
    freedom = len(columns) - columns.shape[1]
    if freedom < 1 or rank < columns.shape[1]:
        return None
    left = losses.loss[own] - columns @ solved
    variance = float(left @ left) / freedom * float(np.linalg.inv(columns.T @ columns)[-1, -1])
    slope, half = -float(solved[-1]), t_two_sided(level, freedom) * math.sqrt(variance)
    return Estimate(slope, slope - half, slope + half) if slope > half else None


def _noise(losses: _Losses, common: FloatArray, valley: Valley | None, level: float) -> tuple[float | None, str]:
    """Half the width of the interval of one log loss, and what it comes from: seeds of one shape at one budget, pooled,
    or else what a curve leaves."""
    _, cell = np.unique(losses.design.size * len(losses.cells) + losses.design.cell, return_inverse=True)
    freedom, left, source = len(cell) - len(np.unique(cell)), losses.loss - _means(losses.loss, cell), SEEDS
    if freedom < 1 and valley is not None:
        rest = common - valley.curve(losses.design.x)
        freedom = len(rest) - len(losses.cells) - len(valley.coefficients)
        left, source = rest - _means(rest, losses.design.cell), RESIDUALS
    if freedom < 1:
        return None, ""
    return t_two_sided(level, freedom) * math.sqrt(float(left @ left) / freedom), source


def _shapes(
    plan: Plan,
    losses: _Losses,
    groups: Sequence[ShapeGroup],
    valley: Valley | None,
    slopes: _Slopes,
    above: FloatArray | None,
    noise: float | None,
) -> tuple[Shape, ...]:
    """By group, from the smallest ratio to the largest."""
    models, found = size_models(plan), []
    for group, slope in zip(groups, slopes.along_tokens, strict=True):
        for size in sorted(group.aspects, key=lambda size: group.aspects[size]):
            cost = None if valley is None else valley.cost(math.log(group.aspects[size]))
            own = np.array([record.size == size for record in losses.records], dtype=np.bool_)
            found.append(
                Shape(
                    size=size,
                    num_layers=models[size].num_layers,
                    d_model=models[size].d_model,
                    num_heads=models[size].num_heads,
                    aspect=group.aspects[size],
                    params=group.params[size],
                    flops_per_token=count_training_flops(models[size]).total,
                    losses=tuple(
                        ShapeLoss(
                            cell,
                            len(rows),
                            _mean(losses.loss[rows], noise).through(math.exp),
                            None if above is None else _mean(above[rows], noise).through(math.expm1),
                        )
                        for cell in range(len(losses.cells))
                        if len(rows := np.flatnonzero(own & (losses.design.cell == cell)))
                    ),
                    loss_cost=None if cost is None else cost.through(_share),
                    compute_cost=None if cost is None else _in_compute(cost, slope).through(_share),
                )
            )
    return tuple(found)


def _above(losses: _Losses, common: FloatArray, valley: Valley | None) -> FloatArray | None:
    """How far each log loss, [n], lies above that of the best ratio in its cell."""
    if valley is None:
        return None
    level = _means(common - valley.curve(losses.design.x), losses.design.cell)
    return np.asarray(common - level - valley.curve(np.linspace(*valley.ends, 1001)).min())


def _mean(logs: FloatArray, noise: float | None) -> Estimate:
    """With its interval, `noise` being half of that of one log loss."""
    mean = float(logs.mean())
    if noise is None:
        return Estimate(mean, None, None)
    half = noise / math.sqrt(len(logs))
    return Estimate(mean, mean - half, mean + half)


def _in_compute(cost: Estimate, slope: Estimate) -> Estimate:
    """What a cost in log loss is in the log of compute at one size; doubts of the two add as independent ones do."""
    assert cost.low is not None
    assert cost.high is not None
    value = cost.value / slope.value
    of_slope = 0.0 if slope.low is None else value * (slope.value - slope.low) / slope.value
    low = value - math.hypot((cost.value - cost.low) / slope.value, of_slope)
    return Estimate(value, max(low, 0.0), value + math.hypot((cost.high - cost.value) / slope.value, of_slope))


def _share(log_cost: float) -> float:
    return math.expm1(min(log_cost, 100.0))  # more than anybody pays


def _cell(losses: _Losses, common: FloatArray, groups: Sequence[ShapeGroup], number: int, level: float) -> ShapeCell:
    rows = np.flatnonzero(losses.design.cell == number)
    design = losses.design
    own = Shaped(design.x[rows], design.size[rows], np.zeros_like(rows), np.arange(len(rows)))
    try:
        best = _best(fit_valley(own, common[rows], level))
    except TooFewShapes:
        best = None
    params = groups[losses.cells[number][0]].typical_params
    return ShapeCell(params, math.exp(float(losses.tokens[rows].mean())), len(rows), best)
