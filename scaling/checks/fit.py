"""What a fit may be believed: whether it stands, how wide its floor is, how far it reaches, what its optimum means."""

import math
from collections.abc import Iterator

import numpy as np

from scaling.checks.optimum import (
    FACTOR,
    largest_fitted_flops,
    log_optimum,
    log_optimum_variance,
    target_flops,
)
from scaling.findings import Finding
from scaling.laws.analysis import LARGE
from scaling.laws.distributions import chi2_quantile
from scaling.laws.intervals import parameter_intervals
from scaling.laws.newton import polish
from scaling.laws.noise import huber_moments, shared_correlation
from scaling.laws.observations import points
from scaling.laws.optimum import allocate
from scaling.laws.search import LARGE_STARTS, sampled, settled
from scaling.numbers import scientific
from scaling.results import FittedLaw, LawReport, StudyReport, TableReport

DECADES_WARN, DECADES_REFUSE = 1.5, 3.0
FLOOR_MATTERS = 0.25
ENDS = 200
NARROW_WARN = 0.5
EXPONENT_SPREAD = 0.05
RIVAL_SIGMAS = 3.0
RIVAL_STARTS, RIVAL_ITERATIONS = 60, 60
BAND = 0.005


def unusable_law(report: LawReport) -> Iterator[Finding]:
    """A parameter at its bound, or one that other values replace as well, is no estimate."""
    fit = report.surface.fit
    if fit.usable or report.analysis.line is not None:
        return
    if isinstance(report, StudyReport) and report.shapes is not None and report.shapes.answers:
        yield Finding(
            "unusable_law",
            "info",
            "The study is of shapes, and its losses carry no law in N: nothing is said of the best N of a budget or of "
            f"any exponent of N ({fit.message}).",
            "Add sizes of other N for a law.",
            "docs/decide.md",
        )
    else:
        yield Finding(
            "unusable_law",
            "refuse",
            f"{fit.law.name} over {fit.num_points} points is {fit.status.replace('_', ' ')}: {fit.message}.",
            "Add the points that it names; the numbers of this fit in the tables are no result.",
            "Besiroglu et al. 2024, arXiv 2404.10102; docs/laws.md",
        )


def one_line(report: LawReport) -> Iterator[Finding]:
    """Rows on one line tell the loss along it, and not what a step off it would do."""
    line = report.analysis.line
    if line is not None:
        yield Finding(
            "one_line",
            "info",
            f"All {len(report.fitted)} points lie at {line.words}: they give the loss along it, and say nothing of N "
            "against D. The best N of a budget, and the loss off this line, are not answered.",
            "For the best N add points off the line, such as a quarter of and four times the tokens at three sizes or "
            "more.",
            "Hoffmann et al. 2022, arXiv 2203.15556: each approach varies N at a given compute, or N and D apart",
        )


def several_optima(report: LawReport) -> Iterator[Finding]:
    """Another minimum that the points cannot tell from the best, with another answer."""
    fit, rows = report.surface.fit, report.surface.observations
    inside, second = huber_moments(float(np.std(fit.residuals)) if fit.usable else 0.0, fit.objective.delta)
    if not fit.usable or second <= 0:
        return
    surface, flops = fit.law.surface(rows), target_flops(report)
    starts = np.concatenate([surface.from_raw(fit.theta)[None], surface.from_raw(fit.pool[:RIVAL_STARTS])])
    part, part_weights = sampled(surface, rows.weights, LARGE)
    if part is not surface:  # all rows then see only the minima found in a sample
        minima = settled(part, starts, part_weights, fit.objective.delta, RIVAL_ITERATIONS)
        starts = np.concatenate([starts[:1], minima[:LARGE_STARTS]])
    found = polish(surface, starts, rows.weights, fit.objective.delta, max_iterations=RIVAL_ITERATIONS)
    # Twice the rise of the objective, over its scale, is chi-squared (Huber 1981).
    rise = 2 * (found.values - found.values[0]) / rows.weights.mean() * inside / second
    theta = surface.to_raw(found.coords[rise < chi2_quantile(0.95, 1)])
    answers = np.log(fit.law.optimal_params(theta, np.full(len(theta), flops)))
    away = np.nan_to_num(answers - log_optimum(fit, flops))
    farthest = away[int(np.argmax(np.abs(away)))]
    if abs(farthest) > max(RIVAL_SIGMAS * math.sqrt(log_optimum_variance(fit, rows, flops)), FACTOR):
        yield Finding(
            "several_optima",
            "warn",
            f"Another minimum fits the points as well and puts the best N of {scientific(flops)} FLOPs at "
            f"{math.exp(farthest):.2g} times this answer (warn beyond {RIVAL_SIGMAS:g} standard errors).",
            "Look for two kinds of points in the residuals against N and D, and measure where the two minima differ.",
            "Besiroglu et al. 2024, arXiv 2404.10102; few starts of Hoffmann's grid end in the best minimum",
        )


