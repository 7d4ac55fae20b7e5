"""What the figures, the tables and the sentences all read from a study: who belongs to what, and the scores."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from scaling.laws.analysis import largest_budget
from scaling.laws.fit import Fit
from scaling.laws.observations import FloatArray, IntArray, Observations
from scaling.laws.search import spread_rows
from scaling.laws.slices import held_out_slice
from scaling.records import RunRecord
from scaling.report.numbers import amount
from scaling.results import FittedLaw, LawReport, StudyReport
from scaling.store import SELECTED, Forecast

MOST_DRAWN = 500  # rows of a table, or points of a study of more than `LARGE_STUDY`, that the figures show
LARGE_STUDY = 1_000
MOST_CURVES = 100  # trunks of such a study


def sizes(report: LawReport) -> tuple[str, ...]:
    """Names of the sizes, from small to large."""
    if isinstance(report, StudyReport):
        params: dict[str, float] = {point.size: point.params for point in report.plan.points}
        params |= {record.size: record.params.total for record in report.records}
    else:
        params = {name: count for count, name in _names(report).items()}
    return tuple(sorted(params, key=lambda size: (params[size], size)))


def _names(report: LawReport) -> dict[float, str]:
    """The name of each measured N: a study's sizes have one, and in a table N is its own."""
    parts = [report.fitted] + ([report.held_out] if report.held_out is not None else [])
    if isinstance(report, StudyReport):
        records = (report.fitted_records, report.held_out_records)
        names = ([record.size for record in part] for part in records)
        return {
            params: name
            for rows, own in zip(parts, names, strict=False)
            for params, name in zip(rows.params.tolist(), own, strict=True)
        }
    return {params: amount(params) for rows in parts for params in rows.params.tolist()}


def row_sizes(report: LawReport, rows: Observations) -> list[str]:
    """The size of each row, by the nearest N among the measured rows."""
    known = _names(report)
    logs = np.log(np.array(list(known)))
    names = list(known.values())
    return [known.get(n) or names[int(np.argmin(np.abs(logs - np.log(n))))] for n in rows.params.tolist()]


def thinned(report: LawReport) -> LawReport:
    """A report of many rows as its figures show it: a sample spread evenly over compute. Nothing is fitted to it."""
    if not is_thinned(report):
        return report
    fitted = _spread(report.fitted)
    held_out = None if report.held_out is None else _spread(report.held_out)
    shown = replace(
        report,
        fitted=report.fitted.take(fitted),
        held_out=None if report.held_out is None or held_out is None else report.held_out.take(held_out),
    )
    if not isinstance(report, StudyReport) or not isinstance(shown, StudyReport):
        return shown
    own = tuple(report.fitted_records[i] for i in fitted)
    unseen = () if held_out is None else tuple(report.held_out_records[i] for i in held_out)
    known = roles(report)
    others = [r for r in report.records if (r.run_id, r.budget_tokens) not in known]
    trunks = [segment for segment in report.curves if segment.budget is None]
    return replace(
        shown,
        fitted_records=own,
        held_out_records=unseen,
        records=(*own, *unseen, *_sample(others, MOST_DRAWN)),
        curves=tuple(_sample(trunks, MOST_CURVES)),
    )


def is_thinned(report: LawReport) -> bool:
    counts = [len(rows) for rows in (report.fitted, report.held_out) if rows is not None]
    return sum(counts) > LARGE_STUDY if isinstance(report, StudyReport) else max(counts) > MOST_DRAWN


def thinned_words(report: LawReport) -> str:
    """What the reader of the figures must know; nothing where they show all."""
    if not is_thinned(report):
        return ""
    kind = "points" if isinstance(report, StudyReport) else "rows"
    parts = [(report.fitted, "fitted"), (report.held_out, "held-out")]
    words = [f"{min(len(rows), MOST_DRAWN)} of the {len(rows):,} {which}" for rows, which in parts if rows is not None]
    return f"The figures show {' and '.join(words)} {kind}, evenly spread in compute"


