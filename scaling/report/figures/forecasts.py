"""Predictions made before the measurement, beside what was measured."""

import numpy as np

from scaling.laws.search import spread_rows
from scaling.report.figures.chart import Axis, Chart, Dots, Line, Mark, Words, linear_axis
from scaling.report.figures.marks import NOWHERE, column, legend_dots
from scaling.report.figures.notes import BREAK, plain
from scaling.report.figures.plate import FigureGroup, Panel
from scaling.report.figures.style import BLUE, INK, VERMILION, loss_text, span
from scaling.report.numbers import amount, level_text, nats, percent, scientific, signed_percent
from scaling.report.reading import HeldOutRow, held_out_rows, held_out_score
from scaling.results import LawReport

ROW_INCHES = 0.27
MOST_ROWS = 40  # more would not fit on a page


def forecast_figure(report: LawReport) -> FigureGroup | None:
    rows = held_out_rows(report, most=MOST_ROWS)
    if not rows:
        return None
    result = held_out_score(report)
    count = len(rows) if result is None else result.measured + result.pending
    level = level_text(rows[0].level)
    words = (
        "none is measured yet"
        if result is None
        else f"{result.inside} of {result.measured} measured losses lie inside; "
        f"the mean error is {percent(result.mean_error)}"
    )
    alt = f"{count} held-out points with their predicted loss and {level} interval; {words}."
    ahead = rows[0].ahead
    drawn = tuple(rows[i] for i in spread_rows(len(rows), MOST_ROWS))
    sample = "" if len(drawn) == count else f" {len(drawn)} of the {count:,} points are drawn."
    when = (
        "The predictions were stored before the points were trained."
        if ahead
        else "These predictions were made after the measurement, from a fit that did not use it."
    )
    return FigureGroup(
        "forecasts",
        "Predicted against measured",
        f"Points kept out of the fit, by compute, the largest at the top. Line with a tick: predicted loss and its "
        f"{level} interval; dot: measured loss, orange where it is outside. At the right: predicted over measured, "
        f"less one. {when}{sample} Look for: dots inside their lines, and errors without a common sign.",
        (
            Panel(
                "forecasts",
                alt,
                chart(drawn),
                height=max(2.2, 1.0 + ROW_INCHES * len(drawn)),
            ),
        ),
    )


def chart(rows: tuple[HeldOutRow, ...]) -> Chart:
    values = [v for row in rows for v in (row.low, row.high, row.predicted, row.measured) if v is not None]
    low, high = span(values, 0.08)
    at = np.arange(len(rows), dtype=np.float64)
    notes = tuple(_note(row) for row in rows)
    marks: list[Mark] = [
        Line(column([row.low, row.high]), column([y, y]), BLUE, width=3.5, opacity=0.35) for y, row in enumerate(rows)
    ]
    predicted = column([row.predicted for row in rows])
    marks.append(Dots(predicted, at, (BLUE,) * len(rows), symbol="bar", size=11, edge=1.8, notes=notes))
    done = [i for i, row in enumerate(rows) if row.measured is not None]
    marks.append(
        Dots(
            column([rows[i].measured or np.nan for i in done]),
            at[done],
            tuple(INK if rows[i].inside else VERMILION for i in done),
            notes=tuple(notes[i] for i in done),
        )
    )
    marks += [
        Words(
            high,
            y,
            "not measured yet" if row.measured is None else signed_percent(row.relative_error),
            colour=INK if row.inside is not False else VERMILION,
        )
        for y, row in enumerate(rows)
    ]
    marks += [
        Line(NOWHERE, NOWHERE, BLUE, width=3.5, opacity=0.35, label="predicted"),
        legend_dots("measured", INK, size=5),
    ]
    names = tuple((float(y), f"{row.size} · {amount(row.tokens)} tokens") for y, row in enumerate(rows))
    return Chart(
        linear_axis("loss (nats/token)", (low, high), loss_text),
        Axis("", (-0.7, len(rows) - 0.3), names, log=False, grid=False),
        tuple(marks),
        legend="above",
        legend_columns=2,
    )


def _note(row: HeldOutRow) -> str:
    measured = "not measured yet" if row.measured is None else f"measured {nats(row.measured)}"
    where = {True: " · inside", False: " · outside", None: ""}[row.inside]
    return BREAK.join(
        (
            f"run {plain(row.run_id)}",
            f"{plain(row.size)} · D {amount(row.tokens)} · C {scientific(row.flops)}",
            f"predicted {nats(row.predicted)} ({nats(row.low)} to {nats(row.high)})",
            measured + where,
        )
    )
