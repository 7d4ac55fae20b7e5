"""The top of the page: what may be concluded, in sentences and in the few numbers that decide."""

from collections.abc import Sequence
from dataclasses import replace

from scipy.special import bdtr

from scaling.findings import Finding, forced, refusals
from scaling.laws.average import Average
from scaling.laws.forms import SumOfPowers
from scaling.laws.observations import Points
from scaling.report.document import Block, Fact, Facts, Formula, Paragraph, Section, Tone, Verdict
from scaling.report.numbers import amount, level_text, nats, percent, plural, scientific, sentence, significant
from scaling.report.reading import Score, formula_score, held_out_score, residual_rms
from scaling.report.shapes import shapes_facts, shapes_verdict
from scaling.report.tables import optima_table, parameter_table, points_asked_table
from scaling.results import LawReport, StudyReport
from scaling.shapes import Shapes


def answer(report: LawReport, more: Sequence[Block] = ()) -> Section:
    """`more` follows where there is a law."""
    fit = report.law.fit
    answered = fit.usable or report.analysis.line is not None
    blocks: list[Block] = [verdict(report)]
    shapes = asked_shapes(report)
    if shapes is not None and shapes.answers and not refusals(report.findings):
        blocks.append(Facts(tuple(shapes_facts(shapes))))
    if answered and refusals(report.findings):
        blocks.append(Paragraph(_withheld(report)))
    elif answered:
        if fit.usable:
            blocks.append(Formula(fitted_formula(report)))
        blocks += [Facts(tuple(_facts(report)))]
        blocks += [table for table in (optima_table(report), points_asked_table(report)) if table is not None]
        if fit.usable:
            blocks.append(parameter_table(report))
        blocks += [Paragraph(text) for text in (_worth(report),) if text]
        blocks += more
    return Section("answer", "Answer", tuple(blocks))


def asked_shapes(report: LawReport) -> Shapes | None:
    """What a study of shapes says, None of any other."""
    shapes = report.shapes if isinstance(report, StudyReport) else None
    return shapes if shapes is not None and shapes.asked else None


def verdict(report: LawReport) -> Verdict:
    fit, line = report.surface.fit, report.analysis.line
    result = held_out_score(report)
    warnings = [f for f in report.findings if f.level == "warn"]
    shapes = asked_shapes(report)
    if shapes is not None and shapes.answers and not refusals(report.findings):
        return shapes_verdict(shapes, len(warnings), law=fit.usable)
    if shapes is not None and not shapes.answers and not fit.usable:
        return Verdict("stop", "No answer on shapes", f"Of shapes nothing can be said: {sentence(str(shapes.reason))}")
    if shapes is None and not fit.usable and line is None:
        return Verdict("stop", "No law", sentence(f"The fit is {fit.status.replace('_', ' ')}: {fit.message}"))
    tested = _tested(report, result)
    refused = refusals(report.findings)
    if refused:
        reasons = " ".join(f"{f.numbers} {f.remedy}" for f in refused)
        return Verdict("stop", f"Refused: {_names(refused)}", reasons)
    tone: Tone = "good"
    words = "A law that holds on unseen points"
    if result is None:
        tone, words = "careful", "Fitted, not yet tested"
    elif not _covered(result):
        tone, words = "careful", "Fitted, but it misses unseen points"
    elif warnings:
        tone, words = "careful", "A law, with reservations"
    overruled = forced(report.findings)
    if overruled:
        tone, words = "careful", f"Forced past {plural(len(overruled), 'refusal')}: {_names(overruled)}"
    if warnings:
        tested += f" {plural(len(warnings), 'check')} warned: see below."
    if line is not None:
        words += f", {line.title}"
        tested = f"{_along_words(report)} {tested}"
    return Verdict(tone, words, tested)


def _along_words(report: LawReport) -> str:
    line, law = report.analysis.line, report.law
    assert line is not None
    floor = "" if law.fit.usable else f" Its floor is not known: the fit is {law.fit.status}: {law.fit.message}."
    return (
        f"All rows lie at {line.words}, and the law is one along it. Nothing here says what N is best for a budget: "
        f"that needs rows off the line.{floor}"
    )


def _names(findings: Sequence[Finding]) -> str:
    return ", ".join(dict.fromkeys(finding.name for finding in findings))


def _withheld(report: LawReport) -> str:
    names = _names(refusals(report.findings))
    return (
        f"The law, its optimum and its forecasts are withheld from this answer. What was fitted stands in the tables "
        f"below; force=[{names.replace(' ', '')}] shows the answer all the same, and says that it was forced."
    )


def _covered(result: Score) -> bool:
    """Fewer points inside than chance allows one time in twenty says that the intervals are too narrow."""
    return bool(bdtr(result.inside, result.measured, result.level) > 0.05)


