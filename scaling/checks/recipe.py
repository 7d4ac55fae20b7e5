"""How each point is trained: rules, schedules and budgets that put a bend of their own into the losses."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate

from scaling.checks.evidence import PlannedStudy
from scaling.findings import Finding
from scaling.laws.distributions import normal_tail, t_quantile
from scaling.numbers import plural
from scaling.specs import PlannedPoint, RunSpec, Schedule

JUMP_WARN = 2.0
REVERSAL_WARN = 1.5
ROUNDING_WARN = 0.05
WARMUP_SHARE_WARN, WARMUP_SHARE_REFUSE = 0.10, 0.25
STEPS_WARN, STEPS_REFUSE = 500, 100
WARMUP_SHARE_LEAST, STEPS_MOST = 0.001, 1_000_000
COOLDOWN_SHARE_WARN = 0.05
FINAL_LR_SHARE_WARN = 0.2
CORNER_SIGMAS = 2.0
CORNERS_SOURCE = "Porian et al. 2024, arXiv 2406.19146; docs/tune.md"

RULES: dict[str, Callable[[RunSpec], float]] = {
    "batch": lambda run: run.optimizer.batch_tokens,
    # As the rule has it: muP then divides AdamW's by the width, which shapes of one N differ in.
    "matrix LR": lambda run: (
        run.optimizer.matrix_lr * (1.0 if run.optimizer.kind == "muon" else run.model.width_multiplier)
    ),
    "embedding LR": lambda run: run.optimizer.embedding_lr,
    "vector LR": lambda run: run.optimizer.vector_lr,
    "weight decay": lambda run: run.optimizer.weight_decay,
    "memory of beta2": lambda run: 1.0 / (1.0 - run.optimizer.beta2),
}


def rule_jumps(study: PlannedStudy) -> Iterator[Finding]:
    """A rule evaluated at another point's N or D leaps between neighbours, or turns back.

    A rule that is a power of N or D with an exponent of at most one moves less than N or D itself does.
    """
    by_size: dict[int, dict[int, RunSpec]] = defaultdict(dict)
    by_budget: dict[int, dict[int, RunSpec]] = defaultdict(dict)
    for point in study.plan.points:
        run = study.plan.by_id[point.run_id]
        by_size[point.params][point.tokens] = by_budget[point.tokens][point.params] = run
    lines = [(f"{next(iter(runs.values())).size} along D", runs) for runs in by_size.values()]
    lines += [(f"{tokens:,} tokens along N", runs) for tokens, runs in by_budget.items()]
    faults = [fault for where, runs in lines for name in RULES for fault in _faults(where, name, runs)]
    if faults:
        yield Finding(
            "rule_jumps",
            "warn",
            f"{plural(len(faults), 'leap')} of the recipe, the largest: {max(faults)[1]} (warn when a number changes "
            "more than "
            f"{JUMP_WARN:g} times and more than N or D does, or turns back by {REVERSAL_WARN:g} times).",
            "Evaluate each rule at the point's own N and D, and look at the columns of the dry run.",
            "public isoFLOP studies whose batch and decay belong to another horizon; docs/recipe.md",
        )


def _faults(where: str, name: str, runs: dict[int, RunSpec]) -> Iterator[tuple[float, str]]:
    """The factor of each leap of one rule over one line of points, with words."""
    ends = sorted(runs)
    values = [RULES[name](runs[end]) for end in ends]
    if min(values) <= 0:
        return
    for i in range(len(ends) - 1):
        leap = math.exp(abs(math.log(values[i + 1] / values[i])))
        if leap > max(JUMP_WARN, ends[i + 1] / ends[i]) * (1 + 1e-9):
            yield leap, f"{name} of {where} goes from {values[i]:.3g} to {values[i + 1]:.3g} in one step"
    highest, lowest = (list(accumulate(reversed(values), end))[::-1] for end in (max, min))  # from each one on
    rise = max(later / earlier for earlier, later in zip(values, highest, strict=True))
    fall = max(earlier / later for earlier, later in zip(values, lowest, strict=True))
    if min(rise, fall) > REVERSAL_WARN:
        yield min(rise, fall), f"{name} of {where} rises {rise:.2g} times and falls {fall:.2g} times"


def batch_rounding(study: PlannedStudy) -> Iterator[Finding]:
    """Tokens that had to move far to fill whole batches put steps into a curve."""
    off = {point.index: abs(point.tokens / point.nominal_tokens - 1.0) for point in study.plan.points}
    worst = study.plan.points[max(off, key=lambda index: off[index])]
    if off[worst.index] > ROUNDING_WARN:
        yield Finding(
            "batch_rounding",
            "warn",
            f"{worst.size} asked for {worst.nominal_tokens:,.0f} tokens gets {worst.tokens:,}, "
            f"{off[worst.index]:.1%} off (warn above {ROUNDING_WARN:.0%}).",
            "Lower recipe.batch_tokens, or choose budgets that are multiples of the batch.",
            "public isoFLOP studies with batches rounded to powers of two",
        )


def _warmup_share(study: PlannedStudy, point: PlannedPoint) -> float:
    return study.plan.by_id[point.run_id].schedule.warmup_steps / point.steps


def warmup_share(study: PlannedStudy) -> Iterator[Finding]:
    """A warmup that is a large part of a short run is one of the three causes of Kaplan's exponent."""
    share = partial(_warmup_share, study)
    point = max(study.plan.points, key=share)
    if share(point) > WARMUP_SHARE_WARN:
        yield Finding(
            "warmup_share",
            "refuse" if share(point) > WARMUP_SHARE_REFUSE else "warn",
            f"The warmup is {share(point):.0%} of the steps of {point.size} at {point.tokens:,} tokens (warn above "
            f"{WARMUP_SHARE_WARN:.0%}, refuse above {WARMUP_SHARE_REFUSE:.0%}).",
            "Lower recipe.warmup_params_share or recipe.warmup_min_steps, or raise the smallest budget.",
            "Porian et al. 2024, arXiv 2406.19146",
        )


