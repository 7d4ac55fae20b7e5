"""Tables of text, the same in HTML and Markdown. A fit that did not converge shows its status before any number."""

from collections import Counter

from scaling.laws.analysis import PointForecast
from scaling.laws.fit import Fit
from scaling.laws.form_report import FormReport, HeldOut
from scaling.report.document import Column, Table, listed
from scaling.report.numbers import (
    MISSING,
    amount,
    formula_text,
    greek,
    level_text,
    nats,
    percent,
    range_text,
    scientific,
    sentence,
    signed_percent,
    significant,
)
from scaling.report.reading import (
    held_out_rows,
    largest_flops,
    residual_rms,
    unused,
)
from scaling.results import FittedLaw, LawReport, OptimalAllocation, StudyReport
from scaling.store import SELECTED

MEANING = {
    "E": "loss that no size and no data would remove (nats/token)",
    "A": "scale of the term in N; moves with alpha, so read the two together",
    "B": "scale of the term in D; moves with beta, so read the two together",
    "alpha": "how fast the loss falls with parameters, or along the line",
    "beta": "how fast the loss falls with tokens",
    "k": "scale of the falling term; moves with alpha, so read the two together",
    "gamma": "how the term in D changes with N",
}
FARTHEST = 1e3  # times the largest fitted compute: beyond, a power law of two or three decades says nothing
METHOD = {"delta-t": "from the curvature of the fit and the spread of its residuals (Student's t)"}


def text_columns(*headings: str) -> tuple[Column, ...]:
    return tuple(Column(heading, numeric=False) for heading in headings)


def number_columns(*headings: str) -> tuple[Column, ...]:
    return tuple(Column(heading) for heading in headings)


def parameter_table(report: LawReport) -> Table:
    """The law's parameters; only for a usable fit."""
    law = report.law
    assert law.fit.usable
    rows = [
        (greek(name), significant(value), range_text(law.intervals.get(name)), MEANING.get(name, ""))
        for name, value in law.fit.parameters.items()
    ]
    return Table(
        "parameters",
        "Parameters of the law",
        f"{formula_text(law.fit.law.formula)}. {interval_words(law)}",
        (*text_columns("Parameter"), *number_columns("Value", "Interval"), *text_columns("What it is")),
        tuple(rows),
    )


def interval_words(law: FittedLaw) -> str:
    some = next(iter(law.intervals.values()), None)
    if some is None:
        return "No intervals were worked out."
    if law.bootstrap is None or some.method in METHOD:
        return f"Intervals: {level_text(some.level)}, {METHOD.get(some.method, some.method)}."
    return f"Intervals: {level_text(some.level)}, from {len(law.bootstrap):,} refits of resampled {_resampled(law)}."


def _resampled(law: FittedLaw) -> str:
    assert law.bootstrap is not None
    count = law.bootstrap.num_trajectories
    return f"training runs ({count} runs)" if count < len(law.observations) else f"points ({count})"


def optima_table(report: LawReport) -> Table | None:
    """The best N and D for each budget of compute."""
    if not report.optima or not report.surface.fit.usable:
        return None
    largest = largest_flops(report)
    return Table(
        "optima",
        "Best use of a budget",
        "By the average over forms, under C = 6 N D; the intervals hold what the forms differ by, and that of the loss "
        "the noise of one run. Far beyond the fitted points these are extrapolations, and no interval covers a change "
        f"of the law that no point shows; more than {FARTHEST:,.0f} times beyond, no number is given.",
        (
            *text_columns("Budget C (FLOPs)"),
            *number_columns(
                "Beyond largest fitted C", "Parameters N", "Interval", "Tokens D", "Interval", "D / N",
                "Loss (nats/token)", "Interval",
            ),
        ),
        tuple(optimum_row(best, largest) for best in report.optima),
    )  # fmt: skip


def optimum_row(best: OptimalAllocation, largest: float) -> tuple[str, ...]:
    """The cells of `optima_table`; `largest` FLOPs were fitted."""
    a = best.allocation
    if a.flops > FARTHEST * largest:
        return scientific(a.flops), f"{significant(a.flops / largest, 2)}×: refused", *[MISSING] * 7
    beyond = f"{significant(a.flops / largest, 2)}×" if a.flops > largest else "within"
    return (
        scientific(a.flops), beyond, amount(a.params), range_text(best.params, amount), amount(a.tokens),
        range_text(best.tokens, amount), significant(a.tokens / a.params, 2), nats(a.loss), range_text(best.loss, nats),
    )  # fmt: skip


def points_asked_table(report: LawReport) -> Table | None:
    """The loss at each N and D that was asked for."""
    if not report.analysis.points or not (report.surface.fit.usable or report.analysis.line):
        return None
    level = level_text(report.analysis.points[0].loss_interval.level)
    return Table(
        "asked",
        "Loss at the points asked for",
        f"By the average over forms, {level} intervals: of one new run that is trained there, and of the mean of many "
        f"runs, which is the curve itself. More than {FARTHEST:,.0f} times beyond the largest fitted C, no number is "
        "given.",
        number_columns(
            "Parameters N", "Tokens D", "C = 6 N D (FLOPs)", "Beyond largest fitted C", "Loss (nats/token)",
            "A new run", "The mean of many",
        ),
        tuple(point_row(point, largest_flops(report)) for point in report.analysis.points),
    )  # fmt: skip


def point_row(point: PointForecast, largest: float) -> tuple[str, ...]:
    """The cells of `points_asked_table`; `largest` FLOPs were fitted."""
    flops = 6 * point.params * point.tokens
    where = amount(point.params), amount(point.tokens), scientific(flops)
    if flops > FARTHEST * largest:
        return *where, f"{significant(flops / largest, 2)}×: refused", *[MISSING] * 3
    beyond = f"{significant(flops / largest, 2)}×" if flops > largest else "within"
    return (
        *where, beyond, nats(point.loss), range_text(point.loss_interval, nats), range_text(point.curve_interval, nats)
    )  # fmt: skip


