"""A table of losses becomes its report."""

import time
from dataclasses import fields
from pathlib import Path

import numpy as np

from scaling.analysis.config import TableOptions, Targets
from scaling.analysis.holdout import HoldOut, hold_out
from scaling.analysis.law_report import Rows, law_report
from scaling.analysis.repetition import repetition_of
from scaling.laws.influence import best_params_without, rows_that_may_pull
from scaling.laws.observations import IntArray, Observations
from scaling.results import LawReport, RowInfluence, TableReport
from scaling.tables.account import TableError
from scaling.tables.read import Table, counted_otherwise, read_table, together

MOST_INFLUENCES = 10


def report_on_table(options: TableOptions, command: str, table: Table | None = None) -> TableReport:
    """`command` is how it was asked for; `table` that of the options, where it is read already.

    Raises TableError where the table cannot be read or nothing in it can be used.
    """
    began = time.perf_counter()
    table = table or read_table(options.source, options, options.convention)
    split = hold_out(table, options.holdout)
    everything = table.observations
    fitted, held = everything.take(~split.held), everything.take(split.held) if split.held.any() else None
    repeated, unseen = None, None
    if table.repeated is not None:
        repeated = together(fitted, table.repeated.take(~split.repeated))
        unseen = table.repeated.take(split.repeated) if split.repeated.any() else None
    rows = Rows(
        source=options.source,
        fitted=fitted,
        held_out=held,
        rule=None if held is None else split.rule,
        counts=_counts(options, table, split, fitted),
        curves=_curves(options, table),
        repeated=repeated,
    )
    asked = Targets.of(options.targets)
    laws = law_report(
        rows,
        targets=asked.flops,
        at=asked.points,
        resamples=options.bootstrap,
        level=options.level,
        seed=options.seed,
        seconds={"read": time.perf_counter() - began},
    )
    found = None if repeated is None else repetition_of(repeated, unseen, options.level)
    shared = {part.name: getattr(laws, part.name) for part in fields(laws)}
    return TableReport(
        **shared,
        command=command,
        by_run=table.by_run,
        reading=table.reading,
        repetition=found,
        influence=_influence(laws, table.lines[~split.held]),
    )


def _influence(laws: LawReport, lines: IntArray) -> tuple[RowInfluence, ...]:
    """The fitted rows without which the best N of the first target moves most; `lines` are theirs, [n]."""
    fit, rows = laws.surface.fit, laws.fitted
    if not fit.usable or not laws.optima:
        return ()
    flops = laws.optima[0].allocation.flops
    at = rows_that_may_pull(fit, rows)
    without = best_params_without(fit, rows, flops, at)
    ratio = without / float(fit.law.optimal_params(fit.theta, np.array(flops)))
    moved = np.nan_to_num(np.abs(np.log(ratio)), nan=np.inf)
    shown = np.argsort(-moved, kind="stable")[:MOST_INFLUENCES]
    return tuple(
        RowInfluence(
            line=int(lines[i]),
            params=float(rows.params[i]),
            tokens=float(rows.tokens[i]),
            loss=float(rows.loss[i]),
            residual=float(fit.residuals[i]),
            best_params=float(without[k]),
            ratio=float(ratio[k]),
        )
        for k, i in zip(shown.tolist(), at[shown].tolist(), strict=True)
    )


def _curves(options: TableOptions, table: Table) -> dict[str, Observations]:
    """The training curves for approach 1, by a name that says what they are. Raises TableError."""
    curves = {} if table.curves is None else {"rows on the way of the table's runs, undecayed": table.curves}
    if options.curves is None:
        return curves
    # Every row of a curve is wanted: steps and states are not to thin them out.
    given = read_curves(options.curves, options)
    return curves | {f"training curves of {Path(options.curves).name}, undecayed": given}


def read_curves(source: str, options: TableOptions) -> Observations:
    """All rows of a file of training curves, on the way or not. Raises TableError where no run is named."""
    table = read_table(source, options)
    if not table.by_run:
        raise TableError(f"curves is {source}, whose rows name no training run: add a column run, or columns.run=NAME")
    return table.observations if table.curves is None else together(table.curves, table.observations)


def _counts(options: TableOptions, table: Table, split: HoldOut, rows: Observations) -> dict[str, Observations]:
    """The training rows under each column that counts parameters, the main one first."""
    found = {table.column_of("params"): rows}
    for column in options.conventions:
        try:
            counted, has_one = counted_otherwise(table, column)
        except TableError as error:
            raise TableError(f"conventions has {column!r}, but {error}") from None
        found[column] = counted.take(np.flatnonzero(~split.held[has_one]))
    return found
