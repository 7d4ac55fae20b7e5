"""From a panel to SVG and PNG with matplotlib: the same panel gives the same bytes."""

import base64
import io
import re
from typing import TYPE_CHECKING, Literal

from scaling.report.figures.chart import Area, Axis, Chart, Dash, Dots, Line, Mark, Symbol, Where, Words
from scaling.report.figures.plate import Panel, Picture
from scaling.report.figures.style import RC

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PNG_DPI = 160
LARGEST_DRAWING = 200_000  # characters of SVG inside a page
SYMBOLS: dict[Symbol, str] = {"circle": "o", "diamond": "D", "cross": "x", "bar": "|"}
DASHES: dict[Dash, object] = {"solid": "-", "dash": (0, (5, 2.5))}
# Where words stand beside their point: offset in points, horizontal and vertical alignment.
PLACES: dict[Where, tuple[tuple[int, int], str, str]] = {
    "right": ((4, 0), "left", "center"),
    "left": ((-4, 0), "right", "center"),
    "above": ((4, 5), "left", "center"),
    "on": ((0, 0), "center", "center"),
}


def render(panel: Panel) -> Picture:
    """Draw without any global state of matplotlib: no display, no pyplot."""
    import matplotlib
    from matplotlib.figure import Figure

    # The salt makes the ids of clip paths a function of the panel's name; dates and versions are left out.
    with matplotlib.rc_context({**RC, "svg.hashsalt": panel.name}):
        figure = Figure(figsize=(panel.width, panel.height), layout="constrained")
        draw(figure.subplots(), panel.chart)
        svg, png = io.StringIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        # The layout is worked out once: both pictures are the same.
        figure.set_layout_engine("none")
        figure.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None})
    return Picture(svg.getvalue(), png.getvalue())


def draw(axes: "Axes", chart: Chart) -> None:
    _draw_axis(axes, "x", chart.x)
    _draw_axis(axes, "y", chart.y)
    for order, mark in enumerate(chart.marks):
        _draw_mark(axes, mark, 2 + 0.001 * order)
    axes.set_title(chart.title)
    if chart.legend == "inside":
        axes.legend(loc="upper right", ncols=chart.legend_columns, columnspacing=1.2)
    elif chart.legend == "above":
        axes.legend(
            loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=chart.legend_columns, columnspacing=1.0,
            handletextpad=0.4,
        )  # fmt: skip


def _draw_axis(axes: "Axes", which: Literal["x", "y"], axis: Axis) -> None:
    from matplotlib.ticker import NullFormatter, NullLocator

    axes.set(
        **{f"{which}scale": "log" if axis.log else "linear", f"{which}lim": axis.ends, f"{which}label": axis.label}
    )
    drawn = axes.xaxis if which == "x" else axes.yaxis
    drawn.set_ticks([at for at, _ in axis.ticks], [text for _, text in axis.ticks])
    drawn.set_minor_locator(NullLocator())
    drawn.set_minor_formatter(NullFormatter())
    if not axis.grid:
        axes.grid(visible=False, axis=which)


def _draw_mark(axes: "Axes", mark: Mark, order: float) -> None:
    match mark:
        case Line():
            axes.plot(
                mark.x, mark.y, color=mark.colour, linewidth=mark.width, linestyle=DASHES[mark.dash],
                alpha=mark.opacity, label=mark.label or None, zorder=order, solid_capstyle="butt",
            )  # fmt: skip
        case Dots():
            _draw_dots(axes, mark, order)
        case Area():
            axes.fill(
                mark.x, mark.y, color=mark.colour, alpha=mark.opacity, linewidth=0, zorder=order,
                label=mark.label or None,
            )  # fmt: skip
        case Words():
            offset, horizontal, vertical = PLACES[mark.where]
            inside = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}
            axes.annotate(
                mark.text, (mark.x, mark.y), offset, textcoords="offset points", fontsize=mark.size, color=mark.colour,
                ha=horizontal, va=vertical, annotation_clip=False, zorder=order,
                bbox=inside if mark.where == "on" else None,
            )  # fmt: skip


def _draw_dots(axes: "Axes", dots: Dots, order: float) -> None:
    """One artist for each colour: markers of one kind are one path in the SVG."""
    for number, colour in enumerate(dict.fromkeys(dots.colours)):
        own = [i for i, other in enumerate(dots.colours) if other == colour]
        axes.plot(
            dots.x[own], dots.y[own], SYMBOLS[dots.symbol], color=colour, markersize=dots.size,
            markerfacecolor=colour if dots.filled else "white", markeredgewidth=dots.edge, alpha=dots.opacity,
            label=dots.label if dots.label and not number else None, zorder=order,
        )  # fmt: skip


def inline(picture: Picture, name: str, alt: str) -> str:
    """A picture as it stands inside a page: lines that stay sharp, or pixels where thousands of marks would make them
    large. `alt` is escaped already."""
    drawing = inline_svg(picture.svg, name, alt)
    if len(drawing) <= LARGEST_DRAWING:
        return drawing
    return f'<img alt="{alt}" src="data:image/png;base64,{base64.b64encode(picture.png).decode()}">'


def inline_svg(svg: str, name: str, alt: str) -> str:
    """A drawing as it stands inside a page: ids of its own, no prologue, no metadata, a name for those who listen.

    `alt` is escaped already.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r' xmlns(:\w+)?="[^"]*"', "", body)
    body = re.sub(r"\bid=\"", f'id="{name}-', body)
    body = re.sub(r'xlink:href="#', f'href="#{name}-', body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    body = re.sub(r' (width|height)="[\d.]+pt"', "", body, count=2)
    # A hundredth of a point is less than any screen shows; matplotlib writes six decimals.
    body = re.sub(r"(\d+\.\d\d)\d+", r"\1", body)
    return body.replace("<svg ", f'<svg role="img" aria-label="{alt}" ', 1)
