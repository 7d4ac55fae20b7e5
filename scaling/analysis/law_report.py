"""Rows become what every report shows of them, wherever they come from: a study's records or anyone's table."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from scaling.laws.agreement import FINISHED, compare_conventions, compare_estimators
from scaling.laws.analysis import PointForecast, analyse, joint_title, largest_budget
from scaling.laws.backtest import Best
from scaling.laws.envelope import finished_curves
from scaling.laws.fit import fit_law
from scaling.laws.form_report import FormReport, form_report
from scaling.laws.observations import Observations
from scaling.laws.optimum import Allocation
from scaling.laws.repeated import DATA_CONSTRAINED
from scaling.results import FittedLaw, LawReport, OptimalAllocation, SeedNoise

BEYOND = 10.0  # the default's farther target, times the largest budget that was fitted


@dataclass(frozen=True)
class Rows:
    """What a report is made from.

    source      where the rows came from
    fitted      the rows for the laws, under the main convention
    held_out    the rows kept back, or None
    rule        which those are, in words; None without any
    counts      the fitted rows under each way of counting, the main one first
    curves      training curves by name, for approach 1
    excluded    rows that no fit uses, each with its reason; None: those of `fitted`
    noise       between seeds, where there are any
    repeated    the fitted rows and those whose text was repeated, for the law of repeated data; None without any
    """

    source: str
    fitted: Observations
    held_out: Observations | None
    rule: str | None
    counts: Mapping[str, Observations]
    curves: Mapping[str, Observations]
    excluded: Sequence[tuple[object, str]] | None = None
    noise: SeedNoise | None = None
    repeated: Observations | None = None


def law_report(
    rows: Rows,
    *,
    targets: Sequence[float] | None,
    at: Sequence[tuple[float, float]] = (),
    resamples: int,
    level: float,
    seed: int,
    seconds: Mapping[str, float] | None = None,
) -> LawReport:
    """Fit every form, select the forecast, forecast the targets, ask the same question in other ways.

    `targets` are FLOPs as 6 N D; None stands for the largest that was fitted and ten times that. `at` are N and D whose
    loss is asked for. `seconds` are durations to be listed beside the fits'.
    """
    fitted, held = rows.fitted, rows.held_out
    largest = largest_budget(fitted)
    targets = targets or (largest, BEYOND * largest)
    analysis = analyse(fitted, held=held, targets=targets, at=at, resamples=resamples, seed=seed, level=level)
    if rows.repeated is not None:
        fit = fit_law(DATA_CONSTRAINED, rows.repeated)
        report = form_report(joint_title(DATA_CONSTRAINED), fit, rows.repeated, None, None, level)
        analysis = replace(analysis, reports=(*analysis.reports, report))
    began = time.perf_counter()
    curves = {FINISHED: finished_curves(fitted), **rows.curves}
    estimators = compare_estimators(analysis.reports[0].fit, fitted, targets[0], curves)
    conventions = compare_conventions(rows.counts, targets[0]) if len(rows.counts) > 1 else ()
    seconds = {**(seconds or {}), "comparisons": time.perf_counter() - began}
    return LawReport(
        fitted=fitted,
        held_out=held,
        optima=tuple(optimal_allocation(target.best, target.there) for target in analysis.forecasts),
        noise=rows.noise,
        findings=(),
        source=rows.source,
        rule=rows.rule,
        excluded=None if rows.excluded is None else tuple(rows.excluded),
        seconds=seconds,
        analysis=analysis,
        laws=tuple(_fitted_law(report) for report in analysis.reports),
        estimators=estimators,
        conventions=conventions,
    )


def _fitted_law(report: FormReport) -> FittedLaw:
    return FittedLaw(report.title, report.fit, report.observations, report.boot, report.intervals)


def optimal_allocation(best: Best, there: PointForecast) -> OptimalAllocation:
    """N*, D* and the loss there, all by the selected forecast."""
    return OptimalAllocation(
        Allocation(
            flops=best.flops,
            params=best.params,
            tokens=best.tokens,
            loss=there.loss,
            params_exponent=best.params_exponent,
            tokens_exponent=1 - best.params_exponent,
        ),
        best.params_interval,
        best.tokens_interval,
        there.loss_interval,
    )
