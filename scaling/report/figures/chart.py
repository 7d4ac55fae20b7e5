"""What a figure shows, before anything draws it: axes and marks that matplotlib and plotly both render.

Marks lie on each other in their order. A mark with a label and no points is a line of the legend alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from scaling.laws.observations import FloatArray
from scaling.report.figures.style import INK, apart, log_ticks, round_ticks

Dash = Literal["solid", "dash"]
Symbol = Literal["circle", "diamond", "cross", "bar"]
Where = Literal["right", "left", "above", "on"]


@dataclass(frozen=True)
class Axis:
    """`ends` and `ticks` are in the units of the data; a tick is where it stands and what it says."""

    label: str
    ends: tuple[float, float]
    ticks: tuple[tuple[float, str], ...]
    log: bool
    grid: bool = True


def log_axis(label: str, ends: tuple[float, float], form: Callable[[float], str]) -> Axis:
    return Axis(label, ends, tuple((tick, form(tick)) for tick in log_ticks(*ends)), log=True)


def linear_axis(label: str, ends: tuple[float, float], form: Callable[[float], str], most: int = 7) -> Axis:
    ends = apart(*ends)
    return Axis(label, ends, tuple((tick, form(tick)) for tick in round_ticks(*ends, most)), log=False)


@dataclass(frozen=True)
class Line:
    """A polyline; widths are in points, colours as #rrggbb."""

    x: FloatArray
    y: FloatArray
    colour: str
    width: float = 1.2
    dash: Dash = "solid"
    opacity: float = 1.0
    label: str = ""


@dataclass(frozen=True)
class Dots:
    """Markers, each with its colour and, where a pointer may ask, its `notes`."""

    x: FloatArray
    y: FloatArray
    colours: tuple[str, ...]
    symbol: Symbol = "circle"
    filled: bool = True
    size: float = 5.0
    edge: float = 1.2
    opacity: float = 1.0
    notes: tuple[str, ...] = ()
    label: str = ""

    def __post_init__(self) -> None:
        assert len(self.x) == len(self.y) == len(self.colours)
        assert len(self.notes) in (0, len(self.x))


@dataclass(frozen=True)
class Area:
    """A filled polygon without an edge."""

    x: FloatArray
    y: FloatArray
    colour: str
    opacity: float = 0.3
    label: str = ""


@dataclass(frozen=True)
class Words:
    """A few words at a point, which may stand at the edge of the picture."""

    x: float
    y: float
    text: str
    where: Where = "right"
    colour: str = INK
    size: float = 7.5


Mark = Line | Dots | Area | Words


@dataclass(frozen=True)
class Chart:
    """`legend`: inside at the upper right, above the picture in `legend_columns`, or none."""

    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    title: str = ""
    legend: Literal["inside", "above", "none"] = "inside"
    legend_columns: int = 1
