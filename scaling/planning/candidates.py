"""Points that could be added to a study: its own sizes and regular shapes between and beyond, at whole batches."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scaling.model.counting import count_parameters, count_training_flops
from scaling.planning import rules
from scaling.planning.config import GridConfig, ModelOptions, RecipeConfig, SizeConfig
from scaling.planning.corpus_facts import CorpusFacts
from scaling.planning.plan import make_runs
from scaling.planning.shapes import ladder
from scaling.specs import Plan, RunSpec

SIZE_FACTOR, TOKENS_FACTOR = 1.5, math.sqrt(2.0)
NEAR = 1.15  # a ladder's shape this near in N to a size of the grid adds nothing
MIN_STEPS = 500  # below, a loss follows the number of steps rather than of tokens (the check `few_steps`)
MAX_WARMUP_SHARE = 0.1
RATIOS = (1.0, 1000.0)  # tokens for each parameter; wider only where the plan itself is


@dataclass(frozen=True)
class Room:
    """What a study is made of, so that points can be added to it."""

    grid: GridConfig
    options: ModelOptions
    recipe: RecipeConfig
    corpus: CorpusFacts


@dataclass(frozen=True)
class Site:
    """A size with the trajectory of the grid's seed: `budgets` are those that are there, none for a new size."""

    size: SizeConfig
    run: RunSpec
    budgets: tuple[int, ...]
    params: int
    flops_per_token: int

    def cost(self, tokens: int) -> float:
        """FLOPs that one more budget computes: the trunk is shared, so far as it is there."""
        alone = replace(self.run, budgets=(tokens,))
        if not self.run.branching or not self.budgets:
            return float(alone.total_steps * self._flops_per_step)
        there = replace(self.run, budgets=self.budgets)
        both = replace(self.run, budgets=tuple(sorted({*self.budgets, tokens})))
        return float((both.total_steps - there.total_steps) * self._flops_per_step)

    @property
    def _flops_per_step(self) -> int:
        return self.run.optimizer.batch_tokens * self.flops_per_token

    def with_budget(self, tokens: int) -> "Site":
        return replace(self, budgets=tuple(sorted({*self.budgets, tokens})))


def make_site(size: SizeConfig, room: Room, budgets: Sequence[int] = ()) -> Site:
    """Raises ValueError, naming the size, for an impossible shape."""
    model = rules.model_config(size, room.options, room.corpus.vocab_size)
    batch = rules.batch_tokens(room.recipe, model)
    shortest = batch * (rules.warmup_steps(room.recipe, model, batch) + 1)
    (run,) = make_runs(size, model, room.recipe, room.corpus, room.grid.seed, [shortest])
    return Site(size, run, tuple(budgets), count_parameters(model).total, count_training_flops(model).total)


def sites(plan: Plan, room: Room, max_flops: float) -> list[Site]:
    """The study's sizes, then regular shapes for which a point of at most `max_flops` is long enough."""
    there: dict[str, list[int]] = {size.name: [] for size in room.grid.sizes}
    for point in plan.points:
        if point.size in there and not point.replicate:
            there[point.size].append(point.tokens)
    own = [make_site(size, room, sorted(there[size.name])) for size in room.grid.sizes]
    smallest = min(count_parameters(site.run.model).matrices for site in own)
    highest = max_flops / (6 * min_tokens(own[0]))
    new = []
    for shape in ladder(smallest, max(highest, 2 * smallest), SIZE_FACTOR):
        try:
            site = make_site(shape, room)
        except ValueError:
            continue  # a shape that these options cannot take, such as an odd head under rotary positions
        apart = all(abs(math.log(site.params / other.params)) > math.log(NEAR) for other in own)
        if apart and min_tokens(site) * site.flops_per_token <= max_flops:
            new.append(site)
    return own + new


def min_tokens(site: Site) -> int:
    """Enough steps for a loss that speaks of tokens, and a warmup that is a small share of them."""
    steps = max(MIN_STEPS, math.ceil(site.run.schedule.warmup_steps / MAX_WARMUP_SHARE))
    return steps * site.run.optimizer.batch_tokens


def token_limits(site: Site, plan: Plan, room: Room) -> tuple[float, float]:
    """The least and the most tokens for a point of a size: enough steps, no absurd ratio to N, no text twice."""
    ratios = [point.tokens / point.params for point in plan.points]
    low = max(min_tokens(site), min(RATIOS[0], *ratios) * site.params)
    high = max(RATIOS[1], *ratios) * site.params
    available = room.corpus.unique_tokens or room.corpus.train_tokens
    return low, high if available is None else min(high, available)


def token_choices(site: Site, plan: Plan, room: Room, max_flops: float) -> list[int]:
    """Token counts for one more point of a size: those of the plan and others between and beyond, without repeats."""
    batch = site.run.optimizer.batch_tokens
    low, high = token_limits(site, plan, room)
    high = min(high, max_flops / site.flops_per_token)
    start = min(point.tokens for point in plan.points)
    choices = set()
    k = math.floor(math.log(low / start) / math.log(TOKENS_FACTOR))
    while (tokens := start * TOKENS_FACTOR**k) <= high * 1.0001:
        whole = round(tokens / batch) * batch
        taken = any(abs(math.log(whole / budget)) < 0.5 * math.log(TOKENS_FACTOR) for budget in site.budgets)
        if whole >= low and not taken:
            choices.add(whole)
        k += 1
    return sorted(choices)