def short_warmup(study: PlannedStudy) -> Iterator[Finding]:
    """A warmup that was right for short runs is none in a run a thousand times as long."""
    share = partial(_warmup_share, study)
    point = min(study.plan.points, key=share)
    if share(point) < WARMUP_SHARE_LEAST:
        warmup = study.plan.by_id[point.run_id].schedule.warmup_steps
        yield Finding(
            "short_warmup",
            "warn",
            f"The warmup is {warmup:,} of {point.steps:,} steps of {point.size} at {point.tokens:,} tokens (warn below "
            f"{WARMUP_SHARE_LEAST:.1%}).",
            "Raise recipe.warmup_params_share or recipe.warmup_min_steps: the recipe was tuned on shorter runs.",
            "a judgement of this program: published runs warm up over 0.1% to 4% of their steps",
        )


def many_steps(study: PlannedStudy) -> Iterator[Finding]:
    """A batch that was right for small models makes more steps of a large one than anybody has trained."""
    point = max(study.plan.points, key=lambda point: point.steps)
    if point.steps > STEPS_MOST:
        batch = study.plan.by_id[point.run_id].optimizer.batch_tokens
        yield Finding(
            "many_steps",
            "warn",
            f"{point.size} on {point.tokens:,} tokens takes {point.steps:,} steps of {batch:,} tokens (warn above "
            f"{STEPS_MOST:,}).",
            "Raise recipe.batch_tokens, or let it grow with recipe.batch_exponent and recipe.batch_tokens_exponent: "
            "the recipe was tuned on smaller models and less text.",
            "McCandlish et al. 2018, arXiv 1812.06162: below the critical batch few tokens are saved",
        )


def few_steps(study: PlannedStudy) -> Iterator[Finding]:
    """With few optimiser steps the loss follows the number of steps rather than of tokens."""
    points = study.plan.points
    fewest = min(points, key=lambda point: point.steps)
    if fewest.steps < STEPS_WARN:
        few = sum(point.steps < STEPS_WARN for point in points)
        yield Finding(
            "few_steps",
            "refuse" if fewest.steps < STEPS_REFUSE else "warn",
            f"{few} of {len(points)} points have fewer than {STEPS_WARN} optimiser steps; the fewest are "
            f"{fewest.steps}, of {fewest.size} at {fewest.tokens:,} tokens (refuse below {STEPS_REFUSE}).",
            "Lower recipe.batch_tokens or raise the smallest budget.",
            "McCandlish et al. 2018, arXiv 1812.06162",
        )


