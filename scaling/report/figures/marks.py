"""Marks that several figures share: rows as dots in the colours of their sizes, and lines of a legend."""

from collections.abc import Sequence

import numpy as np

from scaling.laws.observations import FloatArray, Observations
from scaling.report.figures.chart import Dots, Symbol
from scaling.report.figures.notes import row_notes
from scaling.report.figures.style import size_colours
from scaling.report.reading import row_sizes, sizes
from scaling.results import LawReport

NOWHERE = np.array([np.nan])


def row_dots(report: LawReport, rows: Observations, x: FloatArray, y: FloatArray, *, held_out: bool = False) -> Dots:
    """Filled circles of fitted rows, open diamonds of held-out ones."""
    colours = size_colours(sizes(report))
    return Dots(
        x,
        y,
        tuple(colours[size] for size in row_sizes(report, rows)),
        symbol="diamond" if held_out else "circle",
        filled=not held_out,
        notes=row_notes(report)(rows),
    )


def legend_dots(label: str, colour: str, symbol: Symbol = "circle", *, filled: bool = True, size: float = 4) -> Dots:
    """A line of the legend alone."""
    return Dots(NOWHERE, NOWHERE, (colour,), symbol=symbol, filled=filled, size=size, label=label)


def column(values: Sequence[float]) -> FloatArray:
    return np.array(values, dtype=np.float64)
