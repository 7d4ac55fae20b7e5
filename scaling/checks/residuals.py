"""What the points say against the law: misfit, uneven noise, points that decide alone, points out of order."""

import math
from collections.abc import Iterator

import numpy as np

from scaling.checks.dominance import largest_rise
from scaling.checks.optimum import log_optimum, log_optimum_variance, target_flops
from scaling.findings import Finding
from scaling.laws.analysis import sample_rows
from scaling.laws.distributions import f_tail, robust_deviation, t_two_sided
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.intervals import delta_variance, linearise_fit
from scaling.laws.misfit import DIRECTIONS, misfit, tangent
from scaling.laws.noise import row_noise
from scaling.laws.observations import BoolArray, Observations
from scaling.laws.selection import aicc
from scaling.numbers import amount, scientific
from scaling.results import LawReport, StudyReport
from scaling.shapes import Shapes

UNLIKELY = 1e-3
MISFIT_WARN = 1.5
UNEVEN_WARN = 3.0
ORDER_SIGMAS = 3.0
SAME = 1.02  # two sizes or budgets nearer than this are one
DROP_SIGMAS, DROP_FACTOR = 3.0, 1.25
DROP_SHARE, MOST_CUTS = 0.25, 6
MOST_NAMED = 5
BEND_WARN = 0.02
FEW = 6  # of so many errors at most one has the other sign: they are told as of one sign
CLEARLY_BETTER = 10.0  # of AICc: essentially no support for the other (Burnham & Anderson 2002)


def noise_of(report: LawReport) -> float:
    """Relative standard deviation of one loss: of seeds, or of the residuals without their tails, if larger."""
    residuals = report.surface.fit.residuals
    robust = robust_deviation(residuals)
    seeds = 0.0 if report.noise is None else report.noise.relative_sd
    return max(seeds, robust)


def _odd(report: LawReport) -> BoolArray:
    """Points that the noise of the others does not explain, [n]."""
    fit, rows = report.surface.fit, report.surface.observations
    return row_noise(fit.residuals, rows.flops, len(fit.parameters)).odd


def lack_of_fit(report: LawReport) -> Iterator[Finding]:
    """Residuals larger than seeds explain, by the F test of lack of fit (Fisher 1922)."""
    fit, noise = report.surface.fit, report.noise
    if not fit.parameters or noise is None or noise.relative_sd <= 0:
        return
    residuals = fit.residuals[~_odd(report)]  # named by `odd_points`
    freedom = max(len(residuals) - len(fit.parameters), 1)
    ratio = float(np.sum(residuals**2)) / freedom / noise.relative_sd**2
    if ratio > MISFIT_WARN**2 and f_tail(ratio, freedom, max(noise.num_points - noise.num_cells, 1)) < UNLIKELY:
        yield Finding(
            "lack_of_fit",
            "warn",
            f"The law misses its own points by {math.sqrt(ratio):.2g} times what seeds explain "
            f"({noise.relative_sd:.2%} of the loss; warn above {MISFIT_WARN:g} at odds of one in a thousand).",
            "Look where the residuals bend: the form is wrong there, or the recipe is (python -m scaling.tune).",
            "Fisher 1922; Porian et al. 2024, arXiv 2406.19146: recipes untuned at one end of the grid",
        )


