"""A grid becomes a plan: trajectories with their budgets, points with their cost, the held-out ones named."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from scaling.model.config import ModelConfig
from scaling.model.counting import count_parameters, count_training_flops
from scaling.planning import rules
from scaling.planning.config import GridConfig, ModelOptions, RecipeConfig, SizeConfig
from scaling.planning.corpus_facts import CorpusFacts, require_text
from scaling.planning.cost import Cost
from scaling.planning.external import Described, as_external, as_told, external_model, require_used
from scaling.specs import DivergenceRule, Plan, PlannedPoint, RunSpec
from scaling.trainers.config import TrainerConfig

Cell = tuple[str, int, int | None]  # what replicates share: size, tokens, unique tokens


@dataclass(frozen=True)
class _Asked:
    """A budget as it was asked for, and the whole number of batches that it became."""

    nominal_tokens: float
    nominal_flops: float | None
    tokens: int


def make_plan(
    study: str,
    *,
    grid: GridConfig,
    options: ModelOptions,
    recipe: RecipeConfig,
    corpus: CorpusFacts,
    cost: Cost | None = None,
    trainer: TrainerConfig | None = None,
    described: Described = MappingProxyType({}),
) -> Plan:
    """With a `trainer` of somebody else the plan is of its runs; `described` is what it said of its sizes.

    Raises ValueError, in one sentence with value, constraint and remedy, for a grid that cannot be trained.
    """
    runs: list[RunSpec] = []
    asked: dict[tuple[str, int], _Asked] = {}
    replicate_ids: set[str] = set()
    named: set[Cell] = set()
    if trainer is not None:
        recipe = as_told(recipe, trainer)
    for size, seed, budgets in _trajectories(grid):
        if trainer is None:
            model = rules.model_config(size, options, corpus.vocab_size)
        else:
            model = external_model(size, trainer, recipe, described)
        for unique, part in _subsets(grid, corpus, model.context):
            wanted = _budgets(grid, size, model, recipe, budgets, unique)
            kept_out = _budgets(grid, size, model, recipe, size.held_out, unique)
            named |= {(size.name, b.tokens, part.unique_tokens) for b in kept_out}
            for run in make_runs(size, model, recipe, part, seed, sorted({b.tokens for b in wanted})):
                if trainer is not None:
                    run = as_external(run, trainer, recipe)
                runs.append(run)
                if seed != grid.seed:
                    replicate_ids.add(run.id)
                asked.update({(run.id, b.tokens): b for b in wanted if b.tokens in run.budgets})
    if not runs:
        raise ValueError(
            f"every point of the grid costs more than grid.max_flops = {grid.max_flops}: raise it, or add smaller "
            "sizes or budgets"
        )
    if trainer is not None:
        require_used(trainer, grid, runs)
    require_text(corpus, runs)
    points: list[PlannedPoint] = []
    for run in runs:
        flops_per_token = count_training_flops(run.model).total
        params = count_parameters(run.model)
        for tokens in run.budgets:
            point = PlannedPoint(
                index=len(points),
                run_id=run.id,
                size=run.size,
                init_seed=run.init_seed,
                tokens=tokens,
                steps=run.steps(tokens),
                params=params.total,
                non_embedding_params=params.non_embedding,
                flops=tokens * flops_per_token,
                epochs=_epochs(run.unique_tokens or corpus.train_tokens, tokens, run.model.context),
                unique_tokens=run.unique_tokens,
                nominal_tokens=asked[run.id, tokens].nominal_tokens,
                nominal_flops=asked[run.id, tokens].nominal_flops,
                held_out=False,
                replicate=run.id in replicate_ids,
                estimated_seconds=None if cost is None else cost.seconds(run, run.steps(tokens)),
            )
            points.append(point)
    return Plan(study, tuple(runs), _hold_out(points, grid, named))


def join_plans(plans: Sequence[Plan]) -> Plan:
    """One plan of several, its points numbered through."""
    points = [point for plan in plans for point in plan.points]
    return Plan(
        plans[0].study,
        tuple(run for plan in plans for run in plan.runs),
        tuple(replace(point, index=index) for index, point in enumerate(points)),
    )


def _trajectories(grid: GridConfig) -> Iterator[tuple[SizeConfig, int, tuple[float, ...]]]:
    by_name = {size.name: size for size in grid.sizes}
    for size in grid.sizes:
        yield size, grid.seed, size.budgets or grid.budgets
    for replicate in grid.replicates:
        size = by_name[replicate.size]
        for seed in replicate.seeds:
            yield size, seed, replicate.budgets or size.budgets or grid.budgets


def _budgets(
    grid: GridConfig, size: SizeConfig, model: ModelConfig, recipe: RecipeConfig, budgets: tuple[float, ...],
    unique: float,
) -> list[_Asked]:  # fmt: skip
    """The budgets of one trajectory, rounded to whole batches, without those above `max_flops`."""
    flops_per_token = count_training_flops(model).total
    wanted = []
    for budget in budgets:
        nominal_flops = budget if grid.kind == "isoflop" else None
        tokens = {
            "tokens": budget,
            "tokens_per_param": budget * count_parameters(model).total,
            "isoflop": budget / flops_per_token,
            "epochs": budget * unique,
        }[grid.kind]
        batch = rules.batch_tokens(recipe, model, tokens)
        if grid.max_flops is not None and tokens * flops_per_token > grid.max_flops:
            continue
        if tokens < batch:
            raise ValueError(
                f"size {size.name}: a batch of {batch} tokens is larger than a budget of {tokens:.6g} tokens; lower "
                "recipe.batch_tokens or raise the budget"
            )
        steps = 1 if model.external is None else model.external.steps_multiple
        wanted.append(_Asked(tokens, nominal_flops, max(1, round(tokens / batch / steps)) * steps * batch))
    return wanted


def make_runs(
    size: SizeConfig, model: ModelConfig, recipe: RecipeConfig, corpus: CorpusFacts, seed: int, budgets: list[int]
) -> Iterator[RunSpec]:
    """One run with all budgets where the schedule branches, else one for each."""
    groups = [budgets] if recipe.schedule == "wsd" else [[budget] for budget in budgets]
    for group in groups:
        if not group:
            continue
        optimizer = rules.optimizer(recipe, model, None if recipe.schedule == "wsd" else group[0])
        try:
            yield RunSpec(
                size=size.name,
                model=model,
                optimizer=optimizer,
                schedule=rules.schedule(recipe, model, optimizer.batch_tokens),
                corpus=corpus.fingerprint,
                unique_tokens=corpus.unique_tokens,
                init_seed=seed,
                data_seed=seed,
                budgets=tuple(group),
                divergence=DivergenceRule(recipe.divergence_margin_nats, recipe.divergence_steps),
                evaluations=rules.evaluations(recipe, optimizer.batch_tokens),
            )
        except ValueError as error:
            raise ValueError(f"size {size.name}: {error}") from None


def _subsets(grid: GridConfig, corpus: CorpusFacts, context: int) -> Iterator[tuple[float, CorpusFacts]]:
    """The corpus cut to each number of unique tokens that the grid names: whole windows and the token before them."""
    if grid.unique_tokens and corpus.unique_tokens is not None:
        raise ValueError(
            f"data.unique_tokens is {corpus.unique_tokens} and grid.unique_tokens names others: set the one to null or "
            "the other to []"
        )
    for unique in grid.unique_tokens:
        predicted = max(1, round(unique / context)) * context
        yield predicted, replace(corpus, unique_tokens=predicted + 1)
    if not grid.unique_tokens:
        yield math.nan, corpus


def _epochs(available: int | None, tokens: int, context: int) -> float | None:
    return None if available is None else tokens / max(1, (available - 1) // context * context)


def _hold_out(points: list[PlannedPoint], grid: GridConfig, named: set[Cell]) -> tuple[PlannedPoint, ...]:
    """Mark the cells that the sizes name and, of the others, those of most compute; a cell's further seeds go along."""
    cells: dict[Cell, list[int]] = defaultdict(list)
    for point in points:
        cells[point.size, point.tokens, point.unique_tokens].append(point.index)
    others = [cell for cell in cells if cell not in named]
    count = 0
    if grid.holdout_share > 0.0:
        count = max(grid.holdout_min, math.ceil(grid.holdout_share * len(others)))
        if count >= len(others):
            raise ValueError(
                f"holding out {count} of {len(others)} cells leaves nothing to fit: lower grid.holdout_share or "
                "grid.holdout_min, or add points"
            )
    by_compute = sorted(others, key=lambda cell: -points[cells[cell][0]].flops)
    held_out = {index for cell in (*by_compute[:count], *named) for index in cells.get(cell, ())}
    return tuple(replace(point, held_out=point.index in held_out) for point in points)
