"""The fitted surface over N and D: lines of equal loss, lines of equal compute, and the best way between them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from scaling.laws.observations import FloatArray, Observations, points
from scaling.report.figures.chart import Area, Chart, Dots, Line, Mark, Words, log_axis
from scaling.report.figures.notes import row_notes
from scaling.report.figures.plate import FigureGroup, Panel
from scaling.report.figures.style import BAND, BLUE, FAINT, INK, VERMILION, log_ticks, span
from scaling.report.numbers import amount, level_text, power_of_ten, short_amount
from scaling.report.reading import interval_level
from scaling.results import LawReport

PATH_POINTS = 24
GRID = 120
CLEAR = 0.05  # of the picture, between the value of a line and the next point
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
    return FigureGroup(
        "contours",
        "Equal loss, equal compute, and the best path",
        "Curved lines: sizes and token counts that the fitted law expects to reach the same loss (nats/token). "
        "Grey diagonals: equal compute, C = 6 N D. Orange: the best N and D for each compute by the forecast, which "
        f"averages over forms, with its {level_text(interval_level(report))} band; dashed where no fitted point has "
        "that much, or that little, compute. "
        "Look for: does the path run through the measured points or outside of them? Outside, the best size is "
        "extrapolation.",
        (Panel("contours", alt, chart(report), height=4.1),),
    )


def chart(report: LawReport) -> Chart:
    rows, held_out = report.fitted, report.held_out
    everything = [rows] + ([held_out] if held_out is not None else [])
    N = span((n for part in everything for n in part.params.tolist()), 0.2, least=3)
    D = span((d for part in everything for d in part.tokens.tolist()), 0.25, least=3)
    notes = row_notes(report)
    marks: list[Mark] = [
        *_isoflops(N, D),
        *_isolosses(report, N, D, everything),
        *_path_marks(report, N[0] * D[0], N[1] * D[1]),
    ]
    marks.append(Dots(rows.params, rows.tokens, (INK,) * len(rows), size=4.5, notes=notes(rows), label="fitted point"))
    if held_out is not None:
        marks.append(
            Dots(
                held_out.params, held_out.tokens, (INK,) * len(held_out), symbol="diamond", filled=False,
                notes=notes(held_out), label="held-out point",
            )
        )  # fmt: skip
    return Chart(
        replace(log_axis("parameters N", N, short_amount), grid=False),
        replace(log_axis("training tokens D", D, short_amount), grid=False),
        tuple(marks),
        legend="above",
        legend_columns=4,
    )


def _isolosses(
    report: LawReport, N: tuple[float, float], D: tuple[float, float], shown: Sequence[Observations]
) -> Iterator[Mark]:
    """Lines of equal loss, each with its value where it is longest, clear of the points shown."""
    from contourpy import LineType, contour_generator

    fit = report.surface.fit
    n, d = np.meshgrid(np.geomspace(*N, GRID), np.geomspace(*D, GRID))
    loss = np.asarray(fit.law.predict(fit.theta, points(n.ravel(), d.ravel()))).reshape(n.shape)
    lines = contour_generator(n, d, loss, line_type=LineType.Separate)
    for level in _levels(loss):
        pieces = [np.asarray(piece) for piece in lines.lines(level)]
        for piece in pieces:
            yield Line(piece[::2, 0], piece[::2, 1], BLUE, width=0.9, opacity=0.8)
        longest = max(pieces, key=len, default=None)
        if longest is not None and len(longest) > GRID / 4:
            x, y = longest[_clear_place(longest, N, D, shown)]
            yield Words(float(x), float(y), f"{level:.3g}", "on", BLUE)


def _clear_place(
    line: FloatArray, N: tuple[float, float], D: tuple[float, float], shown: Sequence[Observations]
) -> int:
    """The row of a line, [n, 2], nearest to its middle that has no point beside it; else the one farthest from all."""
    width = np.log([N[1] / N[0], D[1] / D[0]])
    dots = np.concatenate([np.log(np.stack([rows.params, rows.tokens], axis=1)) for rows in shown]) / width
    away = np.linalg.norm((np.log(line) / width)[:, None] - dots[None], axis=2).min(axis=1)
    inner = np.arange(len(line) // 6, len(line) - len(line) // 6)
    clear = inner[away[inner] > CLEAR]
    if not len(clear):
        return int(inner[np.argmax(away[inner])])
    return int(clear[np.argmin(np.abs(clear - len(line) // 2))])


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


def _isoflops(N: tuple[float, float], D: tuple[float, float]) -> Iterator[Mark]:
    """Lines of equal compute, each named where it leaves the picture, at the right or below."""
    low, high = (FLOPS_PER_PARAM_TOKEN * N[i] * D[i] for i in (0, 1))
    for flops in log_ticks(low, high):
        # The picture's edges cut the line: at N's ends, or where D reaches its own.
        product = flops / FLOPS_PER_PARAM_TOKEN
        ends = np.clip(np.array(N), product / D[1], product / D[0])
        yield Line(ends, product / ends, FAINT, width=0.6, opacity=0.7)
        if ends[1] <= N[0] * 1.2:
            continue
        right = product / N[1] > D[0] * 1.1
        x, y = (N[1], product / N[1]) if right else (product / D[0], D[0])
        yield Words(x, y, power_of_ten(flops), "right" if right else "above", "#666666", 7)


def _path_marks(report: LawReport, smallest: float, largest: float) -> Iterator[Mark]:
    """The path of the best N and D by the selected forecast; its band's edges lie on lines of equal compute."""
    asked = report.analysis.forecaster
    if asked is None:
        return
    level = interval_level(report)
    wanted = np.geomspace(smallest / 10, largest * 10, PATH_POINTS) * FLOPS_PER_PARAM_TOKEN
    found = [(flops, best) for flops in wanted.tolist() if (best := asked.best(flops, level)) is not None]
    if not found:
        return
    budgets = np.array([flops for flops, _ in found])
    params = np.array([best.params for _, best in found])
    edge = np.array([best.params_interval.low for _, best in found])
    edge = np.concatenate([edge, np.array([best.params_interval.high for _, best in found])[::-1]])
    around = np.concatenate([budgets, budgets[::-1]]) / FLOPS_PER_PARAM_TOKEN / edge
    measured = FLOPS_PER_PARAM_TOKEN * report.fitted.params * report.fitted.tokens
    inside = (budgets >= measured.min()) & (budgets <= measured.max())
    tokens = budgets / FLOPS_PER_PARAM_TOKEN / params
    yield Area(edge, around, BAND, opacity=0.25, label=f"{level_text(level)} band")
    yield Line(params, tokens, VERMILION, dash="dash")
    yield Line(params[inside], tokens[inside], VERMILION, width=2.2, label="best N and D")
