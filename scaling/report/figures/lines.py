"""The one-variable laws: L(N) and L(D) along a slice, L(C) along the frontier."""

from typing import TYPE_CHECKING

import numpy as np

from scaling.laws.forms import SYMBOL
from scaling.laws.intervals import curve_band
from scaling.laws.observations import FloatArray, Points, frontier, points
from scaling.report.figures.plate import FigureGroup, Panel
from scaling.report.figures.style import BAND, FAINT, INK, VERMILION, log_axis, loss_text, size_colours, span
from scaling.report.numbers import greek, level_text, power_of_ten, short_amount, significant
from scaling.report.reading import LineGroup, interval_level, line_groups, row_sizes, sizes
from scaling.results import FittedLaw, LawReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AXIS = {"params": "parameters N", "tokens": "training tokens D", "flops": "training compute C (FLOPs)"}


def line_figures(report: LawReport) -> FigureGroup | None:
    groups = tuple(group for group in line_groups(report) if len(group.rows))
    if not groups:
        return None
    return FigureGroup(
        "lines",
        "Loss against one variable at a time",
        f"Filled: points that the line was fitted to{_frontier_words(groups)}; open diamonds: held-out points of the "
        "same slice, not fitted; small and grey: all other points, open where held out. Dark line: power law with a "
        f"floor E; shaded: its {level_text(interval_level(report))} band, of the law and not of new points; dashed: "
        "pure power law. The lines go on beyond the points on purpose. Look "
        "for: do the open points lie on the dark line, and does the dashed line leave them where the floor bends? "
        "Fits that did not converge are named in the legend and not drawn.",
        tuple(_panel(report, group, index) for index, group in enumerate(groups)),
    )


def _frontier_words(groups: tuple[LineGroup, ...]) -> str:
    by_flops = [group.rows for group in groups if group.variable == "flops"]
    if by_flops and all(len(frontier(rows)) == len(rows) for rows in by_flops):
        return " (for L(C) the frontier, which no other point beats with the same compute or less)"
    return ""


def _panel(report: LawReport, group: LineGroup, index: int) -> Panel:
    x = SYMBOL[group.variable]
    held_out = 0 if group.held_out is None else len(group.held_out)
    laws = "; ".join(_words(law) for law in group.laws)
    alt = (
        f"{group.title}: loss against {x} on log axes, {len(group.rows)} fitted and {held_out} held-out points. {laws}."
    )
    same = [g.variable for g in line_groups(report)].count(group.variable) > 1
    name = f"loss-against-{group.variable}" + (f"-{index + 1}" if same else "")
    return Panel(name, alt, lambda axes: draw(axes, report, group))


def _words(law: FittedLaw) -> str:
    fit = law.fit
    kind = "with floor" if "E" in fit.law.parameter_names else "pure power law"
    if not fit.usable:
        return f"{kind}: {fit.status.replace('_', ' ')}, not drawn"
    return f"{kind}: " + ", ".join(f"{greek(n)} = {significant(v)}" for n, v in fit.parameters.items() if n != "k")


def _at(variable: str, x: FloatArray) -> Points:
    return points(**{variable: x})


def draw(axes: "Axes", report: LawReport, group: LineGroup) -> None:
    variable, rows = group.variable, group.rows
    colours = size_colours(sizes(report))
    x = getattr(rows, variable)
    everything = [(report.fitted, "o")] + ([(report.held_out, "D")] if report.held_out is not None else [])
    shown_x, shown_y = [*x.tolist()], [*rows.loss.tolist()]
    if group.held_out is not None:
        shown_x += getattr(group.held_out, variable).tolist()
        shown_y += group.held_out.loss.tolist()
    for part, marker in everything:
        axes.plot(
            getattr(part, variable), part.loss, marker, color=FAINT, alpha=0.5, markersize=3, markeredgewidth=0.7,
            markerfacecolor="white" if marker == "D" else FAINT,
        )  # fmt: skip
        shown_x += getattr(part, variable).tolist()
        shown_y += part.loss.tolist()
    low, high = span(shown_x, 0.12, least=3)
    grid = np.geomspace(low, high, 100)
    for law in group.laws:
        _draw_law(axes, law, variable, grid, interval_level(report))
    for size, at, loss in zip(row_sizes(report, rows), x, rows.loss, strict=True):
        axes.plot(at, loss, "o", color=colours[size], markersize=5.5, markeredgecolor="white", markeredgewidth=0.5)
    if group.held_out is not None:
        held_x = getattr(group.held_out, variable)
        for size, at, loss in zip(row_sizes(report, group.held_out), held_x, group.held_out.loss, strict=True):
            axes.plot(
                at,
                loss,
                "D",
                color=colours[size],
                markersize=5.5,
                markerfacecolor="white",
                markeredgewidth=1.3,
                zorder=4,
            )
    form = power_of_ten if variable == "flops" else short_amount
    log_axis(axes, "x", (low, high), AXIS[variable], form)
    log_axis(axes, "y", span(shown_y, 0.12), "loss (nats/token)", loss_text)
    axes.set_title(group.title)
    axes.legend(loc="upper right")


def _draw_law(axes: "Axes", law: FittedLaw, variable: str, grid: FloatArray, level: float) -> None:
    fit = law.fit
    floor = "E" in fit.law.parameter_names
    if not fit.usable:
        axes.plot([], [], " ", label=_words(law))
        return
    at = _at(variable, grid)
    axes.plot(
        grid, fit.law.predict(fit.theta, at), color=INK if floor else VERMILION, linewidth=1.5 if floor else 1.2,
        linestyle="-" if floor else (0, (5, 2.5)), label=_words(law), zorder=2,
    )  # fmt: skip
    if floor:
        low, high = curve_band(fit, law.observations, at, law.bootstrap, level=level)
        axes.fill_between(grid, low, high, color=BAND, alpha=0.3, linewidth=0, zorder=1)
