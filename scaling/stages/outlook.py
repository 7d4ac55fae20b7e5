"""A plan held against its question: what it will be able to say, and what would have to be added."""

import math
from pathlib import Path

from scaling.analysis.prior import NoBelief, measured_belief
from scaling.checks.evidence import Question
from scaling.config import PLAN_FILE, ConfigError, StudyConfig, of_study
from scaling.data.manifest import Manifest
from scaling.laws.design import Belief
from scaling.laws.quantities import LIMITS
from scaling.laws.shape_power import ShapePower, expected_shapes
from scaling.planning.candidates import Room
from scaling.planning.corpus_facts import corpus_facts
from scaling.planning.extension import additions, extended_grid, grid_overrides
from scaling.planning.power import default_target, plan_power, points_for_the_laws
from scaling.planning.proposals import Proposals, propose
from scaling.records import read_records
from scaling.report.numbers import amount, scientific
from scaling.shapes import ASPECT, holds_size, shape_groups, shaped
from scaling.specs import Plan, read_plan
from scaling.terminal import warn

REACH = (1.0, 4.0, 16.0)  # how much more than the plan's largest point a point to add may cost, tried in this order


def asked(config: StudyConfig) -> str:
    """The study's question in a sentence: the user's, or what its corpus and its grid ask."""
    if config.question is not None:
        return config.question
    grid, source = config.grid, config.data.source
    names = [size.name for size in grid.sizes]
    decoders = f"a decoder of {names[0]}" if len(names) == 1 else f"decoders of {names[0]} to {names[-1]}"
    text = config.data.name if config.data.name != source.kind or source.path is None else source.path
    budgets = [budget for size in grid.sizes for budget in size.budgets or grid.budgets]
    low, high = min(budgets), max(budgets)
    if config.power.quantity == ASPECT:
        return f"Wide or deep: which shape of {decoders} does best on {text}?"
    if grid.unique_tokens:
        return f"What is a further epoch over the same text of {text} worth to {decoders}?"
    if grid.kind == "isoflop":
        spent = (
            f"of {scientific(low, 2)} to {scientific(high, 2)} FLOPs" if low < high else f"of {scientific(low)} FLOPs"
        )
        return f"Which of the {decoders} does best on {text} for budgets {spent}?"
    per = " for each parameter" if grid.kind == "tokens_per_param" else ""
    return (
        f"How does the loss of {decoders} on {text} fall with their parameters and their training tokens, "
        f"{amount(low)} to {amount(high)}{per}?"
    )


def question(config: StudyConfig, plan: Plan, manifest: Manifest | None = None) -> Question:
    """Of a plan that holds N fixed and is asked for N what it can tell is asked: which shape is best.

    Raises ConfigError where `power.prior` names no study that says anything.
    """
    belief = belief_of(config)
    power = plan_power(plan, belief, config.power.target, level=config.fit.level)
    shapes, holds, asked = outlook_on_shapes(config, plan, belief), bool(holds_size(plan)), config.power.quantity
    if holds and asked is not None:
        asked = ASPECT
    if asked in (None, ASPECT) or power is None or power.answers(asked) == "yes":
        return Question(asked, power, "", shapes, holds)
    return Question(asked, power, cheapest_answer(config, plan, belief, asked, manifest), shapes, holds)


def outlook_on_shapes(config: StudyConfig, plan: Plan, belief: Belief) -> ShapePower | None:
    """Held-out points count: they are held out of laws."""
    groups = shape_groups(plan)
    if not groups:
        return None
    sizes = {size for group in groups for size in group.params}
    design, cells = shaped([point for point in plan.points if point.size in sizes], groups)
    ratios = [ratio for group in groups for ratio in group.aspects.values()]
    what = " and ".join(f"{len(g.params)} of about {g.typical_params:.3g} {g.counted}" for g in groups)
    what += f", d_model / num_layers from {min(ratios):.3g} to {max(ratios):.3g}"
    budgets = len({budget for _, budget in cells})
    return expected_shapes(design, budgets, what, belief.noise, belief.source, level=config.fit.level)


def belief_of(config: StudyConfig) -> Belief:
    """An earlier study's law and noise where `power.prior` names one, else the config's own."""
    if config.power.prior is None:
        return config.power.belief
    return belief_of_study(Path(config.power.prior))


def belief_of_study(folder: Path) -> Belief:
    """Raises ConfigError: no plan there, or no usable law."""
    path = of_study(folder, PLAN_FILE)
    try:
        return measured_belief(read_plan(path), list(read_records(folder, warn)))
    except NoBelief as error:
        raise ConfigError(f"{error}; or take power.prior=null") from None


def room_of(config: StudyConfig, manifest: Manifest | None = None) -> Room:
    """What points are added to; how much text there is to train on is known from the prepared corpus' manifest."""
    return Room(config.grid, config.model, config.recipe, corpus_facts(config.data, manifest))


def cheapest_answer(config: StudyConfig, plan: Plan, belief: Belief, asked: str, manifest: Manifest | None) -> str:
    """The points that would make the plan answer, in words, with the overrides that add them."""
    good, _ = LIMITS[asked]
    if config.grid.unique_tokens or config.grid.vocab_sizes:
        return (
            "Add sizes or budgets to the grid, or ask for less with power.target, or for nothing: power.quantity=null."
        )
    room = room_of(config, manifest)
    fitted = points_for_the_laws(plan)
    target = config.power.target or default_target(plan)
    largest = max(point.flops for point in plan.points)
    for reach in REACH:
        found = propose(
            plan, room, belief, fitted,
            name=asked, target=target, until_sd=good, max_point_flops=reach * largest,
        )  # fmt: skip
        if found.sd_after <= good:
            break
    if not found.points or not math.isfinite(found.sd_after):
        return "No point within the reach of this plan would change that: ask for a smaller power.target."
    verb = "would make it answer" if found.sd_after <= good else "would help, though not make it answer"
    overrides = grid_overrides(extended_grid(room, plan, additions(found)))
    return (
        f"{len(found.points)} more points, {found.flops:.2g} FLOPs beside the plan's {plan.total_flops:.2g}, {verb} "
        f"(standard deviation {found.sd_after:.2g}): {point_list(found)}. Add {overrides}; or ask for less with "
        "power.target, or for nothing with power.quantity=null."
    )


def point_list(found: Proposals) -> str:
    """Sizes with their shapes and token counts."""
    words = []
    for point in found.points:
        shape = f" ({point.size.num_layers} layers of {point.size.d_model})" if point.new_size else ""
        words.append(f"{point.size.name}{shape} at {point.tokens:,} tokens")
    return ", ".join(words)