def _tested(report: LawReport, result: Score | None) -> str:
    if result is None and report.held_out is not None:
        return "No forecast was made of the held-out points, so nothing says how well the law predicts."
    if result is None:
        return "No held-out point is measured, so nothing says how well the law predicts."
    when = "made before they were trained" if result.ahead else "made by a fit without them"
    still = f" {plural(result.pending, 'more is', 'more are')} not measured yet." if result.pending else ""
    forecast = report.analysis.forecaster
    whose = "the forecasts" if forecast is None else forecast_words(forecast.average)
    return (
        f"{plural(result.measured, 'held-out point')}: {whose}, {when}, are off by {percent(result.mean_error)} on "
        f"average, {percent(result.largest_error)} at worst{one_sided(result)}; {result.inside} of {result.measured} "
        f"lie inside their {level_text(result.level)} intervals.{still}{_formula_alone(report)}"
    )


def forecast_words(average: Average) -> str:
    """Whose the forecasts are."""
    count = len(average.members)
    return f"the forecasts, averages of {count} candidates" if count > 1 else "the forecasts, of one form"


def _formula_alone(report: LawReport) -> str:
    alone = formula_score(report)
    if alone is None:
        return ""
    return f" The formula alone is off by {percent(alone.mean_error)}{one_sided(alone)}."


def one_sided(result: Score) -> str:
    """How many errors have the sign that most of them have, where that is worth a word."""
    most = max(result.too_high, result.measured - result.too_high)
    if result.measured < 2 or most < result.measured - result.measured // 6:
        return ""
    how = "every one" if most == result.measured else f"{most} of {result.measured}"
    return f", {how} too {'high' if result.too_high == most else 'low'}"


def fitted_formula(report: LawReport) -> str:
    """The law with its numbers in it; no number of a fit that did not converge."""
    fit = report.law.fit
    assert fit.usable
    if not isinstance(fit.law, SumOfPowers):
        return fit.law.formula
    terms = []
    for term in fit.law.terms:
        text = significant(fit.parameters[term.coefficient])
        for name, variable, sign in term.powers:
            letter = {"params": "N", "tokens": "D", "flops": "C"}[variable]
            text += f" {'/' if sign < 0 else '×'} {letter}^{significant(fit.parameters[name])}"
        terms.append(text)
    return "loss = " + " + ".join(terms)


def _facts(report: LawReport) -> list[Fact]:
    fit, rows = report.law.fit, report.fitted
    result = held_out_score(report)
    rms = residual_rms(fit)
    facts = []
    if result is None:
        facts.append(Fact("Error on held-out points", "not known", "the law has not been tested"))
    else:
        facts += [
            Fact(
                "Mean error of the forecast",
                percent(result.mean_error),
                f"on {plural(result.measured, 'held-out point')}, largest {percent(result.largest_error)}",
            ),
            *_formula_fact(formula_score(report)),
            Fact(
                f"Inside the {level_text(result.level)} interval",
                f"{result.inside} of {result.measured}",
                f"{result.level * result.measured:.1f} expected",
            ),
        ]
    noise = report.noise
    beside = (
        "seed noise unknown: no seed was replicated"
        if noise is None
        else f"seed noise {percent(noise.relative_sd)} ({plural(noise.num_cells, 'cell')}, "
        f"{plural(noise.num_points, 'run')})"
    )
    facts.append(Fact("Residual of the fit, rms", percent(rms), beside))
    facts.append(
        Fact(
            "Fitted",
            plural(fit.num_points, "point"),
            f"N {amount(rows.params.min())} to {amount(rows.params.max())}, D {amount(rows.tokens.min())} to "
            f"{amount(rows.tokens.max())}, C {scientific(rows.flops.min(), 2)} to {scientific(rows.flops.max(), 2)}",
        )
    )
    facts += _exponent_fact(report)
    return facts


def _formula_fact(alone: Score | None) -> list[Fact]:
    if alone is None:
        return []
    beside = f"largest {percent(alone.largest_error)}{one_sided(alone)}"
    return [Fact("Mean error of the formula alone", percent(alone.mean_error), beside)]


def _exponent_fact(report: LawReport) -> list[Fact]:
    if not report.optima or report.optima[0].allocation.params_exponent is None:
        return []
    best = report.optima[0].allocation
    return [
        Fact(
            "Best N grows as",
            f"C^{significant(best.params_exponent, 2)}",
            f"best D as C^{significant(best.tokens_exponent, 2)}; Hoffmann et al. 2022 found about C^0.5 for both",
        )
    ]


def _worth(report: LawReport) -> str | None:
    """What each term of the law is worth at the largest measured point, in nats: where more would help."""
    fit = report.surface.fit
    if not isinstance(fit.law, SumOfPowers) or not fit.usable:
        return None
    rows = report.fitted if report.held_out is None else report.held_out
    at = int(rows.flops.argmax())
    point = Points(rows.params[[at]], rows.tokens[[at]], rows.flops[[at]])
    parts = []
    for term in fit.law.terms:
        variables = {variable for _, variable, _ in term.powers}
        what = "the floor" if not variables else "finite size" if variables == {"params"} else "finite data"
        alone = replace(fit.law, terms=(term,))
        theta = fit.theta[[*(fit.law.parameter_names.index(name) for name in alone.parameter_names)]]
        parts.append(f"{nats(float(alone.predict(theta, point)[0]))} {what}")
    return (
        f"At the point of most compute (N = {amount(point.params[0])}, D = {amount(point.tokens[0])}) the law splits "
        f"the loss, in nats/token, into {', '.join(parts)}."
    )
