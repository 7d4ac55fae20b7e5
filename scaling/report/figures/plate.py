"""A figure of the report: a group of panels, each with its words and what it shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scaling.report.figures.chart import Chart


@dataclass(frozen=True)
class Panel:
    """One picture and one file. `alt` says in words what it shows; `height` and `width` are inches."""

    name: str
    alt: str
    chart: Chart = field(repr=False, compare=False)
    width: float = 4.8
    height: float = 3.7


@dataclass(frozen=True)
class FigureGroup:
    """Panels that are read together. `caption` says what to look at."""

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Picture:
    """A drawn panel."""

    svg: str
    png: bytes


@dataclass(frozen=True)
class Figures:
    """All figures of a report, drawn once: `pictures` by the name of their panel."""

    groups: tuple[FigureGroup, ...] = ()
    pictures: Mapping[str, Picture] = field(default_factory=dict)
