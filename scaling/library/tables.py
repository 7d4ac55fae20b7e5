"""Anyone's losses, from a file, a frame or a mapping of columns, become rows for a law, as `scaling.fit` reads them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from scaling.checks.catalogue import check_reading, require_known
from scaling.findings import Finding, refusals
from scaling.laws.observations import Observations
from scaling.tables.account import TableError, note_words
from scaling.tables.files import Sheet
from scaling.tables.options import Columns, ReadingOptions
from scaling.tables.read import Table, read_table, table_of_sheet

Losses = Any  # a path, Observations, a frame of pandas, polars or Arrow, a mapping of columns, or a list of rows
READING = ("loss_unit", "decimal", "where", "ignore", "duplicates")


@dataclass(frozen=True)
class Given:
    """Rows for a law, with what was decided on the way to them.

    Attributes:
        source: what the table is called.
        rows: that can be fitted.
        notes: what was converted or taken for something, in words.
        findings: of the checks on a table, refusals overruled by name among them.
    """

    source: str
    rows: Observations
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def read(
    table: Losses,
    columns: Mapping[str, Any] | None = None,
    *,
    convention: str | None = None,
    force: Collection[str] = (),
    **reading: Any,
) -> Given:
    """Return the rows of a table of losses.

    Args:
        table: see `scaling.laws.fit`.
        columns: what the table calls a field, and `<field>_unit`: what one of its numbers stands for.
        convention: how N and C were counted, in words.
        force: names of checks whose refusal is overruled.
        reading: `loss_unit`, `decimal`, `where`, `ignore` and `duplicates`, as `scaling.fit` has them.

    Raises:
        ValueError: it cannot be read, or a check refuses it.
    """
    if isinstance(table, Observations):
        if columns or reading:
            raise ValueError("the table is Observations, which are read already: leave out columns and reading options")
        return Given("the observations", table)
    options, path = _options(columns or {}, reading), isinstance(table, str | PathLike)
    require_known(force)
    if path:
        source = str(Path(table))
        read_ = read_table(source, options, convention)
    else:
        sheet = sheet_of(table)
        source = f"the {sheet.format}"
        read_ = table_of_sheet(source, source, sheet, options.columns.renamed, options, convention)
    return _checked(source, read_, force)


def _checked(source: str, table: Table, force: Collection[str]) -> Given:
    findings = check_reading(table, force)
    if against := refusals(findings):
        said = " ".join(f"{finding.name}: {finding.numbers} {finding.remedy}" for finding in against)
        raise TableError(f"{source} is not fitted as it stands. {said}")
    notes = tuple(note_words(note, table.reading.unit) for note in table.reading.notes)
    return Given(source, table.observations, notes, findings)


def _options(columns: Mapping[str, Any], reading: Mapping[str, Any]) -> ReadingOptions:
    known = [one.name for one in fields(Columns)]
    for what, given, allowed in (("columns", columns, known), ("the call", reading, READING)):
        unknown = sorted(set(given) - set(allowed))
        if unknown:
            raise ValueError(f"{what} has {', '.join(unknown)}, which is not known: it takes {', '.join(allowed)}")
    ignore = reading.get("ignore", ())
    listed = {"ignore": (ignore,) if isinstance(ignore, str) else tuple(ignore)}
    options = ReadingOptions(columns=Columns(**columns), **{**reading, **listed})
    options.check_reading()
    return options


def sheet_of(table: Losses) -> Sheet:
    """Return the cells of a frame, a mapping of columns or a list of rows.

    Raises:
        ValueError: it is none of these, its columns differ in length, or it has no rows.
    """
    if hasattr(table, "iloc") and hasattr(table, "columns"):
        kind, columns = "pandas frame", {str(name): _cells(table[name]) for name in table.columns}
    elif hasattr(table, "__arrow_c_stream__"):
        import pyarrow as pa

        arrow = pa.table(table)
        kind, columns = "frame", {name: arrow[name].to_pylist() for name in arrow.column_names}
    elif isinstance(table, Mapping):
        kind, columns = "table", {str(name): _cells(column) for name, column in table.items()}
    elif isinstance(table, Sequence) and table and all(isinstance(row, Mapping) for row in table):
        names = dict.fromkeys(str(name) for row in table for name in row)
        kind, columns = "list of rows", {name: [row.get(name) for row in table] for name in names}
    else:
        raise TableError(
            f"the table is a {type(table).__name__}: give a path, a mapping from column names to columns, a list of "
            "rows, or a frame of pandas, polars (a lazy one collected) or Arrow"
        )
    lengths = {name: len(cells) for name, cells in columns.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise TableError(f"the columns of the {kind} differ in length ({said}): give every column one value a row")
    count = next(iter(lengths.values()), 0)
    if not count:
        raise TableError(f"the {kind} has no rows: give at least one with params, tokens and loss")
    return Sheet(kind, "row", tuple(columns), tuple(columns.values()), np.arange(1, count + 1), {}, count, {})


def _cells(column: Any) -> list[Any]:
    """The values of a column as Python's own; what an array of objects says is missing is None."""
    cells = column.tolist() if hasattr(column, "tolist") else list(column)
    if not isinstance(cells, list):
        raise TableError(f"a column is {cells!r}: give every column one value a row")
    if getattr(getattr(column, "dtype", None), "kind", "O") != "O":
        return cells
    return [None if cell is None or cell != cell else getattr(cell, "item", lambda cell=cell: cell)() for cell in cells]