def undecayed_end(study: PlannedStudy) -> Iterator[Finding]:
    """A loss at a learning rate that has not come down is of another kind: some percent above a decayed one."""
    shares = {run.size: run.schedule.cooldown_share for run in study.plan.runs if run.branching}
    size, least = min(shares.items(), key=lambda item: item[1], default=("", 1.0))
    highest = max((run.schedule.final_lr_share for run in study.plan.runs if not run.branching), default=0.0)
    if least < COOLDOWN_SHARE_WARN:
        numbers = f"The cooldown of {size} is {least:.1%} of its steps (warn below {COOLDOWN_SHARE_WARN:.0%})."
        remedy = "Raise recipe.cooldown_share; 0.1 to 0.2 match a cosine of the right length."
    elif highest > FINAL_LR_SHARE_WARN:
        numbers = f"The learning rate ends at {highest:.0%} of its peak (warn above {FINAL_LR_SHARE_WARN:.0%})."
        remedy = "Lower recipe.final_lr_share to 0.1 or less."
    else:
        return
    yield Finding(
        "undecayed_end",
        "warn",
        numbers,
        remedy,
        "Hägele et al. 2024, arXiv 2405.18392; Hoffmann et al. 2022, arXiv 2203.15556, appendix B",
    )


def mixed_schedules(study: PlannedStudy) -> Iterator[Finding]:
    """Losses after different schedules lie on different laws."""
    kinds = {_words(run.schedule) for run in study.plan.runs}
    if len(kinds) > 1:
        yield Finding(
            "mixed_schedules",
            "refuse",
            f"The points of one fit are trained with {len(kinds)} schedules: {'; '.join(sorted(kinds))}.",
            "Train every point with one schedule, for example recipe=wsd, or make a study of each.",
            "Gemstones 2025, arXiv 2502.06857: an exponent of .46 to .97 on one suite by choice of points",
        )


def _words(schedule: Schedule) -> str:
    if schedule.kind == "wsd":
        return f"wsd with a cooldown of {schedule.cooldown_share:.0%}"
    return f"{schedule.kind} to {schedule.final_lr_share:.0%} of the peak"


def learning_rate_corners(study: PlannedStudy) -> Iterator[Finding]:
    """The rates, halved and doubled where the grid ends, by `python -m scaling.tune corners=true`.

    The best of several comparisons is held against a limit that all of them share (Bonferroni), so that together they
    raise a false alarm as seldom as one at two sigma.
    """
    corners = study.corners
    if corners is None:
        return
    if not corners.belongs_to(study.plan):
        yield Finding(
            "learning_rate_corners",
            "info",
            "The learning rates at the grid's corners were checked for other runs than those of this plan.",
            "Check them again: python -m scaling.tune corners=true with the study's overrides.",
            CORNERS_SOURCE,
        )
        return
    compared = [(gain, multiple, corner) for corner in corners.corners for multiple, gain in corner.gains.items()]
    lost = [corner for corner in corners.corners if corner.own_loss is None]
    if not compared and not lost:
        return
    tail = normal_tail(CORNER_SIGMAS) / max(1, len(compared))
    limit = t_quantile(1 - tail, corners.noise_freedom) * corners.gain_sd
    better = sorted((c for c in compared if c[0] > limit), key=lambda c: -c[0])
    if not better and not lost:
        return
    said = [
        f"{c.size} at {c.tokens:,} tokens is lower by {gain:.1%} with x{multiple:g}" for gain, multiple, c in better
    ]
    said += [f"{c.size} at {c.tokens:,} tokens has no loss at the rule's own rates" for c in lost]
    yield Finding(
        "learning_rate_corners",
        "warn",
        f"The learning rates are off at {len(said)} of {len(compared)} comparisons at the grid's corners: "
        f"{'; '.join(said)} (warn above {limit:.1%}, {CORNER_SIGMAS:g} sigma of seed noise over all comparisons).",
        f"Correct the rule: {corners.remedy}",
        CORNERS_SOURCE,
    )