def one_sided(report: LawReport) -> Iterator[Finding]:
    """Errors on the held-out points that have one sign: the formula bends away, or by chance lies to one side."""
    fit, rows, unseen = report.surface.fit, report.surface.observations, report.held_out
    if not fit.usable or unseen is None or len(unseen) < FEW - 2:
        return
    errors = np.log(fit.law.predict(fit.theta, unseen)) - np.log(unseen.loss)
    num_high = int(np.sum(errors > 0))
    num_other = min(num_high, len(errors) - num_high)
    if num_other > len(errors) // FEW:
        return
    linear = linearise_fit(fit, rows)
    _, variance = delta_variance(
        fit, rows, linear, lambda theta: np.log(fit.law.predict(theta, unseen)).mean(axis=-1, keepdims=True)
    )
    # Branches of one trunk as if they were one point: how much they share, few residuals cannot tell.
    single = float(np.sum(np.bincount(unseen.trajectory_index()) ** 2)) / len(errors) ** 2
    allowed = t_two_sided(1 - UNLIKELY, linear.freedom) * math.sqrt(float(variance[0]) + noise_of(report) ** 2 * single)
    mean = float(errors.mean())
    beyond = abs(mean) > allowed
    yield Finding(
        "one_sided",
        "warn" if beyond else "info",
        f"{len(errors) - num_other} of {len(errors)} held-out points are predicted too {'high' if mean > 0 else 'low'} "
        f"by the formula ({fit.law.name}), by {abs(mean):.2%} on average; its uncertainty and the noise of "
        f"runs allow {allowed:.2%} either way (warn beyond, at odds of one in a thousand).",
        "Trust the selected forecast rather than the formula: its form bends away from the points, or the points of "
        "most compute were trained otherwise."
        if beyond
        else "Nothing: chance gives this too, since the errors share those of the parameters.",
        "Student's t on the mean error; delta method",
    )


def uneven_noise(report: LawReport) -> Iterator[Finding]:
    """One weight for all points is wrong where the noise of small runs is many times that of large ones."""
    fit, rows = report.surface.fit, report.surface.observations
    if not fit.parameters:
        return
    order = np.argsort(rows.flops)
    order = order[~_odd(report)[order]]
    half = len(order) // 2
    if half < len(fit.parameters):
        return
    low, high = (float(np.sqrt(np.mean(fit.residuals[part] ** 2))) for part in (order[:half], order[-half:]))
    ratio = max(low, high) / max(min(low, high), 1e-12)
    if ratio > UNEVEN_WARN and f_tail(ratio**2, half, half) < UNLIKELY:
        where = "least" if low > high else "most"
        yield Finding(
            "uneven_noise",
            "warn",
            f"The residuals of the half with {where} compute are {ratio:.1f} times those of the other half (warn above "
            f"{UNEVEN_WARN:g}), and every point has the same weight.",
            "Replicate cells at both ends (grid.replicates), and leave out budgets whose noise swamps the rest.",
            "Porian et al. 2024, arXiv 2406.19146: seed noise of .05 at loss 7 and .002 at loss 3",
        )


def odd_points(report: LawReport) -> Iterator[Finding]:
    """A loss that no noise of the other points explains is a broken run or a wrong entry."""
    fit, rows, flops = report.surface.fit, report.surface.observations, target_flops(report)
    shapes = report.shapes if isinstance(report, StudyReport) else None
    if shapes is not None and shapes.asked:
        yield from _odd_shapes(shapes)
    if not fit.parameters:
        return
    noise = row_noise(fit.residuals, rows.flops, len(fit.parameters))
    odd = np.flatnonzero(noise.odd)
    if not len(odd):
        return
    worst = odd[np.argsort(-np.abs(fit.residuals[odd] / noise.sd[odd]), kind="stable")]
    named = "; ".join(
        f"{_words(rows, at)} is {math.expm1(fit.residuals[at]):+.1%} off the law, "
        f"{abs(fit.residuals[at]) / noise.sd[at]:.0f} standard deviations"
        for at in worst[:MOST_NAMED].tolist()
    )
    more = f"; and {len(odd) - MOST_NAMED} more" if len(odd) > MOST_NAMED else ""
    yield Finding(
        "odd_points",
        "warn",
        f"{len(odd)} of {len(rows)} points {'has' if len(odd) == 1 else 'have'} a loss that the noise of the others "
        f"({noise.scale:.2%}) does not explain: {named}{more}.{_without(report, noise.odd, flops)}",
        "Look at the curves of these runs and at the entries of the table, and train the cells again with another "
        "seed. Huber's loss and the intervals already count them for little.",
        "Rousseeuw & Leroy 1987, section 1.3; Hoffmann et al. 2022, arXiv 2203.15556, appendix D",
    )


