"""The page of a table of losses, in the order of a study's: the answer, what could be wrong, the evidence, the
tables, the words."""

from collections.abc import Sequence
from pathlib import PurePath

from scaling.report.answer import answer
from scaling.report.checklist import checklist
from scaling.report.content import DEFINITIONS, evidence, findings, quotation
from scaling.report.document import Block, Definitions, Document, Paragraph, Section, Table
from scaling.report.figures.plate import FigureGroup
from scaling.report.numbers import plural
from scaling.report.reading_table import reading_blocks
from scaling.report.rows import influence_table, rows_table
from scaling.report.selection import selected, selection_tables
from scaling.report.tables import fits_table, number_columns, text_columns
from scaling.report.text_section import repetition_blocks
from scaling.results import TableReport
from scaling.tables.account import line_ranges

MOST_EXCLUSIONS = 200  # listed in the report; fits.json has all
WORDS = ("N, parameters", "D, training tokens", "Loss, nats/token", "Held out", "Residual", "Interval", "Frontier",
         "Selected forecast", "Status of a fit")  # fmt: skip
OWN_DEFINITIONS = (
    (
        "C, training compute",
        "Floating-point operations of training: as the table gives them, or 6 N D. The optimum and the grey lines of "
        "the contour figure use C = 6 N D.",
    ),
)


def table_content(report: TableReport, groups: Sequence[FigureGroup], fits_link: str) -> Document:
    """`fits_link` is where fits.json lies, seen from the page."""
    found = (
        fits_table(report),
        *selection_tables(report),
        *([] if report.repetition is None else repetition_blocks(report.repetition)),
        *reading_blocks(report),
        *([influence_table(report)] if report.influence else []),
        rows_table(report),
        _exclusions(report) or Paragraph("Every row of the table is fitted or held out; none was left out."),
        _provenance(report),
    )
    tables: list[Block] = [*found, quotation(report, fits_link)]
    kept = len(report.fitted) + (0 if report.held_out is None else len(report.held_out))
    return Document(
        title=PurePath(report.source).name,
        question=f"What do {plural(kept, 'loss', 'losses')} say about larger budgets?",
        sections=(
            answer(report, (Paragraph(selected(report)),)),
            Section("findings", "What could be wrong", (findings(report),)),
            Section("evidence", "Evidence", evidence(report, groups)),
            Section("checklist", "How it was done", (checklist(report),)),
            Section("tables", "Tables", tuple(tables)),
            Section("definitions", "What the words mean", (_definitions(),)),
        ),
        kicker="Scaling law of a table of losses",
    )


def _definitions() -> Definitions:
    shared = dict(DEFINITIONS)
    shared["N, parameters"] = "How many numbers a model trains, as the table counts them."
    return Definitions((*((word, shared[word]) for word in WORDS), *OWN_DEFINITIONS))


def _provenance(report: TableReport) -> Table:
    rows = (
        ("Source", report.source),
        ("Command", report.command),
        ("Kept out of the fit", report.rule or "nothing"),
        ("Training runs", "named by the table" if report.by_run else "not named: each row counts as one"),
    )
    return Table("provenance", "Provenance", "Where the numbers come from.", text_columns("What", "Value"), rows)


def _exclusions(report: TableReport) -> Table | None:
    excluded = report.fitted.excluded
    if not excluded:
        return None
    by_reason: dict[str, list[int]] = {}
    for one in excluded:
        by_reason.setdefault(one.reason, []).append(one.row)
    shown = list(by_reason.items())[:MOST_EXCLUSIONS]
    rest = f" The first {MOST_EXCLUSIONS} reasons are listed; fits.json has all." if len(by_reason) > len(shown) else ""
    unit = report.reading.unit
    return Table(
        "exclusions",
        "Rows left out",
        f"{plural(len(excluded), 'row')} that no fit uses, by {unit} of the file, and why.{rest}",
        (*number_columns(f"{unit.capitalize()}s"), *text_columns("Reason")),
        tuple((line_ranges(rows), reason) for reason, rows in shown),
    )
