"""What the selected forecast is, why, and how the answer moves when the question is asked otherwise."""

from scaling.laws.agreement import Answer
from scaling.laws.backtest import Backtest
from scaling.laws.forecast import UNTESTED
from scaling.report.document import Table
from scaling.report.numbers import MISSING, amount, greek, level_text, minus, percent, plural, sentence, significant
from scaling.report.tables import number_columns, text_columns
from scaling.results import LawReport


def selected(report: LawReport) -> str:
    """Which form forecasts the losses, why, and how wide its intervals are."""
    selection, trial = report.analysis.selection, report.analysis.backtest
    if selection is None or trial is None:
        return f"No forecast was selected: {sentence(report.analysis.selection_message)}"
    what = "an average" if len(selection.candidates) > 1 else "one form"
    return (
        f"The best N and D of a budget are the fitted law's; losses there are forecast by {what}: "
        f"{sentence(selection.why)} {_tested(trial)}"
    )


def _tested(trial: Backtest) -> str:
    if not trial.rungs:
        return (
            "The rows are too few to test it on themselves, so its intervals are as the fits announce, and wider "
            f"beyond {UNTESTED:g} decades of compute."
        )
    widening = trial.widening
    how = (
        f"{significant(widening.factor, 2)} times as wide as the fits announce"
        if widening.factor > 1
        else "as wide as the fits announce"
    )
    rungs = plural(len(trial.rungs), "rung")
    return (
        f"Forecasts from {rungs} of the fitted rows of all rows beyond, up to {significant(widening.tested, 2)} "
        f"decades of compute away, make its intervals {how}, and wider still farther out."
    )


def selection_tables(report: LawReport) -> tuple[Table, ...]:
    """The candidates, the backtest, and the best N by estimator and by way of counting; those that there are."""
    found = (
        _candidates(report),
        _backtest(report),
        _answers("estimators", "Best N by estimator", "The same rows, asked in several ways.", report.estimators),
        _answers("conventions", "Best N by way of counting", "Each in its own count of N.", report.conventions),
    )
    return tuple(table for table in found if table is not None)


def _candidates(report: LawReport) -> Table | None:
    selection = report.analysis.selection
    if selection is None:
        return None
    rows = [
        (
            c.fit.law.name.replace("_", " "), c.fit.status.replace("_", " "), significant(c.compute_power, 2),
            *(percent(error) for error in c.inner_errors), MISSING if c.aicc is None else minus(f"{c.aicc:.1f}"),
            percent(c.weight, 1),
        )
        for c in selection.candidates
    ]  # fmt: skip
    result = report.analysis.heldout
    test = ""
    if result is not None:
        test = (
            f" On {plural(result.num_points, 'held-out row')} the average is off by "
            f"{percent(result.mean_abs_rel_error)}, and {percent(result.interval_coverage, 0)} lie inside the "
            f"{level_text(result.interval_level)} intervals."
        )
    return Table(
        "candidates",
        "Candidates of the forecast",
        "Rows weighted by C to the given power. Error: mean absolute relative error on the fitted rows that each inner "
        f"split kept back. AICc: of the unweighted fit, lower is better; it does not enter the weight.{test}",
        (
            *text_columns("Form", "Status"),
            *number_columns("Power of C", *(f"Error, {name}" for name in selection.splits), "AICc", "Weight"),
        ),
        tuple(rows),
    )


def _backtest(report: LawReport) -> Table | None:
    trial = report.analysis.backtest
    if trial is None or not trial.rungs:
        return None
    return Table(
        "backtest",
        "Backtest",
        "At each rung the forecast was selected from the rows up to it alone, and predicted every fitted row beyond. "
        "Miss over announced: root mean square of error over announced standard deviation; above one the intervals "
        "are widened by its mean.",
        (
            *text_columns("Kept back"),
            *number_columns("Rows used", "Rows predicted", "Farthest, in C", "Mean error", "Miss over announced"),
        ),
        tuple(
            (
                rung.name, str(rung.num_fitted), str(len(rung.errors)),
                f"{significant(10 ** float(rung.decades.max()), 2)}×", percent(rung.mean_abs_rel_error),
                significant(rung.rms_score, 2),
            )
            for rung in trial.rungs
        ),
    )  # fmt: skip


def _answers(name: str, title: str, caption: str, answers: tuple[Answer, ...]) -> Table | None:
    if not answers:
        return None
    exponents = ("alpha", "beta") if any(one.parameters for one in answers[1:]) else ()
    return Table(
        name,
        title,
        f"N at the first target. {caption} Where the rows disagree, the answer depends on the choice.",
        (
            *text_columns("By", "Status"),
            *number_columns(*map(greek, exponents), "Best N", "Grows as C to the", "Ratio to the first"),
        ),
        tuple(
            (
                one.source, _status(one), *(significant(one.parameters.get(exponent)) for exponent in exponents),
                amount(one.params), significant(one.params_exponent), significant(one.ratio),
            )
            for one in answers
        ),
    )  # fmt: skip


def _status(answer: Answer) -> str:
    return answer.status if answer.status == "converged" else f"{answer.status.replace('_', ' ')}: {answer.message}"
