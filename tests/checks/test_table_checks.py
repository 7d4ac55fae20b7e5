"""Each check of a table of losses finds the sin that it is for, and is silent without it."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from scaling.analysis.config import TableOptions
from scaling.analysis.table_report import report_on_table
from scaling.checks.catalogue import check_table
from scaling.laws.agreement import Answer
from scaling.laws.observations import Exclusion
from scaling.results import TableReport
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
    other = Answer("another", "converged", "", 2e9, 0.6, 2.0)
    silent = Answer("a third", "refused", "too few", None, None, None)
    names = found(replace(report, estimators=(first, other), conventions=(first, other)))
    assert names["estimators"] == names["conventions"] == "warn"
    assert not {"estimators", "conventions"} & set(found(replace(report, estimators=(first, silent))))


@pytest.mark.parametrize(("count", "level"), [(1, "info"), (10, "warn")])
def test_rows_left_out(report: TableReport, count: int, level: str) -> None:
    excluded = tuple(Exclusion(i, "text") for i in range(count))
    assert found(replace(report, fitted=replace(report.fitted, excluded=excluded)))["rows_left_out"] == level


def test_what_was_not_given(report: TableReport) -> None:
    names = found(replace(report, held_out=None, by_run=False))
    assert names["no_test"] == names["runs_not_named"] == "info"
