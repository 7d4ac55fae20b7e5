"""From hours on a machine to a grid: which sizes, on which tokens, tell most of the best N at ten times that compute.

Sizes are regular shapes with heads of 64, a constant factor apart. Each is trained on doubling budgets, from a few
tokens a parameter up to a budget of compute that all sizes share, so that the points surround the optima of that
compute and of less. The budget of compute is what fits the hours by the schedule that the pool keeps.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scaling.laws.design import Belief
from scaling.laws.power import Power
from scaling.planning.config import GridConfig, ModelOptions, RecipeConfig, ReplicateConfig, SizeConfig
from scaling.planning.corpus_facts import CorpusFacts
from scaling.planning.cost import Cost
from scaling.planning.memory import run_bytes
from scaling.planning.plan import make_plan
from scaling.planning.power import plan_power
from scaling.planning.schedule import wall_seconds
from scaling.planning.shapes import MATRICES, shape_near
from scaling.specs import Plan

HEAD = 64
SIZE_FACTORS = (1.6, 2.2, 3.0)
# Tokens for each parameter at the least and at the most: a fifth of Hoffmann et al.'s twenty, and ten times it.
FEWEST_RATIO, MOST_RATIOS = 4.0, (80.0, 200.0)
MOST_BUDGETS, FEWEST_BUDGETS, FEWEST_SIZES = 6, 2, 4
MIN_STEPS = 500
EXTRAPOLATION = 10.0
# Of the hours, so many are planned for; the search ends this near, and a plan that leaves more of them is none.
WANTED_SHARE, NEAR, LEAST_SHARE = 0.97, 0.02, 0.87
MOST_TRIES = 12


@dataclass(frozen=True)
class HourPlan:
    """`wall_seconds` by the time model on `workers`; `power` at ten times the whole plan's FLOPs."""

    grid: GridConfig
    plan: Plan
    wall_seconds: float
    workers: int
    power: Power
    memory_bytes: int
    joules: float | None

    @property
    def sd(self) -> float:
        return self.power["ln N_opt"].sd


@dataclass(frozen=True)
class Asked:
    """Hours of wall time on `gpus` workers, and the hidden parameters between which sizes lie."""

    hours: float
    gpus: int
    sizes: tuple[float, float] = (1e6, 1e9)

    def __post_init__(self) -> None:
        low, high = self.sizes
        if not low < high:
            raise ValueError(
                f"sizes is [{low:g}, {high:g}]; give the least and the most hidden parameters, for example "
                "sizes=[1e6,1e8]"
            )


@dataclass(frozen=True)
class Study:
    """What the grid is chosen for."""

    options: ModelOptions
    recipe: RecipeConfig
    corpus: CorpusFacts
    cost: Cost
    belief: Belief
    seed: int
    precision: str = "bf16"


def plan_hours(study: Study, asked: Asked) -> HourPlan:
    """The grid of least sd of ln N* among those that take the hours. Raises ValueError where none does."""
    found = [
        plan
        for factor, ratio, fewer in itertools.product(SIZE_FACTORS, MOST_RATIOS, (0, 1))
        if (plan := _fill(study, asked, factor, ratio, fewer)) is not None
    ]
    if not found:
        raise ValueError(
            f"no study of {FEWEST_SIZES} sizes fits {asked.hours:g} hours on {asked.gpus} GPUs by "
            f"{study.cost.time_model.name or 'this time model'}: give more hours, or smaller sizes, as in "
            "sizes=[1e5,1e7]"
        )
    return min(found, key=lambda plan: plan.sd)


