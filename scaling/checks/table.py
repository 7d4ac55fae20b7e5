"""Pitfalls that a fitted table of losses shows. Each is a function from its report to findings."""

from collections.abc import Iterator

from scaling.findings import Finding
from scaling.results import TableReport

DECADES_WARN, DECADES_REFUSE = 1.5, 3.0
DISAGREE_WARN = 1.25  # ratio of two answers for the best N
EXCLUDED_WARN = 0.1


def extrapolation(report: TableReport) -> Iterator[Finding]:
    """No row says how fast a form goes wrong beyond the rows."""
    far = max((target.extrapolation for target in report.analysis.forecasts), default=0.0)
    if far > DECADES_WARN:
        yield Finding(
            "extrapolation",
            "refuse" if far > DECADES_REFUSE else "warn",
            f"The farthest target has {10**far:,.0f} times the largest fitted compute (warn above "
            f"{10**DECADES_WARN:.0f} times, refuse above {10**DECADES_REFUSE:,.0f}).",
            "Measure losses nearer to the target, or set targets within reach of the table.",
            "a judgement of this program: the error of a form grows with distance, and the table cannot show how fast",
        )


def estimators(report: TableReport) -> Iterator[Finding]:
    """Approach 2 is biased where alpha and beta differ, but a large gap says that one of the two is wrong."""
    for answer in report.estimators[1:]:
        if answer.ratio is not None and max(answer.ratio, 1 / answer.ratio) > DISAGREE_WARN:
            yield Finding(
                "estimators",
                "warn",
                f"{answer.source} puts the best N of the first target at {answer.ratio:.2f} times that of "
                f"{report.estimators[0].source} (warn beyond a factor {DISAGREE_WARN}).",
                "Centre the sizes of each budget on its minimum, and look at the residuals against N and D.",
                "Hoffmann et al. 2022, arXiv 2203.15556, approaches 2 and 3",
            )


def conventions(report: TableReport) -> Iterator[Finding]:
    """What N counts moves its exponent."""
    exponents = [a.params_exponent for a in report.conventions if a.params_exponent is not None]
    if len(exponents) > 1 and max(exponents) - min(exponents) > 0.05:
        yield Finding(
            "conventions",
            "warn",
            f"The power of C with which the best N grows runs from {min(exponents):.3f} to {max(exponents):.3f} over "
            "the ways of counting N (warn beyond 0.05).",
            "Say which N is meant wherever the number goes, and compare only with work that counts the same way.",
            "Pearce & Song 2024, arXiv 2406.12907",
        )


def rows_left_out(report: TableReport) -> Iterator[Finding]:
    """A row that cannot be read is often the sign of a column that is not what it seems."""
    excluded = len(report.fitted.excluded)
    total = excluded + len(report.fitted) + (0 if report.held_out is None else len(report.held_out))
    if excluded:
        yield Finding(
            "rows_left_out",
            "warn" if excluded > EXCLUDED_WARN * total else "info",
            f"{excluded:,} of {total:,} rows cannot be used (warn above {EXCLUDED_WARN:.0%}).",
            "Read the reasons in the table of rows left out, and correct the file where they are mistakes.",
            "the table itself",
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
