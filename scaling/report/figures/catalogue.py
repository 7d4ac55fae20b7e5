"""Every figure of a report, in the order of the page. What cannot be drawn honestly is not in the list."""

from scaling.report.figures.contours import contour_figure
from scaling.report.figures.curves import loss_curves
from scaling.report.figures.forecasts import forecast_figure
from scaling.report.figures.lines import line_figures
from scaling.report.figures.plate import FigureGroup, Picture
from scaling.report.figures.render import render
from scaling.report.figures.residuals import residual_figures
from scaling.report.reading import thinned
from scaling.results import LawReport, StudyReport


def figure_groups(report: LawReport) -> tuple[FigureGroup, ...]:
    shown = thinned(report)
    groups = (
        forecast_figure(report),
        loss_curves(report) if isinstance(report, StudyReport) else None,
        line_figures(shown),
        contour_figure(shown),
        residual_figures(shown),
    )
    return tuple(group for group in groups if group is not None)


def draw_figures(report: LawReport) -> dict[str, Picture]:
    """Every picture by the name of its panel."""
    return {panel.name: render(panel) for group in figure_groups(report) for panel in group.panels}
