"""The one-variable laws: L(N) and L(D) along a slice, L(C) along the frontier."""

import numpy as np

from scaling.laws.forms import SYMBOL
from scaling.laws.intervals import curve_band
from scaling.laws.observations import FloatArray, frontier, points
from scaling.report.figures.chart import Area, Chart, Dots, Line, Mark, log_axis
from scaling.report.figures.marks import NOWHERE, row_dots
from scaling.report.figures.notes import row_notes
from scaling.report.figures.plate import FigureGroup, Panel
from scaling.report.figures.style import BAND, FAINT, INK, VERMILION, loss_text, span
from scaling.report.numbers import greek, level_text, power_of_ten, short_amount, significant
from scaling.report.reading import LineGroup, interval_level, line_groups
from scaling.results import FittedLaw, LawReport

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
    return Panel(name, alt, chart(report, group))


def _words(law: FittedLaw) -> str:
    fit = law.fit
    kind = "with floor" if "E" in fit.law.parameter_names else "pure power law"
    if not fit.usable:
        return f"{kind}: {fit.status.replace('_', ' ')}, not drawn"
    return f"{kind}: " + ", ".join(f"{greek(n)} = {significant(v)}" for n, v in fit.parameters.items() if n != "k")


def chart(report: LawReport, group: LineGroup) -> Chart:
    variable, rows, held_out = group.variable, group.rows, group.held_out
    everything = [report.fitted] + ([report.held_out] if report.held_out is not None else [])
    shown_x = [v for part in everything for v in getattr(part, variable).tolist()]
    shown_y = [v for part in everything for v in part.loss.tolist()]
    notes = row_notes(report)
    marks: list[Mark] = [
        Dots(
            getattr(part, variable),
            part.loss,
            (FAINT,) * len(part),
            symbol="circle" if part is report.fitted else "diamond",
            filled=part is report.fitted,
            size=3,
            edge=0.7,
            opacity=0.5,
            notes=notes(part),
        )
        for part in everything
    ]
    ends = span(shown_x, 0.12, least=3)
    grid = np.geomspace(*ends, 100)
    for law in group.laws:
        marks += _law_marks(law, variable, grid, interval_level(report))
    marks.append(row_dots(report, rows, getattr(rows, variable), rows.loss))
    if held_out is not None:
        marks.append(row_dots(report, held_out, getattr(held_out, variable), held_out.loss, held_out=True))
    return Chart(
        log_axis(AXIS[variable], ends, power_of_ten if variable == "flops" else short_amount),
        log_axis("loss (nats/token)", span(shown_y, 0.12), loss_text),
        tuple(marks),
        title=group.title,
    )


def _law_marks(law: FittedLaw, variable: str, grid: FloatArray, level: float) -> list[Mark]:
    fit = law.fit
    floor = "E" in fit.law.parameter_names
    if not fit.usable:
        return [Line(NOWHERE, NOWHERE, FAINT, width=0, label=_words(law))]
    at = points(**{variable: grid})
    loss = np.asarray(fit.law.predict(fit.theta, at))
    if not floor:
        return [Line(grid, loss, VERMILION, dash="dash", label=_words(law))]
    low, high = curve_band(fit, law.observations, at, law.bootstrap, level=level)
    band = Area(np.concatenate([grid, grid[::-1]]), np.concatenate([low, high[::-1]]), BAND)
    return [band, Line(grid, loss, INK, width=1.5, label=_words(law))]
