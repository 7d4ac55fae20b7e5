"""Loss against tokens, by size."""

import numpy as np

from scaling.laws.observations import FloatArray
from scaling.laws.search import spread_rows
from scaling.records import RunRecord
from scaling.report.figures.chart import Chart, Dots, Line, log_axis
from scaling.report.figures.marks import column, legend_dots
from scaling.report.figures.notes import record_note
from scaling.report.figures.plate import FigureGroup, Panel
from scaling.report.figures.style import FAINT, INK, loss_text, size_colours, span
from scaling.report.numbers import amount, nats, short_amount
from scaling.report.reading import roles, sizes
from scaling.results import CurveSegment, StudyReport

BINS = 120  # of a curve, and fewer where there are more than MOST_POINTS in all
MOST_POINTS = 12_000
MOST_NAMED = 24  # sizes in the legend
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
        "left out. Small open rings: validation loss of the trunk, where it was taken. Large markers: validation loss "
        "at the end of each budget, after the cooldown; filled where the fit uses it, open diamonds where it was held "
        "out. Look for: every size falls all along, larger sizes lie lower at the right, and the cooldown takes the "
        "marker below its line.",
        (Panel("loss-curves", alt, chart(report), height=4.1),),
    )


def smooth(tokens: FloatArray, loss: FloatArray, bins: int = BINS) -> tuple[FloatArray, FloatArray]:
    """Means over bins of equal width in log tokens, so that the noise shrinks where the curve is slow."""
    edges = np.geomspace(tokens.min(), tokens.max() * (1 + 1e-9), bins + 1)
    at = np.digitize(tokens, edges)
    count = np.bincount(at, minlength=bins + 2)
    filled = count > 0
    sums = [np.bincount(at, weights=column, minlength=bins + 2)[filled] for column in (tokens, loss)]
    return sums[0] / count[filled], sums[1] / count[filled]


def _column(segment: CurveSegment, values: tuple[float | None, ...], start: float) -> tuple[FloatArray, FloatArray]:
    pairs = [(t, v) for t, v in zip(segment.tokens, values, strict=True) if v is not None and v > 0 and t >= start]
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    table = table[np.isfinite(table).all(axis=1)]
    return table[:, 0], table[:, 1]


def chart(report: StudyReport) -> Chart:
    colours = size_colours(sizes(report))
    lines, checks = _curves(report, colours)
    finals = _finals(report, colours)
    losses = np.concatenate([*(line.y for line in lines), *(dots.y for dots in (*checks, *finals))]).tolist()
    tokens = [line.x[0] for line in lines] + [float(record.tokens) for record in report.records]
    names = list(reversed(colours))
    known = [legend_dots(names[i], colours[names[i]]) for i in spread_rows(len(names), MOST_NAMED)]
    if any(dots.symbol == "diamond" for dots in finals):
        known.append(legend_dots("held out", INK, "diamond", filled=False))
    if any(dots.symbol == "cross" for dots in finals):
        known.append(legend_dots("not used", INK, "cross"))
    if checks:
        known.append(legend_dots("validation, trunk", FAINT, filled=False, size=2.6))
    return Chart(
        log_axis("training tokens D", span(tokens, 0.03), short_amount),
        log_axis("loss (nats/token)", span(losses), loss_text),
        (*lines, *checks, *finals, *known),
        legend_columns=2,
    )


def _curves(report: StudyReport, colours: dict[str, str]) -> tuple[list[Line], list[Dots]]:
    """The trunks' smoothed training losses, and their validation losses."""
    start = min(r.budget_tokens for r in report.records) * START_SHARE
    bins = min(BINS, max(20, MOST_POINTS // max(len(report.curves), 1)))
    lines, checks = [], []
    seen: set[str] = set()
    for segment in report.curves:
        if segment.budget is not None:
            continue
        tokens, loss = _column(segment, segment.train_loss, start)
        if len(tokens):
            x, y = smooth(tokens, loss, bins)
            opacity = 0.25 if segment.size in seen else 0.75
            lines.append(Line(x, y, colours[segment.size], width=0.9, opacity=opacity))
        seen.add(segment.size)
        tokens, loss = _column(segment, segment.validation_loss, start)
        if len(tokens):
            own = (colours[segment.size],) * len(tokens)
            checks.append(Dots(tokens, loss, own, filled=False, size=2.6, edge=0.6))
    return lines, checks


def _finals(report: StudyReport, colours: dict[str, str]) -> list[Dots]:
    """The losses at the end of each budget, by what they are to the fit."""
    known = roles(report)
    kinds: dict[str | None, list[RunRecord]] = {}
    for record in report.records:
        if record.final_loss_nats is not None:
            kinds.setdefault(known.get((record.run_id, record.budget_tokens)), []).append(record)
    return [
        Dots(
            column([record.tokens for record in records]),
            column([record.final_loss_nats or np.nan for record in records]),
            tuple(colours[record.size] for record in records),
            symbol="cross" if role is None else "diamond" if role == "held out" else "circle",
            filled=role != "held out",
            notes=tuple(record_note(report, record, role or "not used") for record in records),
        )
        for role, records in kinds.items()
    ]