def unknown_floor(report: LawReport) -> Iterator[Finding]:
    """Far beyond the points a law is mostly its floor: forecast the farthest target from both ends of its interval."""
    law, interval = report.surface, report.surface.intervals.get("E")
    if not law.fit.usable or interval is None or not report.optima:
        return
    flops = max(best.allocation.flops for best in report.optima)
    low, high = (_loss_with_floor(law, floor, flops) for floor in (interval.low, interval.high))
    if max(low, high) > (1 + FLOOR_MATTERS) * min(low, high):
        yield Finding(
            "unknown_floor",
            "warn",
            f"The {interval.level:.0%} interval of the floor E is {interval.low:.3g} to {interval.high:.3g}; from its "
            f"two ends the best loss at {scientific(flops)} FLOPs is {low:.3g} or {high:.3g} (warn when they differ "
            "by more "
            f"than {FLOOR_MATTERS:.0%}).",
            "Add points with a lower loss (more parameters and more tokens), seeds of the largest points, or ask for a "
            "nearer target.",
            "Hoffmann et al. 2022, arXiv 2203.15556, appendix D; Besiroglu et al. 2024, arXiv 2404.10102",
        )


def _loss_with_floor(law: FittedLaw, floor: float, flops: float) -> float:
    """The law's best loss for a budget when its floor is held and all else is fitted again."""
    fit, rows = law.fit, law.observations
    surface = fit.law.surface(rows)
    held = fit.theta
    held[fit.law.parameter_names.index("E")] = floor
    start = surface.from_raw(held)
    lower, upper = surface.lower.copy(), surface.upper.copy()
    at = fit.law.parameter_names.index("E")
    lower[at] = upper[at] = start[at]
    found = polish(surface, start[None], rows.weights, fit.objective.delta, lower=lower, upper=upper)
    theta = surface.to_raw(found.coords)
    with np.errstate(divide="ignore"):
        best = float(allocate(fit.law, theta, flops)[2][0])
    if math.isfinite(best):
        return best
    # A term whose exponent or coefficient the floor has driven to zero: the best N lies at an end.
    params = np.geomspace(float(rows.params.min()), flops / 6 / float(rows.tokens.min()), ENDS)
    return float(fit.law.predict(theta[0], points(params, flops / 6 / params)).min())


def narrow_intervals(report: LawReport) -> Iterator[Finding]:
    """A bootstrap of few runs sees few combinations of them; the delta method knows its degrees of freedom."""
    fit, shown = report.surface.fit, report.surface.intervals
    if not fit.usable or not shown:
        return
    level = next(iter(shown.values())).level
    by_delta = parameter_intervals(fit, report.surface.observations, level=level)
    ratios = {
        name: (shown[name].high - shown[name].low) / (by_delta[name].high - by_delta[name].low)
        for name in ("E", "alpha", "beta")
        if name in shown and name in by_delta and by_delta[name].high > by_delta[name].low
    }
    if ratios and min(ratios.values()) < NARROW_WARN:
        name, ratio = min(ratios.items(), key=lambda item: item[1])
        yield Finding(
            "narrow_intervals",
            "warn",
            f"The {level:.0%} interval of {name} from resampled runs is {ratio:.0%} as wide as that of the curvature "
            f"and Student's t (warn below {NARROW_WARN:.0%}).",
            "Set fit.bootstrap=0, which shows the wider one, or train more sizes or seeds.",
            "simulation: residual bootstraps of 15 points cover 73-80% at a nominal 90%; docs/laws.md",
        )