def _spread(rows: Observations) -> IntArray:
    order = np.argsort(rows.flops, kind="stable")
    return np.asarray(np.sort(order[spread_rows(len(rows), MOST_DRAWN)]))


Item = TypeVar("Item")


def _sample(items: Sequence[Item], most: int) -> list[Item]:
    return [items[i] for i in spread_rows(len(items), most)]


def fitted_loss(fit: Fit, rows: Observations) -> FloatArray:
    """What the law says of rows; the fit has parameters."""
    return np.asarray(fit.law.predict(fit.theta, rows))


def largest_flops(report: LawReport) -> float:
    """The most compute that was fitted, under the optimum's C = 6 N D."""
    return largest_budget(report.fitted)


def interval_level(report: LawReport) -> float:
    """The probability of the report's intervals, which its bands share."""
    return next((interval.level for interval in report.surface.intervals.values()), 0.95)


def residual_rms(fit: Fit) -> float | None:
    """Root mean square of log measured minus log fitted: about the relative error of one row."""
    return float(np.sqrt(np.mean(fit.residuals**2))) if fit.residuals.size else None


@dataclass(frozen=True)
class LineGroup:
    """One-variable laws over the same rows: with and without floor. `held_out` are the rows kept back that the
    laws speak of: those of the same slice, or those on the frontier."""

    title: str
    variable: str
    rows: Observations
    laws: tuple[FittedLaw, ...]
    held_out: Observations | None


def line_groups(report: LawReport) -> tuple[LineGroup, ...]:
    """The one-variable laws by what they were fitted to, in the order of the report."""
    groups: dict[tuple[str, str], list[FittedLaw]] = {}
    for line in report.lines:
        groups.setdefault((line.fit.law.inputs[0], line.title), []).append(line)
    return tuple(
        LineGroup(title, variable, laws[0].observations, tuple(laws), _held_out_of(report, variable, laws[0]))
        for (variable, title), laws in groups.items()
    )


def _held_out_of(report: LawReport, variable: str, line: FittedLaw) -> Observations | None:
    if report.held_out is None:
        return None
    return held_out_slice(variable, line.observations, report.fitted, report.held_out)


@dataclass(frozen=True)
class HeldOutRow:
    """A point kept out of the fit. `ahead` says that the prediction was stored before the point was measured."""

    run_id: str
    size: str
    tokens: int
    flops: float
    law: str
    predicted: float
    low: float
    high: float
    level: float
    measured: float | None
    ahead: bool

    @property
    def relative_error(self) -> float | None:
        """Predicted over measured, less one."""
        return None if self.measured is None else self.predicted / self.measured - 1.0

    @property
    def inside(self) -> bool | None:
        return None if self.measured is None else self.low <= self.measured <= self.high


def held_out_rows(report: LawReport, law: str = SELECTED, most: int | None = None) -> tuple[HeldOutRow, ...]:
    """Predictions of the held-out points, by compute: a law's from a study's ledger of forecasts, else the selected
    forecast's, made after the measurement by a fit without them; of these at most `most`, evenly spread."""
    ledger = _ledger(report, law)
    if isinstance(report, StudyReport) and ledger:
        made = _from_ledger(report, ledger)
    else:
        made = _afterwards(report, most) if law == SELECTED else iter(())
    return tuple(sorted(made, key=lambda row: (row.flops, row.run_id, row.tokens)))


def _ledger(report: LawReport, law: str) -> list[Forecast]:
    """Of the study's ledger: forecasts of planned points, and of others only what was measured of them."""
    if not isinstance(report, StudyReport):
        return []
    planned = {(point.run_id, point.tokens) for point in report.plan.points}
    return [f for f in report.forecasts if f.law == law and (f.measured is not None or (f.run_id, f.tokens) in planned)]


def _from_ledger(report: StudyReport, ledger: list[Forecast]) -> Iterator[HeldOutRow]:
    flops = {(point.run_id, point.tokens): float(point.flops) for point in report.plan.points}
    for f in ledger:
        yield HeldOutRow(
            f.run_id, f.size, f.tokens, flops.get((f.run_id, f.tokens), float("nan")), f.law, f.predicted, f.low,
            f.high, f.level, f.measured, True,
        )  # fmt: skip


