"""A table of losses becomes its report: every form, the selected forecast, the targets, the same question asked
otherwise."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from scaling.analysis.config import TableOptions
from scaling.analysis.holdout import hold_out
from scaling.analysis.table import Table, TableError, observe, read_table
from scaling.laws.agreement import compare_conventions, compare_estimators
from scaling.laws.analysis import Analysis, FormReport, TargetForecast, analyse, sample_rows
from scaling.laws.forecast import forecast
from scaling.laws.forms import SYMBOL, Law
from scaling.laws.intervals import Prediction
from scaling.laws.observations import BoolArray, Observations, frontier
from scaling.laws.payload import fits_payload
from scaling.results import FittedLaw, OptimalAllocation, TableReport
from scaling.values import finite_or_null, to_plain


def report_on_table(options: TableOptions, command: str) -> TableReport:
    """`command` is how it was asked for.

    Raises TableError where the table cannot be read or nothing in it can be used.
    """
    began = time.perf_counter()
    table = read_table(options)
    split = hold_out(table, options.holdout)
    everything = table.observations
    rows, held = everything.take(~split.held), everything.take(split.held) if split.held.any() else None
    largest = float(rows.flops.max())
    targets = options.targets or (largest, 10 * largest, 100 * largest)
    counts = _counts(options, table, split.held, rows)
    seconds = {"read": time.perf_counter() - began}
    analysis = analyse(
        rows, held=held, targets=targets, resamples=options.bootstrap, seed=options.seed, level=options.level
    )
    sample = sample_rows(rows)
    laws = tuple(_fitted_law(report, rows if i == 0 else sample) for i, report in enumerate(analysis.reports))
    estimators = compare_estimators(analysis.reports[0].fit, rows, targets[0])
    conventions = compare_conventions(counts, targets[0]) if len(counts) > 1 else ()
    num_held = 0 if held is None else len(held)
    rule = None if held is None else split.rule
    content: dict[str, Any] = {
        **fits_payload(analysis, source=options.source, num_held=num_held, seconds=seconds),
        "holdout": rule,
        "estimators": [to_plain(answer) for answer in estimators],
        "conventions": [to_plain(answer) for answer in conventions],
    }
    return TableReport(
        fitted=rows,
        held_out=held,
        held_out_prediction=None if held is None else _predict(analysis, sample, held, options.level),
        surface=laws[0],
        lines=tuple(law for law in laws if len(law.fit.law.inputs) == 1 and law.fit.law.name.startswith("power")),
        optima=tuple(_optimum(target) for target in analysis.forecasts),
        noise=None,
        findings=(),
        fits_json=finite_or_null(content),
        source=options.source,
        command=command,
        rule=rule,
        by_run=table.by_run,
        analysis=analysis,
        laws=laws,
        estimators=estimators,
        conventions=conventions,
    )


def _fitted_law(report: FormReport, rows: Observations) -> FittedLaw:
    law = report.fit.law
    part = rows if len(law.inputs) > 1 else rows.take(frontier(rows, law.inputs[0]))
    return FittedLaw(_title(law), report.fit, part, report.boot, report.intervals)


def _title(law: Law) -> str:
    if len(law.inputs) == 1:
        return f"L({SYMBOL[law.inputs[0]]}) along its frontier"
    return law.name.replace("_", " ")


def _predict(analysis: Analysis, sample: Observations, held: Observations, level: float) -> Prediction | None:
    if analysis.selection is None or analysis.backtest is None:
        return None
    return forecast(analysis.selection, sample, held, level=level, widen=analysis.backtest.widen)


def _optimum(target: TargetForecast) -> OptimalAllocation:
    """N* and D* by Chinchilla's law, the loss there by the selected forecast."""
    return OptimalAllocation(
        replace(target.allocation, loss=target.loss), target.params, target.tokens, target.loss_interval
    )


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