def _odd_shapes(shapes: Shapes) -> Iterator[Finding]:
    if not shapes.odd:
        return
    named = "; ".join(f"{run.run_id} is {run.above:+.1%} off the curve" for run in shapes.odd[:MOST_NAMED])
    with_all, without = (
        "not told" if best is None else f"{best.value:.3g}" for best in (shapes.best_with_odd, shapes.best)
    )
    yield Finding(
        "odd_points",
        "warn",
        f"{len(shapes.odd)} {'run has' if len(shapes.odd) == 1 else 'runs have'} losses that the noise of the other "
        f"shapes does not explain: {named}. Without them, as everywhere here, the best d_model / num_layers is "
        f"{without}; with them {with_all}.",
        "Look at the curves of these runs, and train them again with another seed.",
        "Cook & Weisberg 1982, section 2.2.2",
    )


def _without(report: LawReport, odd: BoolArray, flops: float) -> str:
    """The answer with and without some points, in a sentence; nothing where there is none."""
    fit, rest = report.surface.fit, report.surface.observations.take(~odd)
    again = fit_law(fit.law, rest, delta=fit.objective.delta, near=fit)
    if not (fit.usable and again.usable):
        return ""
    with_all, without = (math.exp(log_optimum(one, flops)) for one in (fit, again))
    best = f"the best N of {scientific(flops)} FLOPs at {amount(with_all)} with them"
    return f" The law puts {best} and at {amount(without)} without."


def form_misfit(report: LawReport) -> Iterator[Finding]:
    """Residuals that bend with N, with D or with both say that another form is right, where no seeds are needed."""
    fit, rows = report.surface.fit, report.surface.observations
    if not fit.usable or fit.law is not CHINCHILLA:
        return
    noise = row_noise(fit.residuals, rows.flops, len(fit.parameters))
    found = misfit(tangent(fit.theta, rows), fit.residuals, rows, noise)
    if found.probability >= BEND_WARN:
        return
    bent = [f"with {name} ({p:.1g})" for name, p in zip(DIRECTIONS, found.each, strict=True) if p < BEND_WARN]
    yield Finding(
        "form_misfit",
        "warn",
        f"The residuals of the law bend {', '.join(bent) or 'with N and D'}: if E + A/N^alpha + B/D^beta were right, "
        f"as much would be seen once in {1 / max(found.probability, 1e-99):.2g} studies (warn from "
        f"{1 / BEND_WARN:.0f}).",
        "Trust the forecast, which leans on other forms the more for it, and not the formula. Look for a learning rate "
        "or a warmup that suits one end of the grid, parameters counted otherwise, and text that repeats.",
        "Rao 1948 (score test); Porian et al. 2024, arXiv 2406.19146; docs/laws.md",
    )


def forms_disagree(report: LawReport) -> Iterator[Finding]:
    """A form that fits better and puts the best N outside the interval is a second opinion to be heard."""
    best, reports = report.optima[:1], report.analysis.reports
    sample = sample_rows(report.analysis.observations)  # which the other forms saw: AICc compares fits to the same rows
    whole = len(sample) == reports[0].fit.num_points
    plain = aicc(reports[0].fit if whole else fit_law(CHINCHILLA, sample))
    if not best or best[0].params is None or plain is None:
        return
    interval, flops = best[0].params, best[0].allocation.flops
    away = []
    for other in reports[1:]:
        fit, criterion = other.fit, aicc(other.fit)
        if fit.usable and fit.law.inputs == ("params", "tokens") and criterion is not None:
            params = math.exp(log_optimum(fit, flops))
            if criterion < plain - CLEARLY_BETTER and not interval.low <= params <= interval.high:
                away.append(f"{fit.law.name.replace('_', ' ')} at {params:.3g} (AICc lower by {plain - criterion:.0f})")
    if away:
        yield Finding(
            "forms_disagree",
            "warn",
            f"Forms that fit clearly better put the best N of {scientific(flops)} FLOPs outside its "
            f"{interval.level:.0%} "
            f"interval, {interval.low:.3g} to {interval.high:.3g}: {'; '.join(away)} (warn from an AICc lower by "
            f"{CLEARLY_BETTER:g}).",
            "Measure points where the forms differ most, far from the best ratio of tokens to parameters, before the "
            "answer is used.",
            "Burnham & Anderson 2002, section 2.6",
        )


