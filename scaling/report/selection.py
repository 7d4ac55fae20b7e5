"""What the selected forecast is, why, and how the answer moves when the question is asked otherwise."""

from scaling.laws.agreement import Answer
from scaling.laws.backtest import Backtest
from scaling.laws.forecast import UNTESTED
from scaling.report.document import Table
from scaling.report.numbers import amount, greek, level_text, minus, percent, plural, scientific, sentence, significant
from scaling.report.tables import number_columns, text_columns
from scaling.results import LawReport


def selected(report: LawReport) -> str:
    """Which form forecasts the losses, why, and how wide its intervals are."""
    asked = report.analysis.forecaster
    if asked is None:
        return f"No forecast was selected: {sentence(report.analysis.selection_message)}"
    what = "an average over forms" if len(asked.average.members) > 1 else "one form"
    of = "The best N and D of a budget and the losses there are" if asked.line is None else "Losses along the line are"
    return f"{of} forecast by {what}: {sentence(asked.why)} {_tested(asked.backtest)}{_sampled(report)}"


def _sampled(report: LawReport) -> str:
    seen, total = report.analysis.num_sampled, len(report.fitted)
    if seen == total:
        return ""
    return (
        f" It, and every form but Chinchilla's, saw {seen:,} of the {total:,} fitted rows, evenly spread in compute; "
        "Chinchilla's law is fitted to all of them."
    )


def _tested(trial: Backtest) -> str:
    if not trial.rungs:
        return (
            "The rows are too few to test it on themselves, so its intervals are as the fits announce, and wider "
            f"beyond {UNTESTED:g} decades of compute."
        )
    widening = trial.widening
    factor = significant(widening.factor, 2)
    how = "as wide as the fits announce" if factor == "1.0" else f"{factor} times as wide as the fits announce"
    rungs = plural(len(trial.rungs), "cut")
    return (
        f"It was tested on the rows themselves: forecasts from below {rungs} in compute of all rows above, up to "
        f"{significant(widening.tested, 2)} decades away, make its intervals {how}, and wider still farther out."
    )


def selection_tables(report: LawReport) -> tuple[Table, ...]:
    """The candidates, the backtest, and the best N by estimator and by way of counting; those that there are."""
    found = (
        _candidates(report),
        _by_form(report),
        _backtest(report),
        _answers("estimators", "Best N by estimator", "The same rows, asked in several ways.", report.estimators),
        _answers("conventions", "Best N by way of counting", "Each in its own count of N.", report.conventions),
    )
    return tuple(table for table in found if table is not None)


def _candidates(report: LawReport) -> Table | None:
    if report.analysis.forecaster is None:
        return None
    average = report.analysis.forecaster.average
    rows = [
        (m.way.name.replace("_", " "), *map(percent, m.inner_errors), percent(m.weight, 1)) for m in average.members
    ]
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
        "Each form with every row counting by its noise, and with rows weighted by a power of compute. Error: mean "
        f"absolute relative error on the rows that were left out.{test}",
        (*text_columns("Form"), *number_columns(*(f"Error {name}" for name in average.cuts), "Weight")),
        tuple(rows),
    )


def _by_form(report: LawReport) -> Table | None:
    targets = report.analysis.forecasts
    forms = dict.fromkeys(form for target in targets for form in target.best.by_form)
    if not forms:
        return None
    return Table(
        "by_form",
        "Best N by form",
        "The average takes them together, each by its weight and by how sharply it knows its best N.",
        (*text_columns("Form"), *number_columns(*(f"At {scientific(t.best.flops)} FLOPs" for t in targets))),
        (
            *((form.replace("_", " "), *(amount(t.best.by_form.get(form)) for t in targets)) for form in forms),
            ("average", *(amount(t.best.params) for t in targets)),
        ),
    )


def _backtest(report: LawReport) -> Table | None:
    asked = report.analysis.forecaster
    if asked is None or not asked.backtest.rungs:
        return None
    return Table(
        "backtest",
        "Backtest",
        "At each cut the forecast was selected from the rows below it alone, and predicted every fitted row above. "
        "Mean error: its size, and with its sign, measured over predicted. Miss over announced: root mean square of "
        "error over announced standard deviation; the intervals are widened, or narrowed, by its mean.",
        (
            *text_columns("Kept back"),
            *number_columns(
                "Rows used", "Rows predicted", "Farthest, in C", "Mean error", "With sign", "Miss over announced"
            ),
        ),
        tuple(
            (
                rung.name, str(rung.num_fitted), str(len(rung.errors)),
                f"{significant(10 ** float(rung.decades.max()), 2)}×", percent(rung.mean_abs_rel_error),
                minus(f"{100 * rung.mean_rel_error:+.2f}%"), significant(rung.rms_score, 2),
            )
            for rung in asked.backtest.rungs
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