def _fill(study: Study, asked: Asked, factor: float, ratio: float, fewer: int) -> HourPlan | None:
    """The grid of that kind that takes the hours: time grows with its compute, a little less than in proportion. It
    leaps where one more size fits; what lies in such a gap is filled with so many `fewer` sizes, trained for longer."""
    wanted = WANTED_SHARE * 3600 * asked.hours
    flops = wanted * asked.gpus * study.cost.time_model.flops_per_second / 40
    low, high = 0.0, math.inf
    best: tuple[float, GridConfig, Plan] | None = None
    for _ in range(MOST_TRIES):
        grid = _grid(study, asked, flops, factor, ratio, fewer)
        plan = None if grid is None else _planned(study, grid)
        seconds = 0.0
        if grid is not None and plan is not None:
            seconds = sum(wall_seconds(plan, study.cost, asked.gpus)) + study.cost.time_model.seconds_per_study
            if seconds <= 3600 * asked.hours and (best is None or seconds > best[0]):
                best = (seconds, grid, plan)
            if abs(seconds - wanted) <= NEAR * wanted:
                break
        if seconds < wanted:
            low = flops
        else:
            high = flops
        guess = flops * (wanted / seconds) ** 0.9 if seconds > 0 else 4 * flops
        if not low < guess < high:
            guess = math.sqrt(low * high) if low and high < math.inf else (2 * low or high / 2)
        flops = guess
    if best is None or best[0] < LEAST_SHARE * 3600 * asked.hours:
        return None
    return _weighed(study, asked, *best)


def _grid(study: Study, asked: Asked, flops: float, factor: float, ratio: float, fewer: int) -> GridConfig | None:
    """Sizes and budgets under a point's `flops`; None where they are too few."""
    low, high = asked.sizes
    high = min(high, math.sqrt(flops / (6 * FEWEST_RATIO * 2 ** (FEWEST_BUDGETS - 1))))
    if high < low:
        return None
    steps = max(1, math.floor(math.log(high / low) / math.log(factor)) - fewer)
    sizes: dict[str, SizeConfig] = {}
    available = study.corpus.unique_tokens or study.corpus.train_tokens or math.inf
    for i in range(steps + 1):
        shape = shape_near(low * factor**i, head=HEAD)
        params = MATRICES * shape.num_layers * shape.d_model**2
        most = min(flops / (6 * params), ratio * params, available)
        fewest = max(
            FEWEST_RATIO * params, MIN_STEPS * study.recipe.batch_tokens * (params / 1e7) ** study.recipe.batch_exponent
        )
        count = min(MOST_BUDGETS, 1 + math.floor(math.log2(max(1.0, most / fewest))))
        if count >= FEWEST_BUDGETS and most >= fewest:
            budgets = tuple(float(round(most / 2**k)) for k in range(count - 1, -1, -1))
            sizes.setdefault(shape.name, replace(shape, budgets=budgets))
    if len(sizes) < FEWEST_SIZES:
        return None
    smallest = next(iter(sizes.values()))
    assert smallest.budgets is not None
    seeds = tuple(study.seed + i for i in (1, 2))
    replicates = (ReplicateConfig(smallest.name, seeds, smallest.budgets[:2]),)
    return GridConfig("tokens", smallest.budgets, tuple(sizes.values()), replicates, seed=study.seed)


def _planned(study: Study, grid: GridConfig) -> Plan | None:
    try:
        return make_plan(
            "hours", grid=grid, options=study.options, recipe=study.recipe, corpus=study.corpus, cost=study.cost
        )
    except ValueError:
        return None  # a batch or a warmup longer than a budget, a text shorter than one: another grid may do


def _weighed(study: Study, asked: Asked, seconds: float, grid: GridConfig, plan: Plan) -> HourPlan | None:
    memory = max(run_bytes(run, study.precision, run.model.context) for run in plan.runs)
    there = study.cost.time_model.memory_bytes
    if there is not None and memory > there:
        return None
    power = plan_power(plan, study.belief, EXTRAPOLATION * plan.total_flops)
    if power is None:
        return None
    watts = study.cost.time_model.watts
    joules = None if watts is None else watts * asked.gpus * seconds
    return HourPlan(grid, plan, seconds, asked.gpus, power, memory, joules)


def shape_words(sizes: Sequence[SizeConfig]) -> str:
    return ", ".join(f"{size.name} ({size.num_layers} x {size.d_model})" for size in sizes)
