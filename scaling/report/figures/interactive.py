"""From a panel to what plotly draws: the same marks, with the notes of their points.

A colour is written "#rrggbb" or "#rrggbb/opacity"; the page turns both into the colours of its theme. A point's note
is a number, its place in the list that all figures of a page share.
"""

import math
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import numpy as np

from scaling.laws.observations import FloatArray
from scaling.report.figures.chart import Area, Axis, Chart, Dash, Dots, Line, Mark, Symbol, Where, Words
from scaling.report.figures.plate import FigureGroup, Panel
from scaling.report.figures.style import GRID, INK, PAPER, on_dark

DIGITS = 6  # significant, of what is drawn: a pixel is some three
PIXELS_PER_INCH = 96
LEGEND_ROW = 22  # pixels
SYMBOLS: dict[Symbol, str] = {"circle": "circle", "diamond": "diamond", "cross": "x-thin", "bar": "line-ns"}
DASHES: dict[Dash, str] = {"solid": "solid", "dash": "dash"}
PLACES: dict[Where, dict[str, Any]] = {
    "right": {"xanchor": "left", "yanchor": "middle", "xshift": 4},
    "left": {"xanchor": "right", "yanchor": "middle", "xshift": -4},
    "above": {"xanchor": "left", "yanchor": "bottom", "xshift": 4},
    "on": {"xanchor": "center", "yanchor": "middle"},
}


def interactive(groups: Iterable[FigureGroup]) -> dict[str, Any]:
    """All figures of a page: `figures` by panel, the `notes` of their points, and `dark`, each colour's twin."""
    notes: dict[str, int] = {}
    colours = {INK, GRID, PAPER}
    figures = {}
    for group in groups:
        for panel in group.panels:
            figures[panel.name] = figure(panel, notes)
            colours |= {colour for mark in panel.chart.marks for colour in _colours(mark)}
    return {"figures": figures, "notes": list(notes), "dark": {colour: on_dark(colour) for colour in sorted(colours)}}


def _colours(mark: Mark) -> tuple[str, ...]:
    return mark.colours if isinstance(mark, Dots) else (mark.colour,)


def figure(panel: Panel, notes: dict[str, int]) -> dict[str, Any]:
    """Plotly's data and layout. New notes are added to `notes`, which gives each its number."""
    chart = panel.chart
    data = list(_traces(chart, notes))
    entries = sum(trace["showlegend"] for trace in data) if chart.legend != "none" else 0
    height = round(panel.height * PIXELS_PER_INCH) + LEGEND_ROW * math.ceil(entries / 3)
    layout = {
        "height": height,
        "margin": {"l": 8, "r": 56 if _right_words(chart) else 12, "t": 34 if chart.title else 12, "b": 8},
        "title": {"text": chart.title, "font": {"size": 14}, "x": 0, "xref": "paper", "xanchor": "left"},
        "font": {"color": INK, "size": 12},
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        "showlegend": bool(entries),
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0, "font": {"size": 11}},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": _axis(chart.x),
        "yaxis": _axis(chart.y),
        "annotations": [_annotation(mark, chart) for mark in chart.marks if isinstance(mark, Words)],
    }
    return {"data": data, "layout": layout}


def _right_words(chart: Chart) -> bool:
    return any(isinstance(mark, Words) and mark.where == "right" for mark in chart.marks)


def _range(axis: Axis) -> list[Any]:
    return _short(np.array([math.log10(end) for end in axis.ends] if axis.log else list(axis.ends)))


def _axis(axis: Axis) -> dict[str, Any]:
    return {
        "type": "log" if axis.log else "linear",
        "range": _range(axis),
        "title": {"text": axis.label},
        "tickvals": [at for at, _ in axis.ticks],
        "ticktext": [text for _, text in axis.ticks],
        "showgrid": axis.grid,
        "gridcolor": GRID,
        "linecolor": INK,
        "zeroline": False,
        "automargin": True,
    }


def _annotation(words: Words, chart: Chart) -> dict[str, Any]:
    """Plotly puts annotations of a log axis at the logarithm; one that lies a rounding off the range it leaves out."""
    at = {
        name: min(max(math.log10(value) if axis.log else value, min(_range(axis))), max(_range(axis)))
        for name, value, axis in (("x", words.x, chart.x), ("y", words.y, chart.y))
    }
    font = {"size": round(words.size * 1.4), "color": words.colour}
    behind = {"bgcolor": PAPER, "borderpad": 1} if words.where == "on" else {}
    return {**at, "text": words.text, "showarrow": False, "font": font, **PLACES[words.where], **behind}


def _traces(chart: Chart, notes: dict[str, int]) -> Iterator[dict[str, Any]]:
    """Neighbouring lines that look the same are one trace with gaps: plotly is slow with hundreds of traces."""
    drawn = (mark for mark in chart.marks if not isinstance(mark, Words))
    for _, marks in groupby(drawn, key=_look):
        first, *rest = marks
        match first:
            case Line():
                yield _lines([first, *(line for line in rest if isinstance(line, Line))])
            case Dots():
                yield _dots(first, notes)
            case Area():
                yield _area(first)


def _look(mark: Line | Dots | Area) -> tuple[object, ...]:
    """What two marks share that one trace can hold; dots and areas are alone."""
    if isinstance(mark, Line):
        return mark.colour, mark.width, mark.dash, mark.opacity, mark.label
    return (id(mark),)


def _lines(lines: list[Line]) -> dict[str, Any]:
    x: list[float | None] = []
    y: list[float | None] = []
    for line in lines:
        gap = [None] if x else []
        x += [*gap, *_short(line.x)]
        y += [*gap, *_short(line.y)]
    look = lines[0]
    colour = f"{look.colour}/{look.opacity:g}"
    shape = {"color": colour, "width": look.width * 1.3, "dash": DASHES[look.dash]}
    return _trace(x, y, look.label, mode="lines", line=shape, hoverinfo="skip")


def _dots(dots: Dots, notes: dict[str, int]) -> dict[str, Any]:
    same = len(set(dots.colours)) == 1
    colour = dots.colours[0] if same else list(dots.colours)
    symbol = SYMBOLS[dots.symbol] if dots.filled else f"{SYMBOLS[dots.symbol]}-open"
    marker: dict[str, Any] = {"color": colour, "symbol": symbol, "size": dots.size * 1.5, "opacity": dots.opacity}
    if not dots.filled or dots.symbol in ("cross", "bar"):
        marker["line"] = {"width": dots.edge * 1.3, "color": colour}
    trace = _trace(_short(dots.x), _short(dots.y), dots.label, mode="markers", marker=marker)
    if not dots.notes:
        return {**trace, "hoverinfo": "skip"}
    return {**trace, "hoverinfo": "text", "notes": [notes.setdefault(note, len(notes)) for note in dots.notes]}


def _area(area: Area) -> dict[str, Any]:
    fill = {"fill": "toself", "fillcolor": f"{area.colour}/{area.opacity:g}"}
    line = {"width": 0, "color": area.colour}
    return _trace(_short(area.x), _short(area.y), area.label, mode="lines", line=line, hoverinfo="skip", **fill)


def _trace(x: list[float | None], y: list[float | None], label: str, **rest: Any) -> dict[str, Any]:
    return {"type": "scatter", "x": x, "y": y, "name": label, "showlegend": bool(label), **rest}


def _short(values: FloatArray) -> list[float | None]:
    """As few digits as the eye can tell, and null for what is no number."""
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in values.tolist()]
