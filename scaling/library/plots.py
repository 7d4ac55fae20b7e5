"""The report's figures on matplotlib's axes, one at a time."""

from typing import TYPE_CHECKING

from scaling.laws.analysis import Analysis
from scaling.laws.backtest import Forecaster
from scaling.laws.fit import Fit
from scaling.laws.form_report import FormReport
from scaling.laws.observations import Observations
from scaling.report.figures import contours, lines
from scaling.report.figures.chart import Chart
from scaling.report.figures.render import draw
from scaling.report.figures.style import RC
from scaling.report.reading import line_groups
from scaling.results import FittedLaw, LawReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (6.4, 4.4)  # inches


def plot_fit(fit: Fit, rows: Observations, ax: "Axes | None", forecaster: Forecaster | None = None) -> "Axes":
    """Draw a usable fit over its rows, and the best path of a forecaster where one is given.

    Raises:
        ValueError: the form is neither of N and D nor of one variable.
    """
    return draw_chart(chart_of(fit, rows, forecaster), ax)


def chart_of(fit: Fit, rows: Observations, forecaster: Forecaster | None = None) -> Chart:
    """Return what the figure of a fit shows; see `plot_fit`."""
    inputs = fit.law.inputs
    report = _report(fit, rows, forecaster)
    if {"params", "tokens"} <= set(inputs):
        return contours.chart(report)
    groups = line_groups(report)
    if len(inputs) == 1 and groups:
        return lines.chart(report, groups[0])
    raise ValueError(
        f"{fit.law.name} reads {', '.join(inputs)}: figures are of N and D, or of a power law in one variable"
    )


def draw_chart(chart: Chart, ax: "Axes | None") -> "Axes":
    """Draw a chart on `ax`, or on the axes of a new figure in the report's style, and return them."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    with mpl.rc_context(RC):
        if ax is None:
            ax = plt.subplots(figsize=SIZE, layout="constrained")[1]
        draw(ax, chart)
    return ax


def _report(fit: Fit, rows: Observations, forecaster: Forecaster | None) -> LawReport:
    """A report of one law, with what the figures read of it."""
    law = FittedLaw(fit.law.name.replace("_", " "), fit, rows, None, {})
    one = FormReport(law.title, rows, fit, None, {}, {}, {}, None)
    analysis = Analysis(rows, (one,), forecaster, "", None, None, ())
    return LawReport(rows, None, (), None, (), fit.law.name, None, None, {}, analysis, (law,), (), ())
