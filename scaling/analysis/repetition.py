"""Points that saw their text more than once: which law they go to, and what that law says a further epoch is worth.

The half-lives of repetition are fitted over the law of fresh text, held fixed, as Muennighoff et al. 2023 do. What a
repeated token is worth is read between the losses of fresh points, so that law may serve even where its own parameters
are no result (a floor at its bound, say): the report then says so, and no forecast is made with it. An interval that
took it as known would be too narrow: every trajectory is left out in turn, and both laws fitted anew.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scaling.analysis.observations import Convention, observations, points_at
from scaling.laws.distributions import t_two_sided
from scaling.laws.fit import Fit, fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.intervals import Interval, Prediction, parameter_intervals, predict_interval
from scaling.laws.observations import Observations, Points, points
from scaling.laws.repeated import DATA_CONSTRAINED, MIN_LEVELS, REPEATED, DataConstrained, unique_of
from scaling.records import RunRecord
from scaling.results import FittedLaw, HeldOutError, Repetition
from scaling.specs import Plan, PlannedPoint

MOST_GROUPS = 30  # left out in turn


def is_repeated(record: RunRecord) -> bool:
    return record.tokens > REPEATED * record.unique_tokens


def will_repeat(point: PlannedPoint) -> bool:
    return point.epochs is not None and point.epochs > REPEATED


def carry_plain_laws(records: Sequence[RunRecord]) -> bool:
    """Whether fresh points are enough for the plain laws, so that repeated ones need not disturb them."""
    return min(len({r.params.total for r in records}), len({r.tokens for r in records})) >= MIN_LEVELS


def repeated_observations(plan: Plan, records: Sequence[RunRecord], convention: Convention) -> Observations:
    """As `observations`, with the unique tokens of each row."""
    unique = np.array([record.unique_tokens for record in records], dtype=np.float64)
    return replace(observations(plan, records, convention), unique_tokens=unique)


def repeated_points(plan: Plan, cells: Sequence[tuple[str, int]], convention: Convention) -> Points:
    """N, D, C and U of (run id, tokens) cells, measured or not."""
    at = points_at(plan, cells, convention)
    epochs = np.array([max(plan.by_cell[cell].epochs or 1.0, 1.0) for cell in cells])
    return points(at.params, at.tokens, at.flops, at.tokens / epochs)


def predict_repeated(
    plan: Plan,
    records: Sequence[RunRecord],
    cells: Sequence[tuple[str, int]],
    convention: Convention,
    level: float,
) -> Prediction | None:
    """Losses of repeated cells by the law of repeated data; None where it may not be used."""
    rows = repeated_observations(plan, records, convention)
    fit, fresh = _fit_repeated(rows)
    if not fit.usable or not cells or (fresh is not None and not fresh.usable):
        return None
    return predict_interval(fit, rows, repeated_points(plan, cells, convention), None, level=level)


def repetition(
    plan: Plan,
    records: Sequence[RunRecord],
    held_out: Sequence[RunRecord],
    convention: Convention,
    level: float,
) -> Repetition | None:
    """The law of repeated data over all fitted records, fresh and repeated; None where no text was repeated."""
    if not any(map(is_repeated, records)):
        return None
    unseen = [record for record in held_out if is_repeated(record)]
    return repetition_of(
        repeated_observations(plan, records, convention),
        repeated_observations(plan, unseen, convention) if unseen else None,
        level,
    )


def repetition_of(rows: Observations, at: Observations | None, level: float) -> Repetition:
    """The law of repeated data over all rows, fresh and repeated; `at` are repeated ones that were held out."""
    (fit, fresh), plain = _fit_repeated(rows), fit_law(CHINCHILLA, rows)
    intervals: dict[str, Interval] = {}
    if fit.usable:
        intervals = parameter_intervals(fit, rows, level=level) if fresh is None else _jackknife(fit, rows, level)
    epochs = rows.tokens / unique_of(rows)
    return Repetition(
        law=FittedLaw("L(N, D, U)", fit, rows, None, intervals),
        plain=FittedLaw("L(N, D) over all points", plain, rows, None, {}),
        fresh_status=None if fresh is None else fresh.status,
        num_repeated=int(np.sum(epochs > REPEATED)),
        most_epochs=float(epochs.max()),
        errors=tuple(error for each in (fit, plain) if (error := held_out_error(each, at)) is not None),
    )


def _fit_repeated(rows: Observations) -> tuple[Fit, Fit | None]:
    """The law of repeated data, and the law of the fresh rows that it stands on; None where these carry none, and all
    seven parameters are fitted at once."""
    fresh = fit_law(CHINCHILLA, rows.take(np.flatnonzero(rows.tokens <= REPEATED * unique_of(rows))))
    if not fresh.parameters or not (fresh.theta[1:] > 0).all():  # the best N for U tokens needs both terms
        return fit_law(DATA_CONSTRAINED, rows), None
    floor, a, b, alpha, beta = fresh.theta.tolist()
    return fit_law(DataConstrained(base=(floor, a, b, alpha, beta)), rows), fresh


def _jackknife(fit: Fit, rows: Observations, level: float) -> dict[str, Interval]:
    """Intervals of the half-lives from fits without one trajectory each, or one of `MOST_GROUPS` groups of them, on the
    log scale (Efron & Tibshirani 1993, chapter 11); empty where one of these fits cannot be made."""
    trajectory = rows.trajectory_index()
    count = min(int(trajectory.max()) + 1, MOST_GROUPS)
    method = "jackknife by trajectory"
    if int(trajectory.max()) >= count:
        method = f"jackknife by {count} groups of trajectories"
    trajectory = trajectory % count
    logs = []
    for left_out in range(count):
        part, fresh = _fit_repeated(rows.take(np.flatnonzero(trajectory != left_out)))
        if fresh is None or not part.parameters:
            return {}
        logs.append(np.log(part.theta))
    spread = np.sqrt((count - 1) * np.var(logs, axis=0))
    half = t_two_sided(level, count - 1) * spread
    return {
        name: Interval(float(value * np.exp(-wide)), float(value * np.exp(wide)), level, method)
        for name, value, wide in zip(fit.law.parameter_names, fit.theta, half, strict=True)
    }


def held_out_error(fit: Fit, at: Observations | None) -> HeldOutError | None:
    """On rows that the fit has not seen; None where there are none, or no fit."""
    if at is None or not fit.parameters:
        return None
    errors = np.abs(fit.law.predict(fit.theta, at) / at.loss - 1.0)
    return HeldOutError(fit.law.name, len(at), float(errors.mean()), float(errors.max()))
