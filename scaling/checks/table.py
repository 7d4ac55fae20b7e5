"""Pitfalls that a fitted table of losses shows. Each is a function from its report to findings."""

import math
from collections.abc import Iterator

from scaling.findings import Finding
from scaling.numbers import scientific
from scaling.results import TableReport

EXCLUDED_WARN = 0.1
MOST_NAMED = 5


def rows_left_out(report: TableReport) -> Iterator[Finding]:
    """A row that cannot be read is often the sign of a column that is not what it seems."""
    excluded = len(report.fitted.excluded) - report.reading.num_set_aside
    total = excluded + len(report.fitted) + (0 if report.held_out is None else len(report.held_out))
    if excluded:
        yield Finding(
            "rows_left_out",
            "warn" if excluded > EXCLUDED_WARN * total else "info",
            f"{excluded:,} of {total:,} rows cannot be used (warn above {EXCLUDED_WARN:.0%}).",
            "Read the reasons in the table of rows left out, and correct the file where they are mistakes.",
            "the table itself",
        )


def influential_rows(report: TableReport) -> Iterator[Finding]:
    """An answer that leaves its own interval when one row is left out is that row's answer."""
    interval = report.optima[0].params if report.optima else None
    if interval is None:
        return
    # The answer is an average's, of which the law has a part: what the row does to the law is taken from the answer.
    best = report.optima[0].allocation.params
    beyond = [one for one in report.influence if not interval.low <= best * one.ratio <= interval.high]
    if beyond:
        named = "; ".join(
            f"{report.reading.unit} {one.line} (N = {one.params:.3g} at D = {one.tokens:.3g}, "
            f"{math.expm1(one.residual):+.1%} off the law): {best * one.ratio:.3g}"
            for one in beyond[:MOST_NAMED]
        )
        yield Finding(
            "influential_rows",
            "warn",
            f"Without one row the best N of {scientific(report.optima[0].allocation.flops)} FLOPs leaves its "
            f"{interval.level:.0%} interval, {interval.low:.3g} to {interval.high:.3g}. Without {named}.",
            "Look at these runs first: a row decides where it is alone at an end of the grid, or wrong. Add rows "
            "beside it, or train it again.",
            "Belsley, Kuh & Welsch 1980, chapter 2: deletion of single rows",
        )


def forms_without_result(report: TableReport) -> Iterator[Finding]:
    """A form that the rows cannot tell from others is not evidence against them."""
    doubtful = [law.fit for law in report.laws[1:] if not law.fit.usable]
    if doubtful:
        names = ", ".join(f"{fit.law.name} ({fit.status.replace('_', ' ')})" for fit in doubtful)
        yield Finding(
            "forms_without_result",
            "info",
            f"{len(doubtful)} of {len(report.laws)} forms give no number to be used: {names}.",
            "Read each form's status in the table of fits: it says what to add.",
            "the table itself",
        )


def no_test(report: TableReport) -> Iterator[Finding]:
    """A law that fits is not yet a law that predicts."""
    if report.held_out is None:
        yield Finding(
            "no_test",
            "info",
            "No row was kept out of the fit.",
            "Add holdout=0.2, which forecasts the fifth of the rows with most compute from the others.",
            "Choshen et al. 2024, arXiv 2410.11840",
        )


def runs_not_named(report: TableReport) -> Iterator[Finding]:
    """Points of one training run share its seed and its data: taken as independent they make intervals too narrow."""
    num_sizes = len(set(report.fitted.params.tolist()))
    if not report.by_run and num_sizes < len(report.fitted) / 2:
        yield Finding(
            "runs_not_named",
            "info",
            f"{len(report.fitted):,} rows have {num_sizes:,} different N and no column names their training run, so "
            "each row counts as independent.",
            "If rows are checkpoints of the same runs, name the runs: columns.run=COLUMN.",
            "Efron & Tibshirani 1993, chapter 8: resample what is independent",
        )
