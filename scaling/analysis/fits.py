"""The set of laws of a study: the surface L(N, D), and L(N), L(D), L(C) each with a floor and without."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from scaling.analysis.observations import CONVENTIONS, Convention, observations
from scaling.laws.bootstrap import Bootstrap, bootstrap
from scaling.laws.fit import Fit, fit_law
from scaling.laws.forms import CHINCHILLA, Law, power_law
from scaling.laws.intervals import Interval, parameter_intervals, percentiles
from scaling.laws.observations import Observations, frontier
from scaling.laws.optimum import allocate, optimum
from scaling.records import RunRecord
from scaling.results import ConventionRow, FittedLaw, OptimalAllocation
from scaling.specs import Plan

# The least that `laws` fits a floor, a factor and an exponent to: two levels more than parameters.
MIN_LEVELS = 5


def fit_with_intervals(
    title: str, law: Law, rows: Observations, *, resamples: int, level: float, seed: int
) -> FittedLaw:
    fit = fit_law(law, rows)
    boot: Bootstrap | None = None
    intervals: dict[str, Interval] = {}
    if fit.parameters:
        if resamples and len(set(rows.trajectory)) > 1:
            boot = bootstrap(fit, rows, resamples=resamples, seed=seed)
        intervals = parameter_intervals(fit, rows, boot, level=level)
    return FittedLaw(title, fit, rows, boot, intervals)


def fit_surface(rows: Observations, *, resamples: int, level: float, seed: int) -> FittedLaw:
    return fit_with_intervals("L(N, D)", CHINCHILLA, rows, resamples=resamples, level=level, seed=seed)


def fit_lines(
    rows: Observations, sizes: Sequence[str], *, resamples: int, level: float, seed: int
) -> tuple[FittedLaw, ...]:
    """L(N) at one budget, L(D) of one size, L(C) of the frontier, each with a floor and without.

    A slice is the largest budget that `MIN_LEVELS` sizes share, and the largest size with as many budgets; where there
    is none, the one with most. `sizes` name the rows.
    """
    by_tokens = Counter(tokens for _, tokens in {(s, float(t)) for s, t in zip(sizes, rows.tokens, strict=True)})
    tokens = max(by_tokens, key=lambda t: (min(by_tokens[t], MIN_LEVELS), t))
    by_params = Counter(
        params for params, _ in {(float(p), float(t)) for p, t in zip(rows.params, rows.tokens, strict=True)}
    )
    params = max(by_params, key=lambda p: (min(by_params[p], MIN_LEVELS), p))
    size = sizes[int(np.flatnonzero(rows.params == params)[0])]
    slices = (
        ("params", f"L(N) at D = {tokens / 1e6:.3g}M tokens", rows.take(np.flatnonzero(rows.tokens == tokens))),
        ("tokens", f"L(D) of size {size}", rows.take(np.flatnonzero(rows.params == params))),
        ("flops", "L(C) along the frontier", rows.take(frontier(rows))),
    )
    fitted = []
    for variable, title, part in slices:
        for floor in (True, False):
            law = power_law(variable, floor=floor)  # type: ignore[arg-type]
            fitted.append(fit_with_intervals(title, law, part, resamples=resamples, level=level, seed=seed))
    return tuple(fitted)


def optimal_allocations(surface: FittedLaw, targets: Sequence[float], level: float) -> tuple[OptimalAllocation, ...]:
    """The best N and D of each budget under C = 6 N D; nothing where the fit gives no usable number."""
    if not surface.fit.usable:
        return ()
    found = []
    for flops in targets:
        intervals: list[Interval | None] = [None, None, None]
        if surface.bootstrap is not None:
            draws = allocate(surface.fit.law, surface.bootstrap.parameters, flops)
            for i, values in enumerate(draws):
                low, high = percentiles(values, level)
                intervals[i] = Interval(float(low), float(high), level, "bootstrap by trajectory")
        found.append(OptimalAllocation(optimum(surface.fit, flops), *intervals))
    return tuple(found)


def convention_table(plan: Plan, records: Sequence[RunRecord], target_flops: float) -> tuple[ConventionRow, ...]:
    """The surface under each way of counting: how far the answer is a matter of bookkeeping."""
    return tuple(_convention_row(plan, records, convention, target_flops) for convention in CONVENTIONS.values())


def _convention_row(
    plan: Plan, records: Sequence[RunRecord], convention: Convention, target_flops: float
) -> ConventionRow:
    fit: Fit = fit_law(CHINCHILLA, observations(plan, records, convention))
    if not fit.usable:
        return ConventionRow(convention.text, fit.status, None, None, None, None)
    allocation = optimum(fit, target_flops)
    return ConventionRow(
        convention.text,
        fit.status,
        fit.parameters["alpha"],
        fit.parameters["beta"],
        allocation.params_exponent,
        allocation.params,
    )
