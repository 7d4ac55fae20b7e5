"""What the surface leaves over, against N, D and C."""

from typing import TYPE_CHECKING

import numpy as np

from scaling.laws.observations import FloatArray, Observations
from scaling.report.figures.plate import FigureGroup, Panel
from scaling.report.figures.style import BAND, INK, log_axis, size_colours, span
from scaling.report.numbers import minus, percent, power_of_ten, short_amount
from scaling.report.reading import fitted_loss, residual_rms, row_sizes, sizes
from scaling.results import LawReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AXIS = {"params": "parameters N", "tokens": "training tokens D", "flops": "training compute C (FLOPs)"}


def residual_figures(report: LawReport) -> FigureGroup | None:
    fit = report.surface.fit
    if not fit.usable:
        return None
    noise = report.noise
    band = (
        "No seed was replicated, so there is no noise band to hold them against."
        if noise is None
        else f"Shaded: ±1 and ±2 standard deviations between seeds ({percent(noise.relative_sd)} each), which "
        "no law can beat."
    )
    alt = f"Residuals of the fitted law, root mean square {percent(residual_rms(fit))}, against "
    return FigureGroup(
        "residuals",
        "What the law leaves unexplained",
        "Measured loss over fitted loss, as a difference of logs; above zero the model is worse than the law says. "
        f"Filled: fitted points; open diamonds: held out. {band} Look for: no slope and no bow in any panel. A pattern "
        "means that the form, or the recipe at one end, is wrong there.",
        tuple(
            Panel(
                f"residuals-against-{variable}",
                alt + f"{AXIS[variable]}.",
                lambda axes, variable=variable: draw(axes, report, variable),  # type: ignore[misc]
                height=3.2,
            )
            for variable in AXIS
        ),
    )


def _residuals(report: LawReport, rows: Observations) -> FloatArray:
    return np.asarray(100 * np.log(rows.loss / fitted_loss(report.surface.fit, rows)))


def draw(axes: "Axes", report: LawReport, variable: str) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    colours = size_colours(sizes(report))
    if report.noise is not None:
        sd = 100 * report.noise.relative_sd
        for width in (2, 1):
            axes.axhspan(-width * sd, width * sd, color=BAND, alpha=0.18, linewidth=0, zorder=0)
    axes.axhline(0.0, color=INK, linewidth=0.9)
    parts = [(report.fitted, "o", None)] + ([(report.held_out, "D", "white")] if report.held_out is not None else [])
    x: list[float] = []
    for rows, marker, fill in parts:
        assert rows is not None
        at = getattr(rows, variable)
        x += at.tolist()
        for size, one, left in zip(row_sizes(report, rows), at, _residuals(report, rows), strict=True):
            axes.plot(
                one, left, marker, color=colours[size], markersize=5, markerfacecolor=fill or colours[size],
                markeredgewidth=1.2, zorder=3,
            )  # fmt: skip
    log_axis(axes, "x", span(x, least=3), AXIS[variable], power_of_ten if variable == "flops" else short_amount)
    axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: minus(f"{value:+.3g}%") if value else "0"))
    reach = 1.02 * max(abs(v) for v in axes.get_ylim())
    axes.set_ylim(-reach, reach)
    axes.set_ylabel("measured over fitted")