def fits_table(report: LawReport) -> Table:
    """Every law that was tried, usable or not, with its error on the held-out points that it speaks of."""
    errors = [_held_out_error(one) for one in report.analysis.reports]
    fits = list(zip(report.laws, errors, strict=True))
    return Table(
        "fits",
        "Fits",
        "Every law that was fitted. Only a converged fit is a result; the numbers of any other stand under its status "
        "and must not be used. Objective: sum of Huber losses of log residuals. Held-out error: mean absolute relative "
        f"error, over (how many) held-out points (for a law of one variable: of its slice or frontier). Counting: "
        f"{sentence(report.fitted.convention)}",
        (
            *text_columns("Law", "Form", "Status", "Parameters (interval)"),
            *number_columns("Points", "Objective", "Residual rms", "Held-out error"),
        ),
        tuple(_fit_row(law, error) for law, error in fits),
    )


def _held_out_error(form: FormReport) -> str:
    return MISSING if form.heldout is None or not form.fit.usable else held_out_words(form.heldout)


def held_out_words(held_out: HeldOut) -> str:
    return f"{percent(held_out.mean_abs_rel_error)} ({held_out.num_points})"


def _fit_row(law: FittedLaw, error: str) -> tuple[str, ...]:
    fit = law.fit
    return (
        law.title, formula_text(fit.law.formula), status_words(fit), _parameters(law), str(fit.num_points),
        MISSING if fit.objective.value is None else scientific(fit.objective.value), percent(residual_rms(fit)),
        error if fit.usable else MISSING,
    )  # fmt: skip


def status_words(fit: Fit) -> str:
    status = fit.status.replace("_", " ")
    return status if fit.usable else f"{status}, not a result: {fit.message}"


def _parameters(law: FittedLaw) -> str:
    """None of a law that the points cannot tell: fits.json has none either."""
    if law.fit.status not in ("converged", "at_bound"):
        return "none"
    parts = []
    for name, value in law.fit.parameters.items():
        interval = law.intervals.get(name) if law.fit.usable else None
        parts.append(f"{greek(name)} = {significant(value)}" + (f" ({range_text(interval)})" if interval else ""))
    return "; ".join(parts)


def forecast_table(report: StudyReport) -> Table | None:
    """The ledger: every prediction of every law, beside what was measured."""
    laws = dict.fromkeys((SELECTED, *(forecast.law for forecast in report.forecasts)))
    rows = [row for law in laws for row in held_out_rows(report, law)]
    if not rows:
        return None
    ahead = all(row.ahead for row in rows)
    rows, sampled = listed(rows, "forecasts.jsonl")
    words = (
        "Each prediction was stored before its point was trained."
        if ahead
        else "No stored predictions: these were made after the measurement, from a fit that did not use the points."
    )
    return Table(
        "forecasts",
        "Forecasts",
        f"Predicted and measured loss of the held-out points (nats/token). {words} Error: predicted over measured, "
        f"less one. Interval: {level_text(rows[0].level)}, for the measured loss.{sampled}",
        (
            *text_columns("Point"),
            *number_columns("C (FLOPs)"),
            *text_columns("Law"),
            *number_columns("Predicted", "Interval", "Measured", "Error"),
            *text_columns("Inside?"),
        ),
        tuple(
            (
                f"{row.size} at {amount(row.tokens)} tokens", scientific(row.flops), row.law, nats(row.predicted),
                f"{nats(row.low)} to {nats(row.high)}", nats(row.measured) if row.measured else "not measured yet",
                signed_percent(row.relative_error), {True: "yes", False: "no", None: MISSING}[row.inside],
            )
            for row in rows
        ),
    )  # fmt: skip


def exclusion_table(report: StudyReport) -> Table | None:
    everything = unused(report)
    if not everything:
        return None
    some, sampled = listed(everything, "fits.json")
    rows = [(run_id, amount(tokens), reason) for run_id, tokens, reason in some]
    return Table(
        "exclusions",
        "Left out",
        f"Points that no fit uses, and why.{sampled}",
        (*text_columns("Run"), *number_columns("Tokens"), *text_columns("Reason")),
        tuple(rows),
    )


def provenance_table(report: StudyReport) -> Table:
    """What all points have in common, and where they differ how many have which."""
    origins = [record.provenance for record in report.records]
    names = {
        "code_version": "Program", "git_commit": "Git commit", "python": "Python", "torch": "PyTorch",
        "device": "Device", "precision": "Precision", "threads": "Threads of a run", "corpus": "Corpus fingerprint",
        "tokenizer": "Tokenizer",
    }  # fmt: skip
    finished = sorted(origin.finished_at for origin in origins)
    rows = [
        ("Corpus", report.corpus),
        ("Command", report.command),
        *((title, _counted([getattr(origin, name) for origin in origins])) for name, title in names.items()),
        ("Hosts", str(len({origin.host for origin in origins}))),
        ("Finished", f"{finished[0]} to {finished[-1]}" if finished else MISSING),
        ("Counted FLOPs, trunks shared", scientific(report.plan.total_flops)),
    ]
    return Table("provenance", "Provenance", "Where the numbers come from.", text_columns("What", "Value"), tuple(rows))


def _counted(values: list[object]) -> str:
    counts = Counter(MISSING if value is None else str(value) for value in values)
    if len(counts) == 1:
        return next(iter(counts))
    return "; ".join(f"{value} ({count} points)" for value, count in sorted(counts.items())) or MISSING
