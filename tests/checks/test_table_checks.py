"""Each check of a table of losses finds the sin that it is for, and is silent without it."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from scaling.analysis.config import TableOptions
from scaling.analysis.table_report import report_on_table
from scaling.checks.catalogue import check_table
from scaling.checks.residuals import forms_disagree
from scaling.laws.agreement import FINISHED, Answer
from scaling.laws.analysis import analyse
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.intervals import Interval
from scaling.laws.observations import Exclusion, FloatArray
from scaling.laws.optimum import optimum
from scaling.results import FittedLaw, OptimalAllocation, TableReport
from scaling.values import from_plain

COLUMNS = ("params", "tokens", "loss", "flops", "budget", "unique_tokens", "loss_sem", "run")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> TableReport:
    """A planted law with a little noise, runs named, a fifth held out, targets near: nothing to find fault with."""
    path = tmp_path_factory.mktemp("table") / "points.csv"
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["params", "tokens", "loss", "run"])
        for N in np.geomspace(1e7, 3e9, 6).tolist():
            for D in (N * np.array([5, 20, 80, 200])).tolist():
                writer.writerow([N, D, (1.7 + 400 / N**0.34 + 1200 / D**0.29) * np.exp(0.002 * rng.normal()), N])
    plain = {
        "source": str(path), "out": "unused", "columns": dict.fromkeys(COLUMNS), "holdout": "0.2", "targets": [1e21],
        "bootstrap": 0, "level": 0.95, "figures": False, "seed": 0, "convention": None, "conventions": [],
        "json": False, "debug": False, "curves": None,
    }  # fmt: skip
    return report_on_table(from_plain(TableOptions, plain, "options"), "python -m scaling.fit")


def found(report: TableReport) -> dict[str, str]:
    return {finding.name: finding.level for finding in check_table(report)}


def test_a_good_table_is_not_warned_of(report: TableReport) -> None:
    assert not {"warn", "refuse"} & set(found(report).values())
    assert "no_test" not in found(report)
    assert "runs_not_named" not in found(report)


@pytest.mark.parametrize(("decades", "level"), [(1.4, None), (1.6, "warn"), (3.1, "refuse")])
def test_far_targets(report: TableReport, decades: float, level: str | None) -> None:
    (target,) = report.optima
    flops = 10**decades * float(report.fitted.flops.max())
    far = replace(target, allocation=replace(target.allocation, flops=flops))
    assert found(replace(report, optima=(far,))).get("extrapolation") == level


def test_answers_that_disagree(report: TableReport) -> None:
    first = Answer("one way", "converged", "", 1e9, 0.5, 1.0)
    other = Answer(f"approach 1 ({FINISHED})", "converged", "", 6e9, 0.6, 6.0)
    silent = Answer("a third", "refused", "too few", None, None, None)
    names = found(replace(report, estimators=(first, other), conventions=(first, other)))
    assert names["estimators"] == names["conventions"] == "warn"
    assert not {"estimators", "conventions"} & set(found(replace(report, estimators=(first, silent))))


def with_losses(report: TableReport, factor: FloatArray) -> TableReport:
    """Chinchilla's law fitted to the same rows with every loss times a factor, [n]."""
    alone = np.arange(len(report.fitted)).astype(np.str_)  # a bend with N and what runs of one N share are alike
    rows = replace(report.fitted, loss=report.fitted.loss * factor, trajectory=alone)
    surface = FittedLaw(report.surface.title, fit_law(CHINCHILLA, rows), rows, None, {})
    return replace(report, fitted=rows, laws=(surface, *report.laws[1:]))


@pytest.mark.parametrize(("drift", "level"), [(0.0, None), (0.03, "warn")])
def test_residuals_that_bend(report: TableReport, drift: float, level: str | None) -> None:
    """A learning rate tuned at small sizes costs 3% of the loss for the square of each decade beyond 1e8."""
    decades = np.maximum(np.log10(report.fitted.params / 1e8), 0.0)
    assert found(with_losses(report, 1 + drift * decades**2)).get("form_misfit") == level


@pytest.mark.parametrize(("times", "named"), [(1.0, False), (1.05, True), (4.0, True)])
def test_one_bad_loss_is_named_and_the_law_stands(report: TableReport, times: float, named: bool) -> None:
    factor = np.ones(len(report.fitted))
    factor[7] = times
    spoilt = with_losses(report, factor)
    assert spoilt.surface.fit.usable
    findings = {finding.name: finding for finding in check_table(spoilt)}
    assert ("odd_points" in findings) is named
    if named:
        cell = f"N = {report.fitted.params[7]:.3g} at D = {report.fitted.tokens[7]:.3g}"
        assert cell in findings["odd_points"].numbers


def test_better_forms_that_leave_the_interval(report: TableReport) -> None:
    """Losses of an interaction with gamma .5: its form fits better, and the interval shown is Chinchilla's own."""
    N, D = report.fitted.params, report.fitted.tokens
    rows = replace(report.fitted, loss=1.5 + (400 / N**0.6 + 9000 / D**0.62) ** 0.5)
    analysis = analyse(rows, targets=(1e21,), resamples=0)
    plain = optimum(analysis.reports[0].fit, 1e21)
    interval = Interval(0.99 * plain.params, 1.01 * plain.params, 0.95, "planted")
    spoilt = replace(report, analysis=analysis, optima=(OptimalAllocation(plain, interval, None, None),))
    assert [finding.level for finding in forms_disagree(spoilt)] == ["warn"]
    wide = replace(interval, low=0.0, high=np.inf)
    assert not list(forms_disagree(replace(spoilt, optima=(OptimalAllocation(plain, wide, None, None),))))


@pytest.mark.parametrize(("count", "level"), [(1, "info"), (10, "warn")])
def test_rows_left_out(report: TableReport, count: int, level: str) -> None:
    excluded = tuple(Exclusion(i, "text") for i in range(count))
    assert found(replace(report, fitted=replace(report.fitted, excluded=excluded)))["rows_left_out"] == level


def test_what_was_not_given(report: TableReport) -> None:
    names = found(replace(report, held_out=None, by_run=False))
    assert names["no_test"] == names["runs_not_named"] == "info"


def test_a_row_that_carries_the_answer_is_named(report: TableReport) -> None:
    """The one row at a far end of N is pushed up: without it the best N is another."""
    interval = report.optima[0].params
    assert interval is not None
    first, *others = report.influence
    assert len(others) == 9
    moved = [abs(np.log(one.ratio)) for one in report.influence]
    assert moved == sorted(moved, reverse=True)
    best = report.optima[0].allocation.params
    near, beyond = interval.low * 1.01 / best, interval.high * 1.01 / best
    sin = replace(report, influence=(replace(first, ratio=beyond, line=17), *others))
    (finding,) = (f for f in check_table(sin) if f.name == "influential_rows")
    assert "line 17" in finding.numbers
    assert "influential_rows" not in found(replace(report, influence=(replace(first, ratio=near), *others)))