def _afterwards(report: LawReport, most: int | None) -> Iterator[HeldOutRow]:
    prediction, held_out = report.held_out_prediction, report.held_out
    if prediction is None or held_out is None:
        return
    shown = np.lexsort((held_out.tokens, held_out.trajectory, held_out.flops))
    if most is not None:
        shown = shown[spread_rows(len(shown), most)]
    if isinstance(report, StudyReport):
        names = row_sizes(report, held_out.take(shown))
    else:
        names = [amount(params) for params in held_out.params[shown].tolist()]
    for i, size in zip(shown, names, strict=True):
        yield HeldOutRow(
            str(held_out.trajectory[i]), size, round(held_out.tokens[i]), float(held_out.flops[i]), SELECTED,
            float(prediction.loss[i]), float(prediction.low[i]), float(prediction.high[i]), prediction.level,
            float(held_out.loss[i]), False,
        )  # fmt: skip


@dataclass(frozen=True)
class Score:
    """How predictions met measurements. Errors are absolute and relative."""

    measured: int
    pending: int
    mean_error: float
    largest_error: float
    inside: int
    too_high: int
    level: float
    ahead: bool


def held_out_score(report: LawReport) -> Score | None:
    """Of all that `held_out_rows` has; None until one point is measured."""
    ledger = _ledger(report, SELECTED)
    if ledger:
        errors = [f.relative_error for f in ledger if f.relative_error is not None]
        pending, level = len(ledger) - len(errors), ledger[0].level
        inside = sum(f.covered is True for f in ledger)
    else:
        prediction, rows = report.held_out_prediction, report.held_out
        if prediction is None or rows is None:
            return None
        errors, pending, level = (prediction.loss / rows.loss - 1.0).tolist(), 0, prediction.level
        inside = int(np.sum((prediction.low <= rows.loss) & (rows.loss <= prediction.high)))
    if not errors:
        return None
    return Score(
        measured=len(errors),
        pending=pending,
        mean_error=sum(map(abs, errors)) / len(errors),
        largest_error=max(map(abs, errors)),
        too_high=sum(error > 0 for error in errors),
        inside=inside,
        level=level,
        ahead=bool(ledger),
    )


def formula_score(report: LawReport) -> Score | None:
    """Of the law that stands as a formula, fitted without the held-out points; None where none is measured."""
    fit, rows = report.surface.fit, report.held_out
    if not fit.usable or rows is None or not len(rows):
        return None
    errors = (fitted_loss(fit, rows) / rows.loss - 1.0).tolist()
    return Score(
        measured=len(errors),
        pending=0,
        mean_error=sum(map(abs, errors)) / len(errors),
        largest_error=max(map(abs, errors)),
        too_high=sum(error > 0 for error in errors),
        inside=0,
        level=0.0,
        ahead=False,
    )


def roles(report: StudyReport) -> dict[tuple[str, int], str]:
    """What each measured point is to the fit, by run and budget."""
    found = {(r.run_id, r.budget_tokens): "fitted" for r in report.fitted_records}
    found |= {(r.run_id, r.budget_tokens): "held out" for r in report.held_out_records}
    return found


def unused(report: StudyReport) -> tuple[tuple[str, int, str], ...]:
    """Every measured point that no fit uses, as (run, budget, reason), and none without a reason."""
    reasons = {(e.run_id, e.tokens): e.reason for e in report.exclusions}
    known = roles(report)
    for record in report.records:
        key = record.run_id, record.budget_tokens
        if key not in known and key not in reasons:
            reasons[key] = _reason(record)
    return tuple((run_id, tokens, reason) for (run_id, tokens), reason in reasons.items())


def _reason(record: RunRecord) -> str:
    if record.status == "done":
        return "not among the rows that were passed to the fit"
    return f"{record.status.replace('_', ' ')}: {record.reason or 'no reason recorded'}"
