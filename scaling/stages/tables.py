"""A table is read and told about before anything is fitted to it: what `fit`, `recommend` and `compare` begin with."""

import sys
from collections.abc import Collection

from scaling.checks.catalogue import check_reading, require_known
from scaling.config import ConfigError
from scaling.findings import Finding, refusals
from scaling.tables.account import note_words
from scaling.tables.options import ReadingOptions
from scaling.tables.read import Table, read_table


def open_table(
    source: str,
    options: ReadingOptions,
    force: Collection[str] = (),
    convention: str | None = None,
    only: tuple[str, str] | None = None,
) -> tuple[Table, tuple[Finding, ...]]:
    """The table, or its rows where a column has a value (`only`), and what is to be said of it.

    Raises ConfigError where it cannot be read, or a finding refuses it.
    """
    try:
        require_known(force)
        table = read_table(source, options, convention, only)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    findings = check_reading(table, force)
    against = refusals(findings)
    if against:
        said = " ".join(f"{finding.name}: {finding.numbers} {finding.remedy}" for finding in against)
        raise ConfigError(f"{source} is not fitted as it stands. {said}")
    return table, findings


def tell(table: Table, findings: Collection[Finding]) -> None:
    """What was made of the table, and what is doubtful, on the error stream: the answer is a program's to read."""
    for note in table.reading.notes:
        print(f"{table.source}: {note_words(note, table.reading.unit)}", file=sys.stderr)
    for finding in findings:
        if finding.level != "info":
            print(f"{finding.level_words} {finding.name}: {finding.numbers} {finding.remedy}", file=sys.stderr)
