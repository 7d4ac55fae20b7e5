"""What became of a table's lines, columns and numbers: the account of its reader, as tables."""

from scaling.report.document import Block, Paragraph, Table
from scaling.report.numbers import plural
from scaling.report.tables import number_columns, text_columns
from scaling.results import TableReport

MOST_NOTES = 60


def reading_blocks(report: TableReport) -> list[Block]:
    blocks: list[Block] = [Paragraph(account_words(report)), _columns(report)]
    reading = report.reading
    if reading.notes:
        blocks.append(
            Table(
                "reading",
                "What was converted or decided",
                f"Nothing was changed in silence: each sentence names the {reading.unit}s that it concerns, or it "
                "concerns all.",
                (*text_columns("What"), *number_columns("Rows"), *text_columns(reading.unit.capitalize() + "s")),
                tuple(
                    (n.text, f"{n.count:,}" if n.count else "", n.lines or "all") for n in reading.notes[:MOST_NOTES]
                ),
            )
        )
    return blocks


def account_words(report: TableReport) -> str:
    """Lines in, rows out."""
    reading, fitted = report.reading, len(report.fitted)
    held = 0 if report.held_out is None else len(report.held_out)
    no_rows = ", ".join(f"{count:,} {name}" for name, count in reading.structure.items())
    left_out = len(report.fitted.excluded)
    return (
        f"{reading.format}, {plural(reading.num_lines, reading.unit)}: "
        + (f"{no_rows}, " if no_rows else "")
        + f"{plural(reading.num_rows, 'row')}, of which {fitted:,} are fitted, {held:,} held out and {left_out:,} "
        "left out."
    )


def _columns(report: TableReport) -> Table:
    rows = [(c.field, c.column, c.how, c.unit or "") for c in report.reading.columns]
    rows += [("", b.column, b.meaning, f"{b.num_values:,} values") for b in report.reading.beside]
    return Table(
        "columns",
        "Columns",
        "Which column was taken for what, and what else was found beside N, D and the loss.",
        text_columns("Field", "Column", "How", "Unit or values"),
        tuple(rows),
    )
