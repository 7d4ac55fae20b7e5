"""Loss against d_model / num_layers at about one N."""

import math

import numpy as np

from scaling.laws.search import spread_rows
from scaling.report.figures.chart import Area, Chart, Dots, Line, Mark, linear_axis, log_axis
from scaling.report.figures.marks import column
from scaling.report.figures.plate import FigureGroup, Panel
from scaling.report.figures.style import BAND, INK, size_colours, span
from scaling.report.numbers import amount, level_text, nats, percent, significant
from scaling.report.shapes import RATIO, best_words
from scaling.results import LawReport, StudyReport
from scaling.shapes import Shapes

MOST_DRAWN = 300  # losses


def shape_figure(report: LawReport) -> FigureGroup | None:
    """None where no sizes are shapes of one N, or too few for a curve."""
    found = report.shapes if isinstance(report, StudyReport) else None
    if found is None or found.valley is None:
        return None
    return FigureGroup(
        "shapes",
        "Loss by shape",
        "How far the loss lies above that of the best ratio of width to depth, at about one N and one budget each. "
        f"Dots: means over seeds, with {level_text(found.level)} intervals. Line: the curve that all budgets share; "
        "shaded: its interval. Look for: is the valley there in every colour, and do dots leave the line on one side?",
        (Panel("loss-against-shape", f"Loss against {RATIO}. {best_words(found)}", chart(found)),),
    )


def chart(found: Shapes) -> Chart:
    valley = found.valley
    assert valley is not None
    names = [f"N {amount(cell.params)}, D {amount(cell.tokens)}" for cell in found.cells]
    colours = size_colours(names)
    x = np.linspace(*valley.ends, 61)
    costs = [valley.cost(at) for at in x]
    value, low, high = (
        column([100 * math.expm1(end or 0.0) for end in ends])
        for ends in ([c.value for c in costs], [c.low for c in costs], [c.high for c in costs])
    )
    ratios = np.exp(x)
    marks: list[Mark] = [
        Area(np.concatenate([ratios, ratios[::-1]]), np.concatenate([low, high[::-1]]), BAND),
        Line(ratios, value, INK, width=1.5),
    ]
    every = [(shape, each) for shape in found.shapes for each in shape.losses]
    shown = [every[i] for i in spread_rows(len(every), MOST_DRAWN)]
    ends = [*low.tolist(), *high.tolist()]
    for cell, name in enumerate(names):
        own = [(shape, each, each.above) for shape, each in shown if each.cell == cell and each.above is not None]
        for shape, _, above in own:
            if above.low is not None and above.high is not None:
                bar = column([100 * above.low, 100 * above.high])
                marks.append(Line(column([shape.aspect] * 2), bar, colours[name], width=0.8, opacity=0.6))
                ends += bar.tolist()
        notes = tuple(
            f"{shape.size}: {shape.num_layers} layers of {shape.d_model}, {shape.num_heads} heads<br>loss "
            f"{nats(each.loss.value)} nats/token, {percent(above.value)} above the best<br>{each.num_runs} runs"
            for shape, each, above in own
        )
        dots = column([shape.aspect for shape, _, _ in own]), column([100 * above.value for *_, above in own])
        marks.append(Dots(*dots, (colours[name],) * len(own), notes=notes, label=name if own else ""))
        ends += dots[1].tolist()
    return Chart(
        log_axis(RATIO, span(ratios.tolist(), 0.06), significant),
        linear_axis("loss above the best (%)", (min(ends), max(ends)), lambda tick: f"{tick:.3g}"),
        tuple(marks),
        legend="above",
        legend_columns=2,
    )
