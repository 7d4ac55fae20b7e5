"""Everything this room can say about a table of losses, as one value."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from scaling.laws.backtest import Best, Forecaster, forecaster
from scaling.laws.bootstrap import Bootstrap, bootstrap
from scaling.laws.broken import BROKEN_FLOPS
from scaling.laws.fit import Fit, fit_law
from scaling.laws.forecast import score
from scaling.laws.form_report import (
    FormReport,
    HeldOut,
    exponent_intervals,
    form_report,
    optimum_intervals,
    preferred,
)
from scaling.laws.forms import CHINCHILLA, Law, power_law
from scaling.laws.intervals import Interval, Prediction
from scaling.laws.line import Line, line_of, under_six
from scaling.laws.objective import DELTA
from scaling.laws.observations import Observations, points
from scaling.laws.optimum import Allocation, optimum
from scaling.laws.registry import VARIABLES, laws_with
from scaling.laws.repeated import DATA_CONSTRAINED
from scaling.laws.search import spread_rows
from scaling.laws.selection import default_forms
from scaling.laws.slices import held_out_slice, slice_rows

LARGE = 3000  # rows beyond which the other forms and the selection see a sample, and the bootstrap is left out


@dataclass(frozen=True)
class PointForecast:
    """What to expect at an N and a D.

    Attributes:
        params, tokens: N and D.
        loss: the selected forecast there, with the interval of a new run.
        curve_interval: of the mean of many runs.
        extrapolation: log10 of its 6 N D over the largest that was fitted; below zero within.
    """

    params: float
    tokens: float
    loss: float
    loss_interval: Interval
    curve_interval: Interval
    extrapolation: float


@dataclass(frozen=True)
class TargetForecast:
    """What to expect of a budget.

    Attributes:
        best: N* and D* with their intervals, of the same average as the loss.
        there: the selected forecast at (N*, D*).
        allocation: N*, D* and the loss by Chinchilla's law alone.
    """

    best: Best
    there: PointForecast
    allocation: Allocation


@dataclass(frozen=True)
class Answer:
    """Whether a question is answered, and why not, or how."""

    answered: bool
    why: str


@dataclass(frozen=True)
class Analysis:
    """The forms, the selected forecast, and what it says of the targets.

    Attributes:
        observations: the training rows.
        reports: every form, Chinchilla's surface first.
        forecaster: the selected forecast, None where no form can be fitted.
        selection_message: why this selection, or why there is none.
        heldout: score of the selected forecast on the held-out rows, None without any.
        heldout_prediction: what it says of them.
        forecasts: of the targets.
        points: forecasts of the N and D that were asked for; where all rows lie on one line, of the targets on it
            first, and of none off it.
        seconds: by what took them.
    """

    observations: Observations
    reports: tuple[FormReport, ...]
    forecaster: Forecaster | None
    selection_message: str
    heldout: HeldOut | None
    heldout_prediction: Prediction | None
    forecasts: tuple[TargetForecast, ...]
    points: tuple[PointForecast, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def line(self) -> Line | None:
        """That all rows lie on, where the forecast is one along it."""
        return None if self.forecaster is None else self.forecaster.line

    @property
    def along(self) -> FormReport | None:
        """The law along the line of all rows."""
        if self.line is None:
            return None
        return next(one for one in self.reports if one.fit.law == self.line.forms[0])

    @property
    def answers(self) -> dict[str, Answer]:
        """Which questions the rows answer: the loss of a new run, the floor, the best N of a budget."""
        joint, along = self.reports[0].fit, self.along
        law = joint if along is None else along.fit
        floor, best = (Answer(fit.usable, fit.message) for fit in (law, joint))
        return {
            "loss": floor if self.forecaster is None or along is None else Answer(True, self.selection_message),
            "floor": floor,
            "best_params": best,
        }

    @property
    def num_sampled(self) -> int:
        """How many of the rows the selection saw, and every form but Chinchilla's."""
        return min(len(self.observations), LARGE)


def analyse(
    observations: Observations,
    *,
    held: Observations | None = None,
    targets: Sequence[float] = (),
    at: Sequence[tuple[float, float]] = (),
    resamples: int = 4000,
    seed: int = 0,
    level: float = 0.95,
    delta: float = DELTA,
) -> Analysis:
    """Fit the forms, bootstrap Chinchilla, select a forecast, score it on held-out rows, and forecast the targets.

    Args:
        observations: the training rows.
        held: rows to score on, never fitted.
        targets: budgets in FLOPs, as 6 N D.
        at: N and D whose loss is asked for.
        resamples: of the bootstrap of Chinchilla's law; 0 leaves it out, and so do more than `LARGE` rows and a
            single trajectory.
        seed: of the resampling.
        level: of every interval.
        delta: of the Huber loss.
    """
    began = time.perf_counter()
    chinchilla = fit_law(CHINCHILLA, observations, delta=delta)
    sample = sample_rows(observations)
    line = line_of(sample)
    laws = _laws(sample, line)
    others = [fit_law(law, rows, delta=delta) for _, law, rows in laws]
    fitted = time.perf_counter()
    boot = resample(chinchilla, observations, resamples=resamples, seed=seed)
    resampled = time.perf_counter()
    asked, message = _forecaster(sample, delta, [chinchilla, *others] if sample is observations else others)
    testable = held is not None and len(held) > 0
    if line is not None:  # a point off it is neither asked of it nor a test
        at = [line.at(flops) for flops in targets] + [one for one in at if bool(line.holds(points(*one))[0])]
        testable = testable and held is not None and bool(line.holds(held).all())
    prediction = asked.predict(held, level) if asked is not None and held is not None and testable else None
    selected = time.perf_counter()
    reports = [form_report(joint_title(CHINCHILLA), chinchilla, observations, boot, held, level)]
    for fit, (title, law, rows) in zip(others, laws, strict=True):
        own = held
        if line is not None and law in line.forms:
            own = held if testable else None
        elif len(law.inputs) == 1 and held is not None:
            own = held_out_slice(law.inputs[0], rows, sample, held)
        reports.append(form_report(title, fit, rows, None, own, level))
    return Analysis(
        observations=observations,
        reports=tuple(reports),
        forecaster=asked,
        selection_message=message,
        heldout=None if prediction is None or held is None else _heldout(prediction, held),
        heldout_prediction=prediction,
        forecasts=tuple(
            _target(chinchilla, asked, observations, boot, flops, level)
            for flops in targets
            if chinchilla.usable and asked is not None
        ),
        points=() if asked is None else forecast_points(asked, at, level),
        seconds={"fit": fitted - began, "bootstrap": resampled - fitted, "selection": selected - resampled},
    )


