"""Loss against tokens, by size."""

from typing import TYPE_CHECKING

import numpy as np

from scaling.laws.observations import FloatArray
from scaling.report.figures.plate import FigureGroup, Panel
from scaling.report.figures.style import FAINT, INK, log_axis, loss_text, size_colours, span
from scaling.report.numbers import amount, nats, short_amount
from scaling.report.reading import roles, sizes
from scaling.results import CurveSegment, StudyReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 120
START_SHARE = 1 / 5  # of the smallest budget: the fall before it would flatten the rest


def loss_curves(report: StudyReport) -> FigureGroup | None:
    done = [r for r in report.records if r.final_loss_nats is not None]
    if not done:
        return None
    first, last = min(r.tokens for r in done), max(r.tokens for r in done)
    losses = [r.final_loss_nats for r in done if r.final_loss_nats is not None]
    alt = (
        f"Loss against training tokens on log axes for {len(sizes(report))} model sizes. The {len(done)} final "
        f"validation losses run from {nats(max(losses))} to {nats(min(losses))} nats per token at "
        f"{amount(first)} to {amount(last)} tokens."
    )
    return FigureGroup(
        "loss-curves",
        "Loss against training tokens, by size",
        "Thin lines: training loss of each size's trunk, at a constant learning rate, smoothed; its first steps are "
        "left out. Small open rings: validation loss of the trunk. Large markers: validation loss at the end of each "
        "budget, after the cooldown; filled where the fit uses it, open diamonds where it was held out. Look "
        "for: every size falls all along, larger sizes lie lower at the right, and the cooldown takes the marker below "
        "its line.",
        (Panel("loss-curves", alt, lambda axes: draw(axes, report), height=4.1),),
    )


def smooth(tokens: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Means over bins of equal width in log tokens, so that the noise shrinks where the curve is slow."""
    edges = np.geomspace(tokens.min(), tokens.max() * (1 + 1e-9), BINS + 1)
    at = np.digitize(tokens, edges)
    count = np.bincount(at, minlength=BINS + 2)
    filled = count > 0
    sums = [np.bincount(at, weights=column, minlength=BINS + 2)[filled] for column in (tokens, loss)]
    return sums[0] / count[filled], sums[1] / count[filled]


def _column(segment: CurveSegment, values: tuple[float | None, ...], start: float) -> tuple[FloatArray, FloatArray]:
    pairs = [(t, v) for t, v in zip(segment.tokens, values, strict=True) if v is not None and v > 0 and t >= start]
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    table = table[np.isfinite(table).all(axis=1)]
    return table[:, 0], table[:, 1]


def draw(axes: "Axes", report: StudyReport) -> None:
    names = sizes(report)
    colours = size_colours(names)
    start = min(r.budget_tokens for r in report.records) * START_SHARE
    shown: list[FloatArray] = []
    begins: list[float] = []
    seeds: dict[str, int] = {}
    for segment in report.curves:
        if segment.budget is not None:
            continue
        seeds[segment.size] = seeds.get(segment.size, 0) + 1
        replicate = seeds[segment.size] > 1
        colour = colours[segment.size]
        tokens, loss = _column(segment, segment.train_loss, start)
        if len(tokens):
            x, y = smooth(tokens, loss)
            begins.append(float(x[0]))
            axes.plot(x, y, color=colour, linewidth=0.9, alpha=0.25 if replicate else 0.75)
            shown.append(y)
        tokens, loss = _column(segment, segment.validation_loss, start)
        axes.plot(tokens, loss, "o", color=colour, markersize=2.6, markerfacecolor="none", markeredgewidth=0.6)
        shown.append(loss)
    known = roles(report)
    uses: set[str | None] = set()
    for record in report.records:
        if record.final_loss_nats is None:
            continue
        role = known.get((record.run_id, record.budget_tokens))
        uses.add(role)
        marker, fill = ("D", "white") if role == "held out" else ("o", colours[record.size])
        if role is None:
            marker = "x"
        axes.plot(
            record.tokens, record.final_loss_nats, marker, color=colours[record.size], markersize=5,
            markerfacecolor=fill, markeredgewidth=1.2, zorder=3,
        )  # fmt: skip
    losses = [r.final_loss_nats for r in report.records if r.final_loss_nats is not None]
    log_axis(axes, "y", span([*losses, *(v for part in shown for v in part.tolist())]), "loss (nats/token)", loss_text)
    log_axis(axes, "x", span([*begins, *(r.tokens for r in report.records)], 0.03), "training tokens D", short_amount)
    for size in reversed(names):
        axes.plot([], [], "o-", color=colours[size], markersize=4, linewidth=1, label=size)
    if "held out" in uses:
        axes.plot([], [], "D", color=INK, markersize=4, markerfacecolor="white", label="held out")
    if None in uses:
        axes.plot([], [], "x", color=INK, markersize=4, label="not used")
    if any(v is not None for segment in report.curves for v in segment.validation_loss):
        axes.plot([], [], "o", color=FAINT, markersize=2.6, markerfacecolor="none", label="validation, trunk")
    axes.legend(loc="upper right", ncols=2, columnspacing=1.2)
