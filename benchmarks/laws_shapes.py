"""How right a study of shapes is about the best d_model / num_layers and about what another costs.

python -m benchmarks.laws_shapes [--studies 400]

The plan is the shipped `experiment=shapes` or a variant of it. Losses are those of a law drawn about the default
study's, times a valley in the ratio whose best is drawn between 6 and 30, times noise; each study goes through the real
records and analysis, and nothing is trained.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.check_studies import Truth, config, draw_truth, record
from scaling.analysis.observations import CONVENTIONS, observations
from scaling.analysis.shapes import study_shapes
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.shapes import Estimate
from scaling.model.counting import count_parameters
from scaling.records import RunRecord
from scaling.shapes import Shapes
from scaling.specs import Plan
from scaling.stages.outlook import outlook_on_shapes
from scaling.stages.study import plan_study

BEST = (6.0, 30.0)


def parabola(bend: float) -> Callable[[float], float]:
    return lambda x: bend * x * x


BEND = parabola(0.01)


def lopsided(bend: float) -> Callable[[float], float]:
    """Three times as steep for shapes that are too shallow."""
    return lambda x: bend * x * x * (3 if x > 0 else 1)


@dataclass(frozen=True)
class Case:
    """`valley`: the log loss above that of the best, by the log of the ratio over the best; `own`: what each size is
    off besides, as a standard deviation of the log loss; `bad`: the share by which one run's losses are too high."""

    name: str
    valley: Callable[[float], float] = BEND
    noise: float = 0.01
    shared: float = 0.8
    own: float = 0.0
    bad: float = 0.0
    best: tuple[float, float] = BEST
    overrides: tuple[str, ...] = ()


CASES = (
    Case("as shipped"),
    Case("noise .3%", noise=0.003),
    Case("four budgets", overrides=("grid.budgets=[131072,262144,524288,1048576]",)),
    Case("one budget, one seed", overrides=("grid.budgets=[524288]", "grid.replicates=[]")),
    Case("as little as Kaplan et al. saw", parabola(0.0032)),
    Case("steeper on one side", lopsided(0.005)),
    Case("sizes off by 1% besides", own=0.01),
    Case("one run 10% too high", bad=0.1),
    Case("best beyond the largest", best=(120.0, 200.0)),
    Case("the shape does not matter", parabola(0.0)),
)


@dataclass(frozen=True)
class Planted:
    """The records of a study, the best ratio, and what its largest ratio costs, in loss and in compute."""

    records: list[RunRecord]
    best: float
    loss_cost: float
    compute_cost: float


def planted(case: Case, plan: Plan, rng: np.random.Generator) -> Planted:
    best = math.exp(rng.uniform(*np.log(case.best)))
    truth = draw_truth(rng)
    common = {run.id: rng.standard_normal() for run in plan.runs}
    own = {run.size: case.own * rng.standard_normal() for run in plan.runs}
    common[str(rng.choice([run.id for run in plan.runs]))] += math.log1p(case.bad) / case.noise / math.sqrt(case.shared)
    rows, ratios = [], []
    for point in plan.points:
        model = plan.by_id[point.run_id].model
        ratios.append(model.d_model / model.num_layers)
        scatter = math.sqrt(case.shared) * common[point.run_id] + math.sqrt(1 - case.shared) * rng.standard_normal()
        shape = case.valley(math.log(ratios[-1] / best)) + own[point.size]
        rows.append(
            record(plan, point, truth.loss(point.params, point.tokens) * math.exp(shape + case.noise * scatter))
        )
    least = case.valley(math.log(min(max(best, min(ratios)), max(ratios)) / best))
    cost = case.valley(math.log(max(ratios) / best)) - least
    return Planted(rows, best, math.expm1(cost), math.expm1(cost / slope(truth, plan)))


def slope(truth: Truth, plan: Plan) -> float:
    """- d ln L / d ln D in the middle of the plan."""
    params, tokens = (
        math.exp(np.mean(np.log(values)))
        for values in (
            [count_parameters(run.model).total for run in plan.runs],
            [point.tokens for point in plan.points],
        )
    )
    return math.log(truth.loss(params, tokens / 1.01) / truth.loss(params, tokens * 1.01)) / (2 * math.log(1.01))


def holds(estimate: Estimate | None, value: float) -> bool:
    """An end that is not known leaves all beyond open."""
    if estimate is None:
        return False
    return (estimate.low is None or estimate.low <= value) and (estimate.high is None or value <= estimate.high)


def row(case: Case, studies: int) -> str:
    study = config("experiment=shapes", *case.overrides)
    plan = plan_study(study)
    expected = outlook_on_shapes(study, plan, study.power.belief)
    assert expected is not None
    rng = np.random.default_rng(2)
    law = None
    told: list[tuple[Planted, Shapes]] = []
    for _ in range(studies):
        true = planted(case, plan, rng)
        law = law or fit_law(CHINCHILLA, observations(plan, true.records, CONVENTIONS["total"]))  # none, of one N
        found = study_shapes(plan, true.records, law, study.fit, study.power.belief, asked=True)
        assert found is not None
        told.append((true, found))
    closed = [s.best for _, s in told if s.best and s.best.low and s.best.high]
    widths = sorted(math.sqrt((best.high or 1) / (best.low or 1)) for best in closed)
    largest = [(true, max(found.shapes, key=lambda shape: shape.aspect)) for true, found in told]
    kinds = [found.valley.kind for _, found in told if found.valley]
    shares = (
        np.mean([holds(found.best, true.best) for true, found in told]),
        len(closed) / studies,
        np.mean([holds(shape.loss_cost, true.loss_cost) for true, shape in largest]),
        np.mean([holds(shape.compute_cost, true.compute_cost) for true, shape in largest]),
        kinds.count("flat") / studies,
        np.mean([bool(found.odd) for _, found in told]),
    )
    holding, known, loss, compute, flat, left_out = (f"{share:.1%}" for share in shares)
    if not case.valley(1.0):
        holding = ""  # every ratio is a best one
    width = f"{widths[len(widths) // 2]:.2f}" if len(closed) > studies / 4 else ""
    return f"| {case.name} | {holding} | {known} | {width} | {loss} | {compute} | {flat} | {left_out} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=400)
    studies = parser.parse_args().studies
    columns = (
        "truth", "95% holds the best", "both ends known", "factor either way", "95% holds its cost in loss",
        "in compute", "called flat", "a run left out",
    )  # fmt: skip
    print(f"| {' | '.join(columns)} |")
    print(f"|{' --- |' * len(columns)}")
    for case in CASES:
        print(row(case, studies), flush=True)


if __name__ == "__main__":
    main()
