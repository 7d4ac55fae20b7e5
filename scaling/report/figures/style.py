"""The look of every figure: one palette that colour-blind readers can use, ticks that a person would choose."""

import colorsys
import math
from collections.abc import Iterable, Sequence
from typing import Any

# Okabe & Ito, Color Universal Design (2008): eight hues that stay apart under every common colour blindness.
INK = "#222222"
PAPER = "#ffffff"
FAINT = "#9a9a9a"
GRID = "#e4e4e4"
BLUE = "#0072b2"
VERMILION = "#d55e00"
GREEN = "#009e73"
BAND = "#56b4e9"

RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.edgecolor": "#666666",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "svg.fonttype": "none",
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "text.color": INK,
    "axes.labelcolor": INK,
}


ALIKE = 1e-6  # relative: values nearer than this are one on an axis
ON_DARK = {
    PAPER: "#16181b",
    INK: "#e8e9eb",
    FAINT: "#8d939c",
    GRID: "#33373d",
    BLUE: "#6bb5ee",
    VERMILION: "#ff8a4c",
    BAND: "#3f86b8",
}


def size_colours(sizes: Sequence[str]) -> dict[str, str]:
    """A colour for each size, the largest darkest: equal steps of viridis, without its palest end."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    top = max(len(sizes) - 1, 1)
    shades = colormaps["viridis"]([0.86 * (1 - i / top) for i in range(len(sizes))])
    return {size: to_hex(shade) for size, shade in zip(sizes, shades, strict=True)}


def on_dark(colour: str) -> str:
    """The colour that stands for this one on dark paper: the same hue, and light where it was dark."""
    if colour in ON_DARK:
        return ON_DARK[colour]
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    channels = colorsys.hls_to_rgb(hue, 0.85 - 0.5 * lightness, saturation)
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels)


def apart(low: float, high: float) -> tuple[float, float]:
    """Ends of an axis that are told apart: as they are, or where all values are alike a little to either side."""
    if high - low > ALIKE * max(abs(low), abs(high)):
        return low, high
    beside = max(ALIKE * max(abs(low), abs(high)), ALIKE)
    return low - beside, high + beside


def log_ticks(low: float, high: float) -> list[float]:
    """Between four and eight round values that spread over a log axis."""
    decades = math.log10(high / low)
    if decades < 0.7:
        return round_ticks(low, high)
    mantissas = (
        (1, 1.5, 2, 3, 4, 5, 7) if decades < 1.2 else (1, 2, 5) if decades < 2.2 else (1, 3) if decades < 3.6 else (1,)
    )
    stride = max(1, math.ceil(decades / 7))
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1, stride)
    return [m * 10.0**e for e in exponents for m in mantissas if low <= m * 10.0**e <= high]


def round_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten: for a loss, whose range is a fraction of a decade."""
    rough = (high - low) / most
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(m * unit for m in (1, 2, 2.5, 5, 10) if m * unit >= rough * (1 - 1e-9))
    return [float(f"{i * step:.9g}") for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def span(values: Iterable[float], margin: float = 0.06, least: float = 1.02) -> tuple[float, float]:
    """Ends of a log axis around the values, with a margin that is a share of their span, at least a factor `least`
    apart."""
    values = list(values)
    low, high = min(values), max(values)
    ratio = (high / low) ** margin
    missing = max(1.0, least / (high / low * ratio**2)) ** 0.5
    return low / ratio / missing, high * ratio * missing


def loss_text(value: float) -> str:
    return f"{value:.3g}"
