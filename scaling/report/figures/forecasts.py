"""Predictions made before the measurement, beside what was measured."""

from typing import TYPE_CHECKING

from scaling.laws.search import spread_rows
from scaling.report.figures.plate import FigureGroup, Panel
from scaling.report.figures.style import BLUE, INK, VERMILION, loss_text, round_ticks, span
from scaling.report.numbers import amount, level_text, percent, signed_percent
from scaling.report.reading import HeldOutRow, held_out_rows, score
from scaling.results import LawReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW_INCHES = 0.27
MOST_ROWS = 40  # more would not fit on a page


def forecast_figure(report: LawReport) -> FigureGroup | None:
    rows = held_out_rows(report)
    if not rows:
        return None
    result = score(rows)
    level = level_text(rows[0].level)
    words = (
        "none is measured yet"
        if result is None
        else f"{result.inside} of {result.measured} measured losses lie inside; "
        f"the mean error is {percent(result.mean_error)}"
    )
    alt = f"{len(rows)} held-out points with their predicted loss and {level} interval; {words}."
    ahead = all(row.ahead for row in rows)
    drawn = tuple(rows[i] for i in spread_rows(len(rows), MOST_ROWS))
    sample = "" if len(drawn) == len(rows) else f" {len(drawn)} of the {len(rows):,} points are drawn."
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
                lambda axes: draw(axes, drawn),
                height=max(2.2, 1.0 + ROW_INCHES * len(drawn)),
            ),
        ),
    )


def draw(axes: "Axes", rows: tuple[HeldOutRow, ...]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter

    values = [v for row in rows for v in (row.low, row.high, row.predicted, row.measured) if v is not None]
    low, high = span(values, 0.08)
    for y, row in enumerate(rows):
        axes.plot([row.low, row.high], [y, y], color=BLUE, linewidth=3.5, alpha=0.35, solid_capstyle="butt")
        axes.plot(row.predicted, y, "|", color=BLUE, markersize=11, markeredgewidth=1.8)
        if row.measured is not None:
            axes.plot(row.measured, y, "o", color=INK if row.inside else VERMILION, markersize=5, zorder=3)
        note = "not measured yet" if row.measured is None else signed_percent(row.relative_error)
        axes.annotate(
            note, (1.0, y), (4, 0), xycoords=("axes fraction", "data"), textcoords="offset points", fontsize=7.5,
            va="center", color=INK if row.inside is not False else VERMILION, annotation_clip=False,
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [f"{row.size} · {amount(row.tokens)} tokens" for row in rows])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(round_ticks(low, high)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: loss_text(value)))
    axes.set_xlabel("loss (nats/token)")
    axes.grid(visible=False, axis="y")
    axes.plot([], [], color=BLUE, linewidth=3.5, alpha=0.35, label="predicted")
    axes.plot([], [], "o", color=INK, markersize=5, label="measured")
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.2)
