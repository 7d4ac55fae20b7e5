"""The order of the page: the answer, what could be wrong with it, the evidence, the tables, the words."""

import json
from collections.abc import Sequence

from scaling.findings import gravest_first
from scaling.report import tables
from scaling.report.answer import answer
from scaling.report.checklist import checklist
from scaling.report.document import Block, Definitions, Document, FindingList, Paragraph, Quotation, Section
from scaling.report.figures.plate import FigureGroup
from scaling.report.ledger import ledger_table
from scaling.report.points import points_table
from scaling.report.reading import thinned_words
from scaling.report.selection import selected, selection_tables
from scaling.report.shapes import shapes_section
from scaling.report.text_section import text_section
from scaling.results import LawReport, StudyReport
from scaling.results_json import fits_json
from scaling.values import to_plain

FITS_LINK = "../fits.json"
LONGEST_QUOTATION = 250_000  # characters

DEFINITIONS = (
    (
        "N, parameters",
        "How many numbers a model trains. The convention that the fit uses is named in the table of fits; the "
        "table of points gives the total and the count without embeddings.",
    ),
    (
        "D, training tokens",
        "How many tokens a model was trained on, repeats included. An epoch is one pass over the text.",
    ),
    (
        "C, training compute",
        "Floating-point operations of training. Each point's C is counted product by product; the optimum "
        "and the grey lines of the contour figure use the common approximation C = 6 N D.",
    ),
    (
        "Loss, nats/token",
        "Mean negative natural logarithm of the probability that the model gives to the next token of the "
        "validation text. A model that knows nothing of V tokens has ln V. Lower is better.",
    ),
    (
        "Bits per byte",
        "The same loss for each byte of text, in bits: it can be compared across tokenizers, as nats/token cannot.",
    ),
    ("Perplexity", "e to the loss: how many equally likely tokens the model hesitates between."),
    (
        "Word perplexity",
        "e to the nats of the whole text over its words, line ends among them (as WikiText's authors count words).",
    ),
    ("Held out", "Measured, but kept out of the fit, so that the law is tested on points it has not seen."),
    (
        "Trunk and cooldown",
        "With the warmup-stable-decay schedule a size is trained once at a constant learning rate (the trunk); "
        "for each budget of tokens a short branch leaves it whose rate falls to zero (the cooldown).",
    ),
    (
        "Seed noise",
        "Relative standard deviation of the final loss between runs that differ only in their random seeds.",
    ),
    ("Residual", "Logarithm of measured over fitted loss; 0.01 is about one percent."),
    (
        "Interval",
        "A range that should hold the truth with the stated probability if the law's form is right. The "
        "bootstrap refits the law to resampled training runs.",
    ),
    (
        "Selected forecast",
        "The average of several forms and weightings, each weighted by the inverse square of its error on the fitted "
        "points with most compute when fitted to the others. It gives the best N and D, and the losses of the targets "
        "and of the held-out points.",
    ),
    ("Frontier", "The points that no other point beats with the same compute or less."),
    (
        "Status of a fit",
        "Converged: a result. Unidentified: other parameters fit as well. At bound: a parameter "
        "stopped at the end of its range. Refused: the points cannot carry this law. Only the first may be used.",
    ),
)  # fmt: skip


def content(report: StudyReport, groups: tuple[FigureGroup, ...]) -> Document:
    kinds = (
        tables.fits_table(report),
        tables.forecast_table(report),
        ledger_table(report),
        *selection_tables(report),
        points_table(report),
        tables.exclusion_table(report) or Paragraph("Every measured point is fitted or held out; none was excluded."),
        tables.provenance_table(report),
    )
    data: list[Block] = [block for block in kinds if block is not None]
    data.append(quotation(report, FITS_LINK))
    about_text = text_section(report)
    return Document(
        title=report.study,
        question=report.question,
        sections=(
            answer(report, (Paragraph(selected(report)),)),
            Section("findings", "What could be wrong", (findings(report),)),
            *([] if report.shapes is None else [shapes_section(report.shapes)]),
            Section("evidence", "Evidence", evidence(report, groups)),
            *([] if about_text is None else [about_text]),
            Section("checklist", "How it was done", (checklist(report),)),
            Section("tables", "Tables", tuple(data)),
            Section("definitions", "What the words mean", (Definitions(DEFINITIONS),)),
        ),
    )


def evidence(report: LawReport, groups: Sequence[FigureGroup]) -> tuple[Block, ...]:
    """The figures, what they leave out, and why some are missing."""
    if not groups:
        return (Paragraph("No figure was drawn."),)
    words = thinned_words(report)
    if words and report.surface.fit.usable and not any(group.name == "profiles" for group in groups):
        words += "; profiles of the parameters are not drawn of so many"
    sampled = (Paragraph(f"{words}."),) if words else ()
    if report.surface.fit.usable:
        return *sampled, *groups
    status = report.surface.fit.status.replace("_", " ")
    return *sampled, *groups, Paragraph(f"Contours and residuals are not drawn: the fit of the law is {status}.")


def quotation(report: LawReport, link: str) -> Quotation:
    """fits.json without its durations: the same rows give the same page."""
    timeless = {key: value for key, value in fits_json(report).items() if key != "seconds"}
    quoted = json.dumps(to_plain(timeless), indent=1, default=str)
    if len(quoted) > LONGEST_QUOTATION:
        quoted = f"{len(quoted):,} characters, too long to quote: open the file."
    return Quotation("Fits for programs (fits.json)", link, quoted)


def findings(report: LawReport) -> Block:
    if not report.findings:
        return Paragraph("No check had anything to say.")
    return FindingList(gravest_first(report.findings))
