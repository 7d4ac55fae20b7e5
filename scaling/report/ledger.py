"""The ledger over all studies of a folder: how many intervals held."""

from scipy.special import bdtr

from scaling.report.document import Table, listed
from scaling.report.numbers import MISSING, level_text, percent, significant
from scaling.report.tables import number_columns, text_columns
from scaling.results import LedgerLine, StudyReport

CHANCE = 0.05


def ledger_table(report: StudyReport) -> Table | None:
    if not report.ledger:
        return None
    lines, sampled = listed(report.ledger, "python -m scaling.status --json")
    return Table(
        "ledger",
        "The ledger over all studies",
        "Forecasts that were stored before their points were trained, in this folder of studies. Held: measured losses "
        "inside their intervals; where they are so few that right intervals would leave as few less than one time in "
        "twenty, the line says so. Each forecast in forecasts.jsonl names the hash of the rows that it came from."
        f"{sampled}",
        (
            *text_columns("Study", "Law"),
            *number_columns("Interval", "Made", "Measured", "Held", "Expected", "Mean error"),
            *text_columns("Verdict"),
        ),
        tuple(_row(line) for line in lines),
    )


def _row(line: LedgerLine) -> tuple[str, ...]:
    return (
        line.study, line.law, level_text(line.level), str(line.made), str(line.measured), str(line.inside),
        significant(line.level * line.measured), MISSING if line.mean_error is None else percent(line.mean_error),
        ledger_verdict(line),
    )  # fmt: skip


def ledger_verdict(line: LedgerLine) -> str:
    """Whether as many intervals held as their level promises."""
    if not line.measured:
        return "not measured yet"
    if bdtr(line.inside, line.measured, line.level) <= CHANCE:
        return "too narrow"
    return "as announced"
