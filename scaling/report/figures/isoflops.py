"""IsoFLOP profiles: loss against size for each budget of compute, with its parabola and the fitted law."""

import numpy as np

from scaling.laws.isoflop import MIN_SIZES, Parabola, budget_groups, fit_isoflops
from scaling.laws.observations import FloatArray, Observations, points
from scaling.laws.search import spread_rows
from scaling.report.figures.chart import Chart, Dots, Line, Mark, log_axis
from scaling.report.figures.marks import column
from scaling.report.figures.notes import row_notes
from scaling.report.figures.plate import FigureGroup, Panel
from scaling.report.figures.style import FAINT, INK, loss_text, size_colours, span
from scaling.report.numbers import plural, scientific, short_amount
from scaling.report.reading import MOST_DRAWN, is_thinned
from scaling.results import LawReport

MOST_BUDGETS = 12  # of many rows, that are drawn

Profile = tuple[Observations, Parabola]


def isoflop_figure(report: LawReport) -> FigureGroup | None:
    """None where no budget has sizes enough for a parabola: a grid of sizes and token counts has none."""
    every = profiles(report.fitted)
    if not every:
        return None
    chosen = drawn(report, every)
    sample = "" if len(chosen) == len(every) else f" {len(chosen)} of the {len(every):,} budgets are drawn."
    used = sum(parabola.status == "used" for _, parabola in chosen)
    low, high = (scientific(parabola.budget) for _, parabola in (chosen[0], chosen[-1]))
    words = (
        f"Loss against parameters for {plural(len(chosen), 'budget')} of compute from {low} to {high} FLOPs; {used} of "
        "the parabolas have a minimum that can be used."
    )
    return FigureGroup(
        "isoflops",
        "IsoFLOP profiles",
        "Points of equal compute, one colour for each budget, the largest darkest. Line: parabola in log N (approach 2 "
        "of Hoffmann et al. 2022), drawn where its minimum can be used; cross: that minimum. Dashed: the fitted law at "
        "the same compute. Look for: minima inside the profile, the same size as the dashed line's, and moving evenly "
        f"with compute.{sample}",
        (Panel("isoflops", words, chart(report, chosen), height=4.1),),
    )


def drawn(report: LawReport, every: list[Profile]) -> list[Profile]:
    """Of many rows, some budgets from the least compute to the most, and of each some rows; their parabolas are still
    those of all."""
    if not is_thinned(report):
        return every
    some = [every[i] for i in spread_rows(len(every), MOST_BUDGETS)]
    return [(rows.take(spread_rows(len(rows), MOST_DRAWN // len(some))), parabola) for rows, parabola in some]


def profiles(rows: Observations) -> list[Profile]:
    """The rows of each budget that has enough sizes, by compute, with their parabola."""
    parabolas = fit_isoflops(rows).parabolas
    groups = [rows.take(index) for _, index in budget_groups(rows)]
    pairs = zip(groups, parabolas, strict=True)
    return [(group, parabola) for group, parabola in pairs if len(np.unique(group.params)) >= MIN_SIZES]


def chart(report: LawReport, chosen: list[Profile]) -> Chart:
    notes = row_notes(report)
    names = [scientific(parabola.budget) for _, parabola in chosen]
    colours = size_colours(names)
    marks: list[Mark] = []
    for name, (rows, parabola) in zip(names, chosen, strict=True):
        colour = colours[name]
        grid = np.geomspace(rows.params.min() / 1.2, rows.params.max() * 1.2, 60)
        if report.surface.fit.usable:
            marks.append(Line(grid, _surface(report, rows, grid), colour, dash="dash", opacity=0.6))
        if parabola.params is not None and parabola.loss is not None and parabola.curvature is not None:
            bend = parabola.curvature / 2 * np.log(grid / parabola.params) ** 2
            marks.append(Line(grid, parabola.loss + bend, colour, width=1.5))
            minimum = column([parabola.params]), column([parabola.loss])
            marks.append(Dots(*minimum, (INK,), symbol="cross", size=7, edge=1.6))
        marks.append(Dots(rows.params, rows.loss, (colour,) * len(rows), notes=notes(rows), label=f"{name} FLOPs"))
    if report.surface.fit.usable:
        marks.append(Line(column([np.nan]), column([np.nan]), FAINT, dash="dash", label="fitted law"))
    losses = [loss for rows, _ in chosen for loss in rows.loss.tolist()]
    sizes = [size for rows, _ in chosen for size in rows.params.tolist()]
    return Chart(
        log_axis("parameters N", span(sizes, 0.08, least=3), short_amount),
        log_axis("loss (nats/token)", span(losses, 0.12), loss_text),
        tuple(marks),
        legend="above",
        legend_columns=3,
    )


def _surface(report: LawReport, rows: Observations, grid: FloatArray) -> FloatArray:
    """The fitted law along the budget: as the rows have it, N times D is one number."""
    fit = report.surface.fit
    product = float(np.exp(np.log(rows.params * rows.tokens).mean()))
    return np.asarray(fit.law.predict(fit.theta, points(grid, product / grid)))
