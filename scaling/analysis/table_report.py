"""A table of losses becomes its report."""

import time
from dataclasses import fields, replace
from pathlib import Path

from scaling.analysis.config import TableOptions
from scaling.analysis.holdout import hold_out
from scaling.analysis.law_report import Rows, law_report
from scaling.analysis.table import Table, TableError, observe, read_table
from scaling.laws.observations import BoolArray, Observations
from scaling.results import TableReport


def report_on_table(options: TableOptions, command: str) -> TableReport:
    """`command` is how it was asked for.

    Raises TableError where the table cannot be read or nothing in it can be used.
    """
    began = time.perf_counter()
    table = read_table(options)
    split = hold_out(table, options.holdout)
    everything = table.observations
    fitted, held = everything.take(~split.held), everything.take(split.held) if split.held.any() else None
    rows = Rows(
        source=options.source,
        fitted=fitted,
        held_out=held,
        rule=None if held is None else split.rule,
        counts=_counts(options, table, split.held, fitted),
        curves=_curves(options),
    )
    laws = law_report(
        rows,
        targets=options.targets,
        resamples=options.bootstrap,
        level=options.level,
        seed=options.seed,
        seconds={"read": time.perf_counter() - began},
    )
    return TableReport(
        **{part.name: getattr(laws, part.name) for part in fields(laws)},
        source=options.source,
        command=command,
        rule=rows.rule,
        by_run=table.by_run,
    )


def _curves(options: TableOptions) -> dict[str, Observations]:
    """The training curves for approach 1, by a name that says what they are. Raises TableError."""
    if options.curves is None:
        return {}
    table = read_table(replace(options, source=options.curves))
    if not table.by_run:
        raise TableError(
            f"curves is {options.curves}, whose rows name no training run: add a column run, or columns.run=NAME"
        )
    return {f"training curves of {Path(options.curves).name}, undecayed": table.observations}


def _counts(options: TableOptions, table: Table, held: BoolArray, rows: Observations) -> dict[str, Observations]:
    """The training rows under each column that counts parameters, the main one first."""
    found = {table.columns.get("params", "params"): rows}
    lines = [line for line, out in zip(table.lines, held, strict=True) if not out]
    for column in options.conventions:
        columns = table.columns | {"params": column}
        try:
            found[column] = observe(lines, columns, f"params: {column}", Path(table.source))
        except TableError as error:
            raise TableError(f"conventions has {column!r}, but {error}") from None
    return found
