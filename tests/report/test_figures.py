"""Figures hide no point, are the same every time, and draw no fit that may not be used."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from scaling.laws.forms import CHINCHILLA
from scaling.laws.observations import Observations, points
from scaling.report.figures import contours, curves, forecasts, isoflops, lines, residuals
from scaling.report.figures.catalogue import draw_figures, figure_groups
from scaling.report.figures.chart import Chart, Dots, Line, Words, linear_axis, log_axis
from scaling.report.figures.interactive import figure as interactive_figure
from scaling.report.figures.interactive import interactive
from scaling.report.figures.plate import Figures, Panel
from scaling.report.figures.render import draw, render
from scaling.report.figures.style import log_ticks, round_ticks, span
from scaling.report.numbers import amount, nats, scientific, significant
from scaling.report.reading import held_out_rows, line_groups
from scaling.report.write import write_report
from scaling.results import StudyReport

from .synthetic import TRUTH, study


def drawn(chart: Chart, x: float, y: float) -> bool:
    """Whether a marker stands at (x, y), inside the axes."""
    inside = chart.x.ends[0] <= x <= chart.x.ends[1] and chart.y.ends[0] <= y <= chart.y.ends[1]
    dots = [mark for mark in chart.marks if isinstance(mark, Dots)]
    return inside and any(np.any(np.isclose(d.x, x, rtol=1e-9) & np.isclose(d.y, y, rtol=1e-9)) for d in dots)


def test_every_measured_point_is_in_the_loss_curves(report: StudyReport) -> None:
    chart = curves.chart(report)
    for record in report.records:
        if record.final_loss_nats is not None:
            assert drawn(chart, record.tokens, record.final_loss_nats)


@pytest.mark.parametrize("variable", ["params", "tokens", "flops"])
def test_every_point_is_in_every_line_figure(report: StudyReport, variable: str) -> None:
    (group,) = [group for group in line_groups(report) if group.variable == variable]
    chart = lines.chart(report, group)
    for rows in (report.fitted, report.held_out):
        assert rows is not None
        for x, loss in zip(getattr(rows, variable), rows.loss, strict=True):
            assert drawn(chart, x, loss)


def test_every_point_is_in_the_contours(report: StudyReport) -> None:
    chart = contours.chart(report)
    for rows in (report.fitted, report.held_out):
        assert rows is not None
        for N, D in zip(rows.params, rows.tokens, strict=True):
            assert drawn(chart, N, D)


@pytest.mark.parametrize("variable", ["params", "tokens", "flops"])
def test_every_residual_is_drawn_at_its_value(report: StudyReport, variable: str) -> None:
    chart = residuals.chart(report, variable)
    for x, left in zip(getattr(report.fitted, variable), report.surface.fit.residuals, strict=True):
        assert drawn(chart, x, 100 * left)


def test_residuals_stand_in_the_order_of_training(report: StudyReport) -> None:
    chart = residuals.chart(report, "order")
    records = sorted((*report.fitted_records, *report.held_out_records), key=lambda r: r.provenance.finished_at)
    left = dict(
        zip((r.run_id + str(r.tokens) for r in report.fitted_records), report.surface.fit.residuals, strict=True)
    )
    for place, record in enumerate(records, start=1):
        if (name := record.run_id + str(record.tokens)) in left:
            assert drawn(chart, place, 100 * left[name])


def test_both_renderers_draw_every_mark(report: StudyReport) -> None:
    for group in figure_groups(report):
        for panel in group.panels:
            wanted = [mark for mark in panel.chart.marks if isinstance(mark, Dots) and np.isfinite(mark.x).all()]
            axes = Figure().subplots()
            draw(axes, panel.chart)
            still = sum(len(line.get_xdata()) for line in axes.get_lines() if line.get_marker() not in ("None", ""))
            data = interactive_figure(panel, {})["data"]
            live = [trace for trace in data if trace["mode"] == "markers" and trace["x"] != [None]]
            entries = sum(isinstance(mark, Dots) for mark in panel.chart.marks) - len(wanted)
            assert still - entries == sum(len(mark.x) for mark in wanted) == sum(len(trace["x"]) for trace in live)


def test_words_at_the_edge_lie_within_the_axes() -> None:
    """Plotly leaves out an annotation beyond the range, were it by the rounding of the range alone."""
    edge = 1234567.8  # whose logarithm is rounded down
    chart = Chart(log_axis("N", (1.0, edge), str), linear_axis("D", (0.0, 1.0), str), (Words(edge, 1.0, "edge"),))
    layout = interactive_figure(Panel("one", "", chart), {})["layout"]
    (words,) = layout["annotations"]
    assert words["x"] <= layout["xaxis"]["range"][1]
    assert words["y"] <= layout["yaxis"]["range"][1]


def test_the_values_of_contours_stand_clear_of_the_points(report: StudyReport) -> None:
    chart = contours.chart(report)
    width, height = (np.log(axis.ends[1] / axis.ends[0]) for axis in (chart.x, chart.y))
    dots = [(x, y) for mark in chart.marks if isinstance(mark, Dots) for x, y in zip(mark.x, mark.y, strict=True)]
    values = [mark for mark in chart.marks if isinstance(mark, Words) and mark.where == "on"]
    assert len(values) >= 3
    for mark in values:
        nearest = min(np.hypot(np.log(mark.x / x) / width, np.log(mark.y / y) / height) for x, y in dots)
        assert nearest > 0.03


def test_every_point_says_what_it_is(report: StudyReport) -> None:
    notes = interactive(figure_groups(report))["notes"]
    for record in report.records:
        if record.final_loss_nats is None:
            continue
        spec = report.plan.by_id[record.run_id]
        words = (
            f"run {record.run_id}", amount(record.params.total), amount(record.tokens), scientific(record.flops),
            nats(record.final_loss_nats), significant(spec.optimizer.matrix_lr, 2),
            amount(spec.optimizer.batch_tokens), record.status,
        )  # fmt: skip
        assert any(all(word in note for word in words) for note in notes), record.run_id


def test_every_forecast_is_drawn_with_its_measurement(report: StudyReport) -> None:
    rows = held_out_rows(report)
    chart = forecasts.chart(rows)
    assert len(rows) == len(report.forecasts) == report.plan.num_held_out
    for y, row in enumerate(rows):
        assert row.measured is not None
        assert drawn(chart, row.measured, y)
        assert drawn(chart, row.predicted, y)


def test_the_path_of_the_contours_is_the_optimum(report: StudyReport) -> None:
    chart = contours.chart(report)
    (path,) = [mark for mark in chart.marks if isinstance(mark, Line) and mark.label == "best N and D"]
    assert report.analysis.forecaster is not None
    N, D = path.x, path.y
    for i in (0, len(N) // 2, -1):
        around = N[i] * np.geomspace(0.5, 2, 4001)
        loss = report.analysis.forecaster.average.predict(points(around, N[i] * D[i] / around))
        # The grid is fine to 2 log(2) / 4000 = 0.03%; the best N is a parabola's through three values 1% apart.
        assert around[np.argmin(loss)] == pytest.approx(N[i], rel=2e-3)


def test_isoflop_profiles_are_drawn_where_budgets_have_sizes(report: StudyReport) -> None:
    assert "isoflops" not in {group.name for group in figure_groups(report)}, "a grid of sizes and tokens has none"
    N, C = (a.ravel() for a in np.meshgrid(np.geomspace(2e4, 2e6, 7), [1e12, 1e13, 1e14]))
    D = C / (6 * N)
    loss = CHINCHILLA.predict(np.array(TRUTH), points(N, D))
    rows = Observations(N, D, loss, flops=C, budget=C, trajectory=np.arange(len(N)).astype(str))
    chart = isoflops.chart(replace(report, fitted=rows), isoflops.profiles(rows))
    for at, of in zip(N, loss, strict=True):
        assert drawn(chart, at, of)
    minima = [mark for mark in chart.marks if isinstance(mark, Dots) and mark.symbol == "cross"]
    assert len(minima) >= 2
    for mark, flops in zip(minima, (1e13, 1e14), strict=False):
        # A parabola over seven sizes is some percent off the law's own minimum; steps of the grid are 115%.
        best = CHINCHILLA.optimal_params(np.array(TRUTH), np.array([flops]))[0]
        assert any(m.x[0] == pytest.approx(best, rel=0.35) for m in minima), mark


def test_profiles_close_around_the_fit(report: StudyReport) -> None:
    (group,) = [group for group in figure_groups(report) if group.name == "profiles"]
    assert [panel.name for panel in group.panels] == ["profile-E", "profile-alpha", "profile-beta"]
    for panel, name in zip(group.panels, ("E", "alpha", "beta"), strict=True):
        (curve,) = [mark for mark in panel.chart.marks if isinstance(mark, Line) and mark.dash == "solid"]
        lowest = curve.x[np.argmin(curve.y)]
        assert lowest == pytest.approx(report.surface.fit.parameters[name], rel=1e-6)
        assert curve.y.min() == pytest.approx(1.0, abs=1e-6)


def test_a_refused_line_is_named_and_not_drawn() -> None:
    report = study(refused=True)
    (group,) = [group for group in line_groups(report) if group.variable == "params"]
    chart = lines.chart(report, group)
    drawn_lines = [mark for mark in chart.marks if isinstance(mark, Line)]
    labels = [line.label for line in drawn_lines]
    assert labels == ["with floor: refused, not drawn", "pure power law: refused, not drawn"]
    assert not [line for line in drawn_lines if np.isfinite(line.x).any()]


def test_a_doubtful_surface_is_not_drawn(report: StudyReport) -> None:
    doubtful = replace(report.surface, fit=replace(report.surface.fit, status="at_bound"))
    names = {group.name for group in figure_groups(replace(report, laws=(doubtful, *report.laws[1:])))}
    assert names == {"forecasts", "loss-curves", "lines"}


@pytest.mark.parametrize(
    "case",
    [{"measured": False, "resamples": None, "replicated": False}, {"refused": True}],
    ids=str,
)
def test_every_figure_draws_in_every_case(case: dict[str, bool | None], tmp_path: Path) -> None:
    report = study(**case)  # type: ignore[arg-type]
    folder = write_report(report, tmp_path, draw_figures(report)).parent / "figures"
    assert len(list(folder.glob("*.png"))) == len(list(folder.glob("*.svg"))) >= 4


def test_the_same_study_gives_the_same_bytes(
    report: StudyReport, figures: Figures, folder: Path, tmp_path: Path
) -> None:
    for group in figures.groups:  # one panel of each kind
        assert render(group.panels[0]) == figures.pictures[group.panels[0].name]
    again = write_report(report, tmp_path, figures).parent
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert len(files) == 2 + 2 * len(figures.pictures)
    assert all((folder / name).read_bytes() == (again / name).read_bytes() for name in files)


def test_the_room_imports_neither_torch_nor_matplotlib_nor_tensorboard() -> None:
    code = (
        "import sys, scaling.report.write, scaling.report.tensorboard; "
        "print([m for m in ('torch', 'matplotlib', 'tensorboard', 'omegaconf', 'hydra') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("low", "high"), [(9e5, 1.1e6), (1e4, 1e6), (3e9, 4e16), (2.7, 2.8), (1.1, 6.3), (5e5, 8e6)])
def test_log_ticks_are_a_handful_inside_the_axis(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert 3 <= len(ticks) <= 9
    assert all(low <= tick <= high for tick in ticks)
    assert ticks == sorted(set(ticks))


def test_round_ticks_are_round() -> None:
    assert round_ticks(1.13, 2.1) == pytest.approx([1.2, 1.4, 1.6, 1.8, 2.0])
    assert span([10.0, 10.0], least=4.0) == pytest.approx((5.0, 20.0))