def few_points_decide(report: LawReport) -> Iterator[Finding]:
    """The answer without the k points of least compute, without the smallest size, without the smallest budget.

    The variance of the difference of an estimate and one from fewer points is the difference of their variances
    (Hausman 1978), taken to be no less than that of the whole: both are estimates themselves.
    """
    fit, rows, flops = report.surface.fit, report.surface.observations, target_flops(report)
    if not fit.usable:
        return
    whole, variance = log_optimum(fit, flops), log_optimum_variance(fit, rows, flops)
    moves: list[tuple[float, float, str]] = []
    for words, kept in _cuts(rows):
        part = rows.take(kept)
        again = fit_law(fit.law, part, delta=fit.objective.delta, near=fit)
        if again.usable:
            moved = log_optimum(again, flops) - whole
            spread = max(log_optimum_variance(again, part, flops) - variance, variance)
            moves.append((abs(moved) / math.sqrt(spread), moved, words))
    grave = [move for move in moves if move[0] > DROP_SIGMAS and abs(move[1]) > math.log(DROP_FACTOR)]
    if grave:
        sigmas, moved, words = max(grave)
        curve = ", ".join(f"{math.exp(by):.2g} without {what}" for _, by, what in moves)
        yield Finding(
            "few_points_decide",
            "warn",
            f"Without {words} the best N of {scientific(flops)} FLOPs is {math.exp(moved):.2g} times this answer, "
            f"{sigmas:.1f} "
            f"standard errors away (warn beyond {DROP_SIGMAS:g} and {DROP_FACTOR:g} times). All cuts: {curve}.",
            "Find out what the smallest runs do differently (steps, warmup, learning rate), or start the grid later.",
            "Li et al. 2025, arXiv 2502.18969: the choice of points decides the published exponents; Hausman 1978",
        )


def _cuts(rows: Observations) -> Iterator[tuple[str, BoolArray]]:
    """What to leave out, in words, and the rows that stay, [n]."""
    rank = np.argsort(np.argsort(rows.flops, kind="stable"), kind="stable")
    most = int(DROP_SHARE * len(rows))
    for k in sorted({*np.linspace(1, most, min(most, MOST_CUTS)).astype(int).tolist()}):
        yield f"the {k} points of least compute", rank >= k
    yield "the smallest size", rows.params > SAME * rows.params.min()
    yield "the smallest budget", rows.tokens > SAME * rows.tokens.min()


def out_of_order(report: LawReport) -> Iterator[Finding]:
    """A point that is worse than one with no more parameters and no more tokens is a broken run."""
    rows, sigma = report.surface.observations, noise_of(report)
    if sigma <= 0:
        return
    worst = largest_rise(rows.params, rows.tokens, np.log(rows.loss), SAME)
    if worst is not None and worst[2] > ORDER_SIGMAS * math.sqrt(2) * sigma:
        small, large, excess = worst
        yield Finding(
            "out_of_order",
            "warn",
            f"{_words(rows, large)} has a loss {math.expm1(excess):.1%} above that of {_words(rows, small)}, "
            f"{excess / sigma / math.sqrt(2):.1f} standard errors of the difference (warn beyond {ORDER_SIGMAS:g}).",
            "Look at the curve of the worse run for a spike, and train its cell with another seed (grid.replicates).",
            "DESIGN of the sweep: more parameters and more tokens do not hurt a tuned run; Porian et al. 2024",
        )


def _words(rows: Observations, at: int) -> str:
    return f"N = {rows.params[at]:.3g} at D = {rows.tokens[at]:.3g}"
