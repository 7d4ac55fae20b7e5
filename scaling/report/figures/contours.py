"""The fitted surface over N and D: lines of equal loss, lines of equal compute, and the best way between them."""

from typing import TYPE_CHECKING

import numpy as np

from scaling.laws.bootstrap import Bootstrap
from scaling.laws.intervals import percentiles
from scaling.laws.observations import FloatArray, points
from scaling.report.figures.plate import FigureGroup, Panel
from scaling.report.figures.style import (
    BAND,
    BLUE,
    FAINT,
    INK,
    VERMILION,
    log_axis,
    log_ticks,
    span,
)
from scaling.report.numbers import amount, level_text, power_of_ten, short_amount
from scaling.report.reading import interval_level
from scaling.results import LawReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GRID = 120
STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
FLOPS_PER_PARAM_TOKEN = 6.0  # C = 6 N D, under which the optimum is defined


def contour_figure(report: LawReport) -> FigureGroup | None:
    if not report.surface.fit.usable:
        return None
    held_out = 0 if report.held_out is None else len(report.held_out)
    alt = (
        f"Contours of the fitted loss over parameters and tokens, with {len(report.fitted)} fitted and {held_out} "
        "held-out points and the path of the best parameters and tokens for each compute."
    )
    if report.optima:
        best = report.optima[-1].allocation
        alt += f" At {power_of_ten(best.flops)} FLOPs it lies at N = {amount(best.params)}, D = {amount(best.tokens)}."
    band = "without a band, for want of a bootstrap"
    if report.surface.bootstrap is not None:
        band = f"with its {level_text(interval_level(report))} band from the bootstrap"
    return FigureGroup(
        "contours",
        "Equal loss, equal compute, and the best path",
        "Curved lines: sizes and token counts that the fitted law expects to reach the same loss (nats/token). "
        "Grey diagonals: equal compute, C = 6 N D. Orange: the N and D with the lowest fitted loss for each compute, "
        f"{band}; dashed where no fitted point has that much, or that little, compute. "
        "Look for: does the path run through the measured points or outside of them? Outside, the best size is "
        "extrapolation.",
        (Panel("contours", alt, lambda axes: draw(axes, report), height=4.1),),
    )


def _path(report: LawReport, budgets: FloatArray, theta: FloatArray) -> FloatArray:
    """N* for parameters, [R, P], and budgets, [m]: [R, m]."""
    return report.surface.fit.law.optimal_params(theta[:, None, :], budgets)


def draw(axes: "Axes", report: LawReport) -> None:
    rows, fit = report.fitted, report.surface.fit
    everything = [rows] + ([report.held_out] if report.held_out is not None else [])
    N_low, N_high = span((n for part in everything for n in part.params.tolist()), 0.2, least=3)
    D_low, D_high = span((d for part in everything for d in part.tokens.tolist()), 0.25, least=3)
    N, D = np.meshgrid(np.geomspace(N_low, N_high, GRID), np.geomspace(D_low, D_high, GRID))
    loss = fit.law.predict(fit.theta, points(N.ravel(), D.ravel())).reshape(N.shape)
    log_axis(axes, "x", (N_low, N_high), "parameters N", short_amount)
    log_axis(axes, "y", (D_low, D_high), "training tokens D", short_amount)
    axes.grid(visible=False)
    _draw_isoflops(axes, (N_low, N_high), (D_low, D_high))
    levels = _levels(loss)
    contours = axes.contour(N, D, loss, levels=levels, colors=BLUE, linewidths=0.9, alpha=0.8)
    axes.clabel(contours, fmt=lambda value: f"{value:.3g}", fontsize=7.5, inline_spacing=3)
    _draw_path(axes, report, N_low * D_low, N_high * D_high)
    axes.plot(rows.params, rows.tokens, "o", color=INK, markersize=4.5, label="fitted point", zorder=4)
    if report.held_out is not None:
        axes.plot(
            report.held_out.params, report.held_out.tokens, "D", color=INK, markersize=5, markerfacecolor="white",
            markeredgewidth=1.2, label="held-out point", zorder=4,
        )  # fmt: skip
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles, labels, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, columnspacing=1.0, handletextpad=0.4
    )


def _levels(loss: FloatArray) -> list[float]:
    """Round losses, closer together towards the lowest, where the surface is flat."""
    low, high = float(loss.min()), float(loss.max())
    wanted = low + (high - low) * np.geomspace(1 / 25, 0.9, 9)
    levels = []
    for level, gap in zip(wanted.tolist(), np.diff(wanted, prepend=low).tolist(), strict=True):
        # The roundest number that does not move the line by more than a third of the gap.
        step = max((s for s in STEPS if s <= gap * 2 / 3), default=STEPS[0])
        levels.append(round(round(level / step) * step, 6))
    return sorted(set(levels))


def _draw_isoflops(axes: "Axes", N: tuple[float, float], D: tuple[float, float]) -> None:
    low, high = (FLOPS_PER_PARAM_TOKEN * N[i] * D[i] for i in (0, 1))
    ends = np.array(N)
    for flops in log_ticks(low, high):
        at = flops / FLOPS_PER_PARAM_TOKEN / ends
        axes.plot(ends, at, color=FAINT, linewidth=0.6, alpha=0.7, zorder=1)
        # Named where the line leaves the picture, at the right or below.
        right = at[1] > D[0] * 1.1
        where, offset = ((N[1], at[1]), (3, 0)) if right else ((flops / FLOPS_PER_PARAM_TOKEN / D[0], D[0]), (4, 5))
        if N[0] * 1.2 < where[0]:
            axes.annotate(
                power_of_ten(flops), where, offset, textcoords="offset points", fontsize=7, color="#666666",
                va="center", annotation_clip=False,
            )  # fmt: skip


def _draw_path(axes: "Axes", report: LawReport, smallest: float, largest: float) -> None:
    fit, boot = report.surface.fit, report.surface.bootstrap
    budgets = np.geomspace(smallest / 10, largest * 10, 160) * FLOPS_PER_PARAM_TOKEN
    best = _path(report, budgets, fit.theta[None])[0]
    if not np.isfinite(best).all():
        return
    measured = FLOPS_PER_PARAM_TOKEN * report.fitted.params * report.fitted.tokens
    inside = (budgets >= measured.min()) & (budgets <= measured.max())
    tokens = budgets / FLOPS_PER_PARAM_TOKEN / best
    axes.plot(best, tokens, "--", color=VERMILION, linewidth=1.2, zorder=3)
    axes.plot(best[inside], tokens[inside], color=VERMILION, linewidth=2.2, label="best N and D", zorder=3)
    _draw_band(axes, report, boot, budgets)


def _draw_band(axes: "Axes", report: LawReport, boot: Bootstrap | None, budgets: FloatArray) -> None:
    """The band of N* at each compute: its edges lie on lines of equal compute."""
    if boot is None or not len(boot):
        return
    level = interval_level(report)
    draws = _path(report, budgets, boot.parameters)
    if np.isnan(draws).mean() > 1 - level:
        return
    low, high = percentiles(draws, level)
    edge = np.concatenate([low, high[::-1]])
    tokens = np.concatenate([budgets, budgets[::-1]]) / FLOPS_PER_PARAM_TOKEN / edge
    axes.fill(edge, tokens, color=BAND, alpha=0.25, linewidth=0, zorder=1, label=f"{level_text(level)} band")
