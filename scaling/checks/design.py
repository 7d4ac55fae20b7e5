"""Which points there are: whether they can tell what is asked of them."""

from collections import defaultdict
from collections.abc import Iterator

from scaling.checks.evidence import PlannedStudy
from scaling.findings import Finding
from scaling.laws.repeated import REPEATED

EPOCHS_WARN, EPOCHS_REFUSE = 4.0, 1000.0
MIN_LEVELS = 3
MIN_RATIO_SPREAD = 2.0
MIN_PROFILE_SIZES = 4


def unidentifiable_design(study: PlannedStudy) -> Iterator[Finding]:
    """The exponents of N and D need at least three levels of each, and more than one ratio D/N."""
    if _holds_size(study):
        yield Finding(
            "unidentifiable_design",
            "info",
            "The sizes are shapes of about one N: losses will tell the best d_model / num_layers and what others cost, "
            "and nothing of the best N or of any exponent of N.",
            "Add sizes of other N for a law.",
            "Kaplan et al. 2020, arXiv 2001.08361, section 3.1",
        )
        return
    fitted = [point for point in study.plan.points if not point.held_out]
    sizes = {point.params for point in fitted}
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
            "Add sizes to grid.sizes or budgets to grid.budgets; the report will refuse the law otherwise.",
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


def thin_profiles(study: PlannedStudy) -> Iterator[Finding]:
    """A parabola through fewer sizes has no degree of freedom left, and its minimum lies at an edge."""
    if _holds_size(study):
        return
    budgets: dict[float, set[int]] = defaultdict(set)
    for point in study.plan.points:
        if point.nominal_flops is not None and not point.held_out:
            budgets[point.nominal_flops].add(point.params)
    thin = {budget: len(sizes) for budget, sizes in budgets.items() if len(sizes) < MIN_PROFILE_SIZES}
    if thin:
        budget, count = min(thin.items(), key=lambda item: item[1])
        yield Finding(
            "thin_profiles",
            "warn",
            f"{len(thin)} of {len(budgets)} isoFLOP budgets have fewer than {MIN_PROFILE_SIZES} sizes; {budget:.3g} "
            f"FLOPs has {count}.",
            "Add sizes to grid.sizes on both sides of the expected best N of that budget.",
            "Hoffmann et al. 2022, arXiv 2203.15556, approach 2",
        )


def repeated_data(study: PlannedStudy) -> Iterator[Finding]:
    """Repeated tokens are worth less than new ones, and a plain law does not know."""
    repeated = [point for point in study.plan.points if point.epochs is not None and point.epochs > 1.0]
    if not repeated:
        return
    most = max(point.epochs or 0.0 for point in repeated)
    fitted = [point for point in study.plan.points if not point.held_out]
    fresh = [point for point in fitted if (point.epochs or 0.0) <= REPEATED]
    none_fresh = all((point.epochs or 0.0) > REPEATED for point in study.plan.points)
    # Too few for the plain laws, which are then fitted to points whose text was worth less and less.
    too_few = min(len({p.params for p in fresh}), len({p.tokens for p in fresh})) < MIN_LEVELS
    worn = too_few and any((point.epochs or 0.0) > EPOCHS_WARN for point in fitted)
    hopeless = none_fresh or worn or most > EPOCHS_REFUSE
    why = "none sees fresh text alone" if none_fresh else f"only {len(fresh)} of the fitted ones are fresh"
    yield Finding(
        "repeated_data",
        "refuse" if hopeless else "warn" if most > EPOCHS_WARN else "info",
        f"{len(repeated)} of {len(study.plan.points)} points train for more than one epoch, at most {most:,.1f} "
        f"(warn above {EPOCHS_WARN:.0f}, refuse above "
        f"{EPOCHS_REFUSE:,.0f}){f'; {why}' if none_fresh or worn else ''}.",
        f"Use a larger corpus or smaller budgets: a law of fresh text needs points that see it once, of {MIN_LEVELS} "
        "sizes and token counts at least."
        if hopeless
        else "Use a larger corpus or smaller budgets; a law of unique tokens is needed for the rest.",
        "Muennighoff et al. 2023, arXiv 2305.16264",
    )


def no_replicates(study: PlannedStudy) -> Iterator[Finding]:
    """Without a second seed nothing says how small a residual can be."""
    if not any(point.replicate for point in study.plan.points):
        yield Finding(
            "no_replicates",
            "info",
            "No cell has a second seed, so residuals cannot be held against the noise of a seed.",
            "Add grid.replicates for one or two cheap sizes.",
            "Porian et al. 2024, arXiv 2406.19146",
        )


def nothing_held_out(study: PlannedStudy) -> Iterator[Finding]:
    """A law that fits is not yet a law that predicts; R^2 is no test of it."""
    if not study.plan.num_held_out and not _holds_size(study):
        yield Finding(
            "nothing_held_out",
            "info",
            "No point is kept out of the fit, so nothing will test the law.",
            "Set grid.holdout_share=0.2, which predicts the fifth of the points with most compute before they are "
            "trained.",
            "Choshen et al. 2024, arXiv 2410.11840",
        )


def _holds_size(study: PlannedStudy) -> bool:
    """Whether the plan varies the shape and not N, so that it is held against no law."""
    return study.question is not None and study.question.holds_size
