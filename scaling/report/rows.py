"""The rows of a table of losses, each with what the law says of it."""

import numpy as np

from scaling.laws.observations import Observations
from scaling.laws.search import spread_rows
from scaling.report.document import Table
from scaling.report.numbers import amount, nats, scientific, signed_percent, significant
from scaling.report.reading import fitted_loss
from scaling.report.tables import number_columns, text_columns
from scaling.results import TableReport

MOST_ROWS = 500  # listed; the table itself has all


def rows_table(report: TableReport) -> Table:
    parts = [(report.fitted, "fitted")] + ([] if report.held_out is None else [(report.held_out, "held out")])
    count = sum(len(rows) for rows, _ in parts)
    listed = spread_rows(count, MOST_ROWS)
    shown: list[Row] = []
    begin = 0
    for rows, use in parts:
        own = listed[(listed >= begin) & (listed < begin + len(rows))] - begin
        shown += _rows(report, rows.take(own), use)
        begin += len(rows)
    few = "" if len(shown) == count else f" {len(shown)} of the {count:,} rows are listed."
    return Table(
        "rows",
        "Rows",
        "The losses, each with the fitted law's. Residual: logarithm of measured over fitted, about the relative "
        f"error.{few}",
        (
            *text_columns("Run"),
            *number_columns("N", "D", "C (FLOPs)", "Loss (nats/token)", "Law", "Residual"),
            *text_columns("Use"),
        ),
        tuple(cells for cells, _ in shown),
        tuple((None, *keys, None) for _, keys in shown),
    )


def influence_table(report: TableReport) -> Table:
    """Which single rows the best N rests on."""
    flops = report.optima[0].allocation.flops
    return Table(
        "influence",
        "Rows that move the answer most",
        f"Chinchilla's law fitted anew without each row: the best N of {scientific(flops)} FLOPs, and its ratio to "
        f"that of all rows. The {len(report.influence)} that move it most.",
        number_columns(
            report.reading.unit.capitalize(), "N", "D", "Loss (nats/token)", "Residual", "Best N without it", "Ratio"
        ),
        tuple(
            (str(one.line), amount(one.params), amount(one.tokens), nats(one.loss), signed_percent(one.residual),
             amount(one.best_params), significant(one.ratio, 4))
            for one in report.influence
        ),
    )  # fmt: skip


Row = tuple[tuple[str, ...], tuple[float | None, ...]]


def _rows(report: TableReport, rows: Observations, use: str) -> list[Row]:
    """The cells of each row and the numbers that it is sorted by."""
    usable = report.surface.fit.usable
    law = fitted_loss(report.surface.fit, rows) if usable else np.full(len(rows), np.nan)
    made: list[Row] = []
    for i in range(len(rows)):
        N, D, C, loss = (float(column[i]) for column in (rows.params, rows.tokens, rows.flops, rows.loss))
        said = float(law[i]) if usable else None
        left = None if said is None else float(np.log(loss / said))
        cells = (
            str(rows.trajectory[i]), amount(N), amount(D), scientific(C), nats(loss), nats(said), signed_percent(left),
            use,
        )  # fmt: skip
        made.append((cells, (N, D, C, loss, said, left)))
    return made
