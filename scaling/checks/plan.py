"""Pitfalls that a plan shows before anything is spent. Each is a function from the plan to its findings."""

from collections import defaultdict
from collections.abc import Iterator

from scaling.findings import Finding
from scaling.specs import Plan

WARMUP_SHARE_WARN, WARMUP_SHARE_REFUSE = 0.10, 0.25
STEPS_WARN, STEPS_REFUSE = 500, 100
ROUNDING_WARN = 0.05
EPOCHS_WARN = 4.0
MIN_LEVELS = 3
MIN_RATIO_SPREAD = 2.0


def check_plan(plan: Plan) -> tuple[Finding, ...]:
    """Every finding, the gravest first."""
    checks = (warmup_share, few_steps, batch_rounding, repeated_data, unidentifiable_design, no_replicates)
    findings = [finding for check in checks for finding in check(plan)]
    order = {"refuse": 0, "warn": 1, "info": 2}
    return tuple(sorted(findings, key=lambda finding: order[finding.level]))


def warmup_share(plan: Plan) -> Iterator[Finding]:
    """A warmup that is a large part of a short run is one of the three causes of Kaplan's exponent."""
    shares = {
        (point.size, point.tokens): plan.by_id[point.run_id].schedule.warmup_steps / point.steps
        for point in plan.points
    }
    (size, tokens), worst = max(shares.items(), key=lambda item: item[1])
    if worst > WARMUP_SHARE_WARN:
        yield Finding(
            "warmup_share",
            "refuse" if worst > WARMUP_SHARE_REFUSE else "warn",
            f"The warmup is {worst:.0%} of the steps of {size} at {tokens:,} tokens (warn above "
            f"{WARMUP_SHARE_WARN:.0%}, refuse above {WARMUP_SHARE_REFUSE:.0%}).",
            "Lower recipe.warmup_params_share or recipe.warmup_min_steps, or raise the smallest budget.",
            "Porian et al. 2024, arXiv 2406.19146",
        )


def few_steps(plan: Plan) -> Iterator[Finding]:
    """With few optimiser steps the loss follows the number of steps rather than of tokens."""
    fewest = min(plan.points, key=lambda point: point.steps)
    if fewest.steps < STEPS_WARN:
        few = sum(point.steps < STEPS_WARN for point in plan.points)
        yield Finding(
            "few_steps",
            "refuse" if fewest.steps < STEPS_REFUSE else "warn",
            f"{few} of {len(plan.points)} points have fewer than {STEPS_WARN} optimiser steps; the fewest are "
            f"{fewest.steps}, of {fewest.size} at {fewest.tokens:,} tokens (refuse below {STEPS_REFUSE}).",
            "Lower recipe.batch_tokens or raise the smallest budget.",
            "McCandlish et al. 2018, arXiv 1812.06162",
        )


def batch_rounding(plan: Plan) -> Iterator[Finding]:
    """Tokens that had to move far to fill whole batches put steps into a curve."""
    off = {point.index: abs(point.tokens / point.nominal_tokens - 1.0) for point in plan.points}
    worst = plan.points[max(off, key=lambda index: off[index])]
    if off[worst.index] > ROUNDING_WARN:
        yield Finding(
            "batch_rounding",
            "warn",
            f"{worst.size} asked for {worst.nominal_tokens:,.0f} tokens gets {worst.tokens:,}, "
            f"{off[worst.index]:.1%} off (warn above {ROUNDING_WARN:.0%}).",
            "Lower recipe.batch_tokens, or choose budgets that are multiples of the batch.",
            "public isoFLOP studies with batches rounded to powers of two",
        )


def repeated_data(plan: Plan) -> Iterator[Finding]:
    """Repeated tokens are worth less than new ones, and a plain law does not know."""
    repeated = [point for point in plan.points if point.epochs is not None and point.epochs > 1.0]
    if not repeated:
        return
    most = max(point.epochs or 0.0 for point in repeated)
    yield Finding(
        "repeated_data",
        "warn" if most > EPOCHS_WARN else "info",
        f"{len(repeated)} points train for more than one epoch, at most {most:.1f} (warn above {EPOCHS_WARN:.0f}).",
        "Use a larger corpus or smaller budgets; a law of unique tokens is needed for the rest.",
        "Muennighoff et al. 2023, arXiv 2305.16264",
    )


def unidentifiable_design(plan: Plan) -> Iterator[Finding]:
    """The exponents of N and D need at least three levels of each, and more than one ratio D/N."""
    fitted = [point for point in plan.points if not point.held_out]
    sizes = {point.params for point in fitted}
    budgets: dict[int, set[int]] = defaultdict(set)
    for point in fitted:
        budgets[point.params].add(point.tokens)
    levels = len({point.tokens for point in fitted})
    ratios = [point.tokens / point.params for point in fitted]
    numbers = (
        f"The fitted points have {len(sizes)} sizes, {levels} token counts and tokens per parameter from "
        f"{min(ratios):.3g} to {max(ratios):.3g}"
    )
    if len(sizes) < MIN_LEVELS or levels < MIN_LEVELS:
        yield Finding(
            "unidentifiable_design",
            "warn",
            f"{numbers}; L(N, D) needs at least {MIN_LEVELS} of each.",
            "Add sizes or budgets to the grid; the report will refuse the law otherwise.",
            "Hoffmann et al. 2022, arXiv 2203.15556, approach 3",
        )
    elif max(ratios) < MIN_RATIO_SPREAD * min(ratios):
        yield Finding(
            "unidentifiable_design",
            "refuse",
            f"{numbers}, so N and D move together and no fit can tell their exponents apart.",
            "Add budgets away from that ratio: points at a tenth of the compute suffice.",
            "docs/numbers.md; Hoffmann et al. 2022, arXiv 2203.15556",
        )


def no_replicates(plan: Plan) -> Iterator[Finding]:
    if not any(point.replicate for point in plan.points):
        yield Finding(
            "no_replicates",
            "info",
            "No cell has a second seed, so residuals cannot be held against the noise of a seed.",
            "Add grid.replicates for one or two cheap sizes.",
            "Porian et al. 2024, arXiv 2406.19146",
        )