def resample(fit: Fit, observations: Observations, *, resamples: int, seed: int) -> Bootstrap | None:
    """Bootstrap a fit by trajectory where that can say something, else None."""
    worth = bool(fit.parameters) and resamples > 0 and len(observations) <= LARGE
    if not worth or int(observations.trajectory_index().max()) < 1:
        return None
    return bootstrap(fit, observations, resamples=resamples, seed=seed)


def largest_budget(observations: Observations) -> float:
    """Give the largest 6 N D of the rows, FLOPs: what targets are measured against."""
    return float(np.max(6.0 * observations.params * observations.tokens))


def joint_title(law: Law) -> str:
    """Give what a form in N and D is called where one-variable laws are called by their rows."""
    return law.name.replace("_", " ")


def _laws(observations: Observations, line: Line | None) -> list[tuple[str, Law, Observations]]:
    """Give the forms besides Chinchilla, each with the rows that it speaks of and what they are in words."""
    joint = [law for law in laws_with("report") if law is not CHINCHILLA]
    if DATA_CONSTRAINED in default_forms(observations):
        joint.append(DATA_CONSTRAINED)
    laws: list[tuple[str, Law, Observations]] = [(joint_title(law), law, observations) for law in joint]
    for variable in VARIABLES:
        if line is not None and variable == line.variable:
            laws += [(line.title, law, under_six(observations)) for law in line.forms]
            continue
        rows, title = slice_rows(observations, variable)
        laws += [(title, power_law(variable, floor), observations.take(rows)) for floor in (True, False)]
    envelope, title = slice_rows(observations, "flops")
    laws.append((title, BROKEN_FLOPS, observations.take(envelope)))
    return laws


def sample_rows(observations: Observations) -> Observations:
    """Give at most `LARGE` rows, evenly spread in compute: what the other forms and the selection are fitted to."""
    if len(observations) <= LARGE:
        return observations
    order = np.argsort(observations.flops, kind="stable")
    return observations.take(np.sort(order[spread_rows(len(observations), LARGE)]))


def _forecaster(observations: Observations, delta: float, known: Sequence[Fit]) -> tuple[Forecaster | None, str]:
    line = line_of(observations)
    asked_for = [fit for fit in known if fit.law.inputs == ("params", "tokens") or (line and fit.law in line.forms)]
    try:
        asked = forecaster(observations, delta=delta, known=asked_for)
    except ValueError as problem:
        return None, str(problem)
    return asked, asked.why


def _heldout(prediction: Prediction, held: Observations) -> HeldOut:
    error, coverage = score(prediction, held)
    return HeldOut(len(held), error, prediction.level, coverage)


def _target(
    fit: Fit, asked: Forecaster, observations: Observations, boot: Bootstrap | None, flops: float, level: float
) -> TargetForecast:
    alone = optimum(fit, flops)
    best = asked.best(flops, level) or _best_alone(fit, alone, observations, boot, level)
    (there,) = forecast_points(asked, [(best.params, best.tokens)], level)
    return TargetForecast(best, there, alone)


def forecast_points(asked: Forecaster, at: Sequence[tuple[float, float]], level: float) -> tuple[PointForecast, ...]:
    """Give the loss at each N and D.

    Raises:
        ValueError: an N or a D is not positive.
    """
    found = []
    for params, tokens in at:
        where = points(params, tokens)
        new_run, curve = asked.predict(where, level), asked.curve(where, level)
        found.append(
            PointForecast(
                params=params,
                tokens=tokens,
                loss=float(new_run.loss[0]),
                loss_interval=_first(new_run),
                curve_interval=_first(curve),
                extrapolation=float(np.log10(6 * params * tokens / asked.average.reach.flops)),
            )
        )
    return tuple(found)


def _first(prediction: Prediction) -> Interval:
    return Interval(float(prediction.low[0]), float(prediction.high[0]), prediction.level, prediction.method)


def _best_alone(fit: Fit, at: Allocation, observations: Observations, boot: Bootstrap | None, level: float) -> Best:
    """Chinchilla's own answer, where the average has no minimum along a budget."""
    shown = preferred(boot, observations)
    params, tokens, _ = optimum_intervals(fit, observations, at.flops, shown, level=level)
    exponent, _ = fit.law.compute_exponents(fit.theta)
    power = exponent_intervals(fit, observations, shown, level)["params_exponent"]
    return Best(at.flops, at.params, at.tokens, params, tokens, float(exponent), power, {fit.law.name: at.params})