def shared_runs(report: LawReport) -> Iterator[Finding]:
    """Branches of one trunk have their seed and most of their steps in common."""
    fit, rows = report.surface.fit, report.surface.observations
    runs = rows.trajectory_index()
    num_runs = int(runs.max()) + 1
    if not fit.usable or num_runs == len(rows):
        return
    shared = shared_correlation(fit.residuals, runs)
    sizes = np.bincount(runs)
    effective = float(np.sum(sizes / (1 + (sizes - 1) * shared)))
    yield Finding(
        "shared_runs",
        "info",
        f"The {len(rows)} points come from {num_runs} training runs; the residuals of one run correlate by "
        f"{shared:.2f}, so they are worth {effective:.0f} independent points.",
        "Nothing: intervals resample runs, not points. Further seeds add more than further budgets.",
        "Efron & Tibshirani 1993, chapter 8; Moulton 1986",
    )


def extrapolation(report: LawReport) -> Iterator[Finding]:
    """No point says how fast a form goes wrong beyond the points."""
    asked = [best.allocation.flops for best in report.optima]
    asked += [6 * point.params * point.tokens for point in report.analysis.points]
    far = max(asked, default=0.0) / largest_fitted_flops(report)
    if far > 10**DECADES_WARN:
        where = "targets" if isinstance(report, TableReport) else "fit.targets"
        yield Finding(
            "extrapolation",
            "refuse" if far > 10**DECADES_REFUSE else "warn",
            f"The farthest target has {far:,.0f} times the largest fitted compute (warn above {10**DECADES_WARN:.0f} "
            f"times, refuse above {10**DECADES_REFUSE:,.0f}).",
            f"Measure losses nearer to it, or ask for less: {where}="
            f"[{10**DECADES_WARN * largest_fitted_flops(report):.2g}].",
            "a judgement of this program: the error of a form grows with distance, and no point can show how fast",
        )


def flat_optimum(report: LawReport) -> Iterator[Finding]:
    """Near its best N a budget is worth nearly as much: an optimum is a band."""
    fit, flops = report.surface.fit, target_flops(report)
    if not fit.usable:
        return
    best = log_optimum(fit, flops)
    at = best + np.linspace(-4.0, 4.0, 1601)
    params, tokens = np.exp(at), flops / 6.0 / np.exp(at)
    _, _, allowed = allocate(fit.law, fit.theta[None], flops * (1 - BAND))
    inside = at[fit.law.predict(fit.theta, points(params, tokens)) <= allowed[0]]
    if len(inside):
        yield Finding(
            "flat_optimum",
            "info",
            f"For {scientific(flops)} FLOPs every N from {math.exp(inside[0] - best):.2f} to "
            f"{math.exp(inside[-1] - best):.2f} "
            f"times the best loses less than {BAND:.1%} of the compute.",
            "Choose N within the band by what matters besides: the smaller is cheaper to run, the larger trains on "
            "less text.",
            "Hoffmann et al. 2022, arXiv 2203.15556, figure 3: the valleys of equal compute are flat",
        )


def conventions(report: LawReport) -> Iterator[Finding]:
    """What N counts moves the exponent of its best value."""
    found = [row.params_exponent for row in report.conventions if row.params_exponent is not None]
    if len(found) < 2 or max(found) - min(found) <= EXPONENT_SPREAD:
        return
    # A study that counts all of N and C has done what can be done, and its report shows the others.
    counted = not isinstance(report, TableReport) and "without embeddings" not in report.fitted.convention
    yield Finding(
        "conventions",
        "info" if counted else "warn",
        f"The power of C with which the best N grows runs from {min(found):.3f} to {max(found):.3f} over the ways of "
        f"counting N (more than {EXPONENT_SPREAD} apart).",
        "Say which N is meant wherever the number goes, and compare only with work that counts the same way.",
        "Pearce & Song 2024, arXiv 2406.12907",
    )
