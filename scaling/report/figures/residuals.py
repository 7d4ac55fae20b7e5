"""What the surface leaves over, against N, D, C and the order of training."""

import numpy as np

from scaling.laws.observations import FloatArray, Observations
from scaling.report.figures.chart import Area, Axis, Chart, Line, Mark, linear_axis, log_axis
from scaling.report.figures.marks import column, row_dots
from scaling.report.figures.plate import FigureGroup, Panel
from scaling.report.figures.style import BAND, INK, span
from scaling.report.numbers import minus, percent, power_of_ten, short_amount
from scaling.report.reading import fitted_loss, residual_rms
from scaling.results import LawReport, StudyReport

ORDER = "order of training"
AXIS = {"params": "parameters N", "tokens": "training tokens D", "flops": "training compute C (FLOPs)", "order": ORDER}


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
        f"Filled: fitted points; open diamonds: held out; each size has its colour. {band} Look for: no slope and no "
        "bow in any panel. A pattern means that the form, or the recipe at one end, is wrong there.",
        tuple(
            Panel(
                f"residuals-against-{variable}",
                alt + f"{axis_words(report, variable)}.",
                chart(report, variable),
                height=3.2,
            )
            for variable in AXIS
        ),
    )


def _residuals(report: LawReport, rows: Observations) -> FloatArray:
    return np.asarray(100 * np.log(rows.loss / fitted_loss(report.surface.fit, rows)))


def axis_words(report: LawReport, variable: str) -> str:
    """A table of losses has no order of training that anyone knows of."""
    known = variable != "order" or isinstance(report, StudyReport)
    return AXIS[variable] if known else "row"


def orders(report: LawReport) -> dict[str, FloatArray]:
    """The place of each fitted and held-out row: by when its point was finished in a study, else by its row."""
    counts = {"fitted": len(report.fitted), "held_out": 0 if report.held_out is None else len(report.held_out)}
    total = sum(counts.values())
    when: list[str] = []
    if isinstance(report, StudyReport):
        records = (*report.fitted_records, *report.held_out_records)
        when = [record.provenance.finished_at for record in records] if len(records) == total else []
    place = np.empty(total)
    place[np.argsort(np.array(when), kind="stable") if when else np.arange(total)] = np.arange(1, total + 1)
    return {"fitted": place[: counts["fitted"]], "held_out": place[counts["fitted"] :]}


def chart(report: LawReport, variable: str) -> Chart:
    parts = {"fitted": report.fitted} | ({} if report.held_out is None else {"held_out": report.held_out})
    place = orders(report)
    dots = [
        row_dots(
            report,
            rows,
            place[name] if variable == "order" else getattr(rows, variable),
            _residuals(report, rows),
            held_out=name == "held_out",
        )
        for name, rows in parts.items()
    ]
    x = _axis(variable, axis_words(report, variable), [v for one in dots for v in one.x.tolist()])
    sd = None if report.noise is None else 100 * report.noise.relative_sd
    reach = 1.1 * max([abs(v) for one in dots for v in one.y.tolist()] + ([] if sd is None else [2 * sd]))
    marks: list[Mark] = []
    if sd is not None:
        corners = column([x.ends[0], x.ends[1], x.ends[1], x.ends[0]])
        marks += [Area(corners, column([-w, -w, w, w]), BAND, opacity=0.18) for w in (2 * sd, sd)]
    marks.append(Line(column(x.ends), np.zeros(2), INK, width=0.9))
    return Chart(
        x,
        linear_axis("measured over fitted", (-reach, reach), lambda v: minus(f"{v:+.3g}%") if v else "0"),
        (*marks, *dots),
        legend="none",
    )


def _axis(variable: str, label: str, values: list[float]) -> Axis:
    if variable == "order":
        return linear_axis(label, (0, len(values) + 1), lambda v: f"{v:.0f}")
    return log_axis(label, span(values, least=3), power_of_ten if variable == "flops" else short_amount)
