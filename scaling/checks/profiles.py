"""IsoFLOP profiles and their parabolas: off centre, too wide, at an edge, of budgets that are none."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from scaling.checks.optimum import FACTOR, log_optimum_variance, profile_optimum, target_flops
from scaling.checks.residuals import noise_of
from scaling.findings import Finding
from scaling.laws.agreement import FINISHED, compare_estimators
from scaling.laws.envelope import finished_curves
from scaling.laws.fit import fit_law
from scaling.laws.isoflop import MIN_SIZES, Parabola, budget_groups, fit_isoflops
from scaling.laws.observations import IntArray, Observations
from scaling.numbers import scientific
from scaling.results import LawReport

ASYMMETRY_WARN = 0.6
DRIFT_WARN = 0.6
BEND_SIGMAS = 3.0
BUDGET_SPREAD_WARN = 1.1
DISAGREE_WARN, DISAGREE_SIGMAS = 1.25, 3.0
DRAWS = 40


def regrouped_budgets(report: LawReport) -> Iterator[Finding]:
    """Points of one nominal budget with very different compute are points of several."""
    spreads = {
        budget: float(report.fitted.flops[rows].max() / report.fitted.flops[rows].min())
        for budget, rows in _profiles(report.fitted)
    }
    if spreads and max(spreads.values()) > BUDGET_SPREAD_WARN:
        budget, spread = max(spreads.items(), key=lambda item: item[1])
        yield Finding(
            "regrouped_budgets",
            "warn",
            f"The points of the budget {scientific(budget)} FLOPs differ {spread:.2f} times in compute (warn above "
            f"{BUDGET_SPREAD_WARN:g}): its parabola is none of equal compute.",
            "Name the budget that each point was planned for, and count C as the planner did.",
            "public isoFLOP code that rounds C and so merges 1.5e19 and 2.4e19",
        )


def off_centre(report: LawReport) -> Iterator[Finding]:
    """Sizes that lie to one side of the best N, the more so with compute, bend what parabolas say of its growth.

    Asymmetry: where the fitted law's optimum lies between the middle (0) and the ends (1 and -1) of a budget's log N.
    """
    fit, profiles = report.surface.fit, _profiles(report.fitted)
    if not fit.usable or len(profiles) < 2:
        return
    asymmetry = []
    for _, rows in profiles:
        x = np.log(report.fitted.params[rows])
        best = profile_optimum(fit, report.fitted.params[rows], report.fitted.tokens[rows])
        asymmetry.append((best - (x.max() + x.min()) / 2) / ((x.max() - x.min()) / 2))
    log_budgets = np.log([budget for budget, _ in profiles])
    drift = float(np.polyfit(log_budgets, asymmetry, 1)[0] * (log_budgets.max() - log_budgets.min()))
    mean = float(np.mean(asymmetry))
    if abs(mean) > ASYMMETRY_WARN or abs(drift) > DRIFT_WARN:
        side = "larger" if mean + drift / 2 > 0 else "smaller"
        yield Finding(
            "off_centre",
            "warn",
            f"The best N lies {mean:+.2f} of half a profile's width off the middle of its sizes (warn beyond "
            f"{ASYMMETRY_WARN:g}) and moves by {drift:+.2f} from the least to the most compute (warn beyond "
            f"{DRIFT_WARN:g}).",
            f"Add {side} sizes to the largest budgets: their middle should be the best N of the budgets before.",
            "Open-Athena, scaling-law-analysis, 2026: errors of up to 35% in the best D from drifting grids",
        )


def wide_profiles(report: LawReport) -> Iterator[Finding]:
    """Parabolas through the fitted law itself, without noise: what they miss is the fault of their width alone."""
    fit, profiles = report.surface.fit, _profiles(report.fitted)
    if not fit.usable or not profiles:
        return
    smooth = replace(report.fitted, loss=fit.law.predict(fit.theta, report.fitted))
    by_parabolas = fit_isoflops(smooth)
    if by_parabolas.params_exponent is None:
        return
    log_budgets = np.log([budget for budget, _ in profiles])
    exact = [profile_optimum(fit, report.fitted.params[rows], report.fitted.tokens[rows]) for _, rows in profiles]
    flops = target_flops(report)
    slope, level = np.polyfit(log_budgets, exact, 1)
    bias = math.log(by_parabolas.optimal_params(flops)) - float(slope * math.log(flops) + level)
    if abs(bias) > FACTOR:
        yield Finding(
            "wide_profiles",
            "warn",
            f"Parabolas through this very law on these sizes, without noise, put the best N of {scientific(flops)} "
            "FLOPs at "
            f"{math.exp(bias):.2f} times its true place (warn beyond 10%): the profiles are too wide or off centre.",
            "Believe the surface L(N, D), not approach 2; use narrower, centred profiles for the next budgets.",
            "Open-Athena, scaling-law-analysis, 2026: parabolas err where alpha and beta differ",
        )


def unusable_budgets(report: LawReport) -> Iterator[Finding]:
    """A profile without a minimum inside says nothing of the best N but on which side it lies.

    Shallow profiles lose their minimum to noise alone. So a fitted law is asked first: an edge counts when the law's
    own minimum lies at it, a downward bend when the law's bend is farther away than noise moves it.
    """
    rows, fit = report.fitted, report.surface.fit
    if rows.budget is None:
        return
    found = fit_isoflops(rows).parabolas
    bad = [p for p in found if p.status in ("concave", "edge")]
    if fit.usable:
        smooth = {p.budget: p for p in fit_isoflops(replace(rows, loss=fit.law.predict(fit.theta, rows))).parabolas}
        noise, at = noise_of(report), dict(budget_groups(rows))
        bad = [p for p in bad if _suspect(p, smooth[p.budget], rows.take(at[p.budget]), noise)]
    if bad:
        yield Finding(
            "unusable_budgets",
            "warn",
            f"{len(bad)} of {len(found)} isoFLOP budgets have no usable minimum: "
            + "; ".join(f"{scientific(p.budget)} FLOPs, {p.message}" for p in bad[:5])
            + ".",
            "Add sizes on the side that each names; approach 2 leaves these budgets out.",
            "Hoffmann et al. 2022, arXiv 2203.15556, approach 2; simulation: docs/checks.md",
        )


def _suspect(measured: Parabola, expected: Parabola, part: Observations, noise: float) -> bool:
    if measured.status == "edge" or measured.curvature is None or expected.curvature is None:
        return expected.status != "used"
    x = np.log(part.params) - np.log(part.params).mean()
    columns = np.stack([x**2, x, np.ones_like(x)])
    spread = 2 * noise * float(part.loss.mean() * np.sqrt(np.linalg.inv(columns @ columns.T)[0, 0]))
    return expected.curvature - measured.curvature > BEND_SIGMAS * spread


def estimators(report: LawReport) -> Iterator[Finding]:
    """Approach 2 is biased where alpha and beta differ, but a gap beyond noise says that one of the two is wrong."""
    fit = report.surface.fit
    if not fit.usable:
        return
    noise = math.sqrt(log_optimum_variance(fit, report.surface.observations, target_flops(report)))
    for answer in report.estimators[1:]:
        allowed = DISAGREE_WARN * answer.coarseness * math.exp(DISAGREE_SIGMAS * noise)
        # Undecayed curves are of another quantity, and say so where they are shown.
        if answer.ratio is None or "undecayed" in answer.source or max(answer.ratio, 1 / answer.ratio) <= allowed:
            continue
        middle, deviation = _ratio_by_chance(report, answer.source)
        if abs(math.log(answer.ratio) - middle) > DISAGREE_SIGMAS * deviation:
            yield Finding(
                "estimators",
                "warn",
                f"{answer.source} puts the best N of the first target at {answer.ratio:.2f} times that of "
                f"{report.estimators[0].source} (warn beyond a factor {allowed:.3g}: {DISAGREE_WARN:g}, its own "
                f"coarseness, and {DISAGREE_SIGMAS:g} standard errors), more than {DISAGREE_SIGMAS:g} standard "
                "deviations from what it does on losses drawn from the law.",
                "Centre the sizes of each budget on its minimum, and look at the residuals against N and D.",
                "Hoffmann et al. 2022, arXiv 2203.15556, approaches 2 and 3",
            )


def _ratio_by_chance(report: LawReport, source: str) -> tuple[float, float]:
    """Mean and standard deviation of the log ratio of an estimator to the law, on losses drawn from the law itself."""
    fit, rows, flops = report.surface.fit, report.surface.observations, target_flops(report)
    rng, noise = np.random.default_rng(0), noise_of(report)
    exact = fit.law.predict(fit.theta, rows)
    ratios = []
    for _ in range(DRAWS):
        drawn = replace(rows, loss=exact * np.exp(noise * rng.standard_normal(len(rows))))
        again = fit_law(fit.law, drawn, delta=fit.objective.delta, near=fit)
        answers = compare_estimators(again, drawn, flops, {FINISHED: finished_curves(drawn)})
        ratios += [math.log(one.ratio) for one in answers if one.source == source and one.ratio is not None]
    if len(ratios) < DRAWS // 2:  # the estimator is undefined on most such losses: it says nothing
        return 0.0, math.inf
    return float(np.mean(ratios)), float(np.std(ratios))


def _profiles(rows: Observations) -> list[tuple[float, IntArray]]:
    """Each nominal budget with enough sizes for a parabola, and its rows; none where no budget was planned."""
    if rows.budget is None:
        return []
    return [(b, at) for b, at in budget_groups(rows) if len(np.unique(rows.params[at])) >= MIN_SIZES]
