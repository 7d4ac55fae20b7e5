"""The page of a table of losses, in the order of a study's: the answer, what could be wrong, the evidence, the
tables, the words."""

from collections.abc import Sequence
from pathlib import PurePath

from scaling.laws.agreement import Answer
from scaling.laws.analysis import FormReport, HeldOut
from scaling.report.answer import answer
from scaling.report.content import DEFINITIONS, evidence, findings, quotation
from scaling.report.document import Block, Definitions, Document, Paragraph, Section, Table
from scaling.report.figures.plate import FigureGroup
from scaling.report.numbers import MISSING, amount, level_text, minus, percent, plural, sentence, significant
from scaling.report.reading import MOST_DRAWN
from scaling.report.tables import number_columns, table_of_fits, text_columns
from scaling.results import TableReport

MOST_EXCLUSIONS = 200  # listed in the report; fits.json has all
WORDS = ("N, parameters", "D, training tokens", "Loss, nats/token", "Held out", "Residual", "Interval", "Frontier",
         "Status of a fit")  # fmt: skip
OWN_DEFINITIONS = (
    (
        "C, training compute",
        "Floating-point operations of training: as the table gives them, or 6 N D. The optimum and the grey lines of "
        "the contour figure use C = 6 N D.",
    ),
    (
        "Selected forecast",
        "The average of several forms and weightings, each weighted by the inverse square of its error on the fitted "
        "rows with most compute when fitted to the others. It gives the losses of the targets and of the held-out "
        "rows; the best N and D come from the Chinchilla law.",
    ),
)


def table_content(report: TableReport, groups: Sequence[FigureGroup], fits_link: str) -> Document:
    """`fits_link` is where fits.json lies, seen from the page."""
    drawn: list[Block] = [*evidence(report, groups)]
    if groups and len(report.fitted) > MOST_DRAWN:
        drawn.insert(0, Paragraph(f"The figures show {MOST_DRAWN} of the {len(report.fitted):,} fitted rows."))
    found = (
        _fits(report),
        _candidates(report),
        _answers("estimators", "Best N by estimator", "The same rows, asked in several ways.", report.estimators),
        _answers("conventions", "Best N by way of counting", "Each in its own count of N.", report.conventions),
        _exclusions(report) or Paragraph("Every row of the table is fitted or held out; none was left out."),
        _provenance(report),
    )
    quoted = {key: value for key, value in report.fits_json.items() if key != "seconds"}
    tables: list[Block] = [*(block for block in found if block is not None), quotation(quoted, fits_link)]
    kept = len(report.fitted) + (0 if report.held_out is None else len(report.held_out))
    return Document(
        title=PurePath(report.source).name,
        question=f"What do {plural(kept, 'loss', 'losses')} say about larger budgets?",
        sections=(
            answer(report, (Paragraph(selected(report)),)),
            Section("findings", "What could be wrong", (findings(report),)),
            Section("evidence", "Evidence", tuple(drawn)),
            Section("tables", "Tables", tuple(tables)),
            Section("definitions", "What the words mean", (_definitions(),)),
        ),
        kicker="Scaling law of a table of losses",
    )


def selected(report: TableReport) -> str:
    """Which form forecasts the losses, and why."""
    selection = report.analysis.selection
    if selection is None:
        return f"No forecast was selected: {sentence(report.analysis.selection_message)}"
    what = "an average" if len(selection.candidates) > 1 else "one form"
    backtest = report.analysis.backtest
    widened = ""
    if backtest is not None and backtest.widen > 1:
        widened = (
            f" Its intervals are {significant(backtest.widen, 2)} times as wide as the fits announce, because "
            "forecasts of the fitted rows with most compute missed by that much."
        )
    return (
        f"The best N and D of a budget are the fitted law's; losses there are forecast by {what}: "
        f"{sentence(selection.why)}{widened}"
    )


def _definitions() -> Definitions:
    shared = dict(DEFINITIONS)
    shared["N, parameters"] = "How many numbers a model trains, as the table counts them."
    return Definitions((*((word, shared[word]) for word in WORDS), *OWN_DEFINITIONS))


def _fits(report: TableReport) -> Table:
    errors = [_error(one) for one in report.analysis.reports]
    return table_of_fits(list(zip(report.laws, errors, strict=True)), "of the table", report.fitted.convention)


def _error(form: FormReport) -> str:
    return MISSING if form.heldout is None or not form.fit.usable else held_out_words(form.heldout)


def held_out_words(held_out: HeldOut) -> str:
    return f"{percent(held_out.mean_abs_rel_error)} ({held_out.num_points})"


def _candidates(report: TableReport) -> Table | None:
    selection = report.analysis.selection
    if selection is None:
        return None
    rows = [
        (
            c.fit.law.name.replace("_", " "), c.fit.status.replace("_", " "), significant(c.compute_power, 2),
            *(percent(error) for error in c.inner_errors), MISSING if c.aicc is None else minus(f"{c.aicc:.1f}"),
            percent(c.weight, 1),
        )
        for c in selection.candidates
    ]  # fmt: skip
    result = report.analysis.heldout
    test = ""
    if result is not None:
        test = (
            f" On {plural(result.num_points, 'held-out row')} the average is off by "
            f"{percent(result.mean_abs_rel_error)}, and {percent(result.interval_coverage, 0)} lie inside the "
            f"{level_text(result.interval_level)} intervals."
        )
    return Table(
        "candidates",
        "Candidates of the forecast",
        "Rows weighted by C to the given power. Error: mean absolute relative error on the fitted rows that each inner "
        f"split kept back. AICc: of the unweighted fit, lower is better; it does not enter the weight.{test}",
        (
            *text_columns("Form", "Status"),
            *number_columns("Power of C", *(f"Error, {name}" for name in selection.splits), "AICc", "Weight"),
        ),
        tuple(rows),
    )


def _answers(name: str, title: str, caption: str, answers: tuple[Answer, ...]) -> Table | None:
    if not answers:
        return None
    return Table(
        name,
        title,
        f"N at the first target. {caption} Where the rows disagree, the answer depends on the choice.",
        (*text_columns("By", "Status"), *number_columns("Best N", "Grows as C to the", "Ratio to the first")),
        tuple(
            (
                one.source, _status(one), amount(one.params), significant(one.params_exponent), significant(one.ratio),
            )
            for one in answers
        ),
    )  # fmt: skip


def _provenance(report: TableReport) -> Table:
    rows = (
        ("Source", report.source),
        ("Command", report.command),
        ("Kept out of the fit", report.rule or "nothing"),
        ("Training runs", "named by the table" if report.by_run else "not named: each row counts as one"),
    )
    return Table("provenance", "Provenance", "Where the numbers come from.", text_columns("What", "Value"), rows)


def _status(answer: Answer) -> str:
    return answer.status if answer.status == "converged" else f"{answer.status.replace('_', ' ')}: {answer.message}"


def _exclusions(report: TableReport) -> Table | None:
    excluded = report.fitted.excluded
    if not excluded:
        return None
    rest = f" The first {MOST_EXCLUSIONS} are listed; fits.json has all." if len(excluded) > MOST_EXCLUSIONS else ""
    return Table(
        "exclusions",
        "Rows left out",
        f"{plural(len(excluded), 'row')} that no fit uses, by line of the file, and why.{rest}",
        (*number_columns("Line"), *text_columns("Reason")),
        tuple((str(one.row), one.reason) for one in excluded[:MOST_EXCLUSIONS]),
    )
