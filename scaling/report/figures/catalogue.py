"""Every figure of a report, in the order of the page. What cannot be drawn honestly is not in the list."""

from scaling.report.figures.contours import contour_figure
from scaling.report.figures.curves import loss_curves
from scaling.report.figures.forecasts import forecast_figure
from scaling.report.figures.isoflops import isoflop_figure
from scaling.report.figures.lines import line_figures
from scaling.report.figures.plate import FigureGroup, Figures
from scaling.report.figures.profiles import profile_figures
from scaling.report.figures.render import render
from scaling.report.figures.residuals import residual_figures
from scaling.report.figures.shapes import shape_figure
from scaling.report.reading import thinned
from scaling.results import LawReport, StudyReport


def figure_groups(report: LawReport) -> tuple[FigureGroup, ...]:
    shown = thinned(report)
    groups = (
        shape_figure(report),
        forecast_figure(report),
        loss_curves(shown) if isinstance(shown, StudyReport) else None,
        line_figures(shown),
        isoflop_figure(report),
        contour_figure(shown),
        profile_figures(report),
        residual_figures(shown),
    )
    return tuple(group for group in groups if group is not None)


def draw_figures(report: LawReport) -> Figures:
    groups = figure_groups(report)
    return Figures(groups, {panel.name: render(panel) for group in groups for panel in group.panels})
