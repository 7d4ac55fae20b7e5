"""Everything this room can say about a table of losses, as one value."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from scaling.laws.bootstrap import Bootstrap, bootstrap
from scaling.laws.broken import BROKEN_FLOPS
from scaling.laws.fit import Fit, fit_law
from scaling.laws.forecast import Backtest, backtest, forecast, score
from scaling.laws.forms import CHINCHILLA, CROSS, TIED, Law, power_law
from scaling.laws.intervals import Interval, delta_interval, parameter_intervals, percentiles, predict_interval
from scaling.laws.joint import INTERACTION, KAPLAN
from scaling.laws.objective import DELTA
from scaling.laws.observations import FloatArray, Observations, frontier, points
from scaling.laws.optimum import Allocation, allocate, optimum
from scaling.laws.repeated import DATA_CONSTRAINED
from scaling.laws.search import spread_rows
from scaling.laws.selection import Selection, default_forms, select

# Below this many independent trajectories the bootstrap's percentiles are too wide (they cover 93-97% at a nominal
# 90% on 24 points; docs table of benchmarks/laws_coverage.py), and the t-based delta method is the interval shown
# first.
MIN_BOOTSTRAP_UNITS = 50
LARGE = 3000  # rows beyond which the other forms and the selection see a sample, and the bootstrap is left out


@dataclass(frozen=True)
class HeldOut:
    """How a forecast did on rows it did not see."""

    num_points: int
    mean_abs_rel_error: float
    interval_level: float
    interval_coverage: float


@dataclass(frozen=True)
class FormReport:
    """One fitted form with its intervals; numbers only where the fit may be used.

    Attributes:
        fit: the form on the training rows.
        boot: its bootstrap, or None.
        intervals: for each parameter, by the method preferred here.
        other_intervals: the same by the other method, empty without a bootstrap.
        exponent_intervals: params_exponent and tokens_exponent of the optimum, empty where there is none.
        heldout: score on the held-out rows, None without any.
    """

    fit: Fit
    boot: Bootstrap | None
    intervals: dict[str, Interval]
    other_intervals: dict[str, Interval]
    exponent_intervals: dict[str, Interval]
    heldout: HeldOut | None


@dataclass(frozen=True)
class TargetForecast:
    """What to expect of a budget.

    Attributes:
        allocation: N*, D* and the loss by Chinchilla's law.
        params, tokens: intervals of N* and D*.
        loss: the selected forecast at (N*, D*), with the interval of a loss measured there.
        extrapolation: log10 of the budget over the largest compute that was fitted.
    """

    allocation: Allocation
    params: Interval
    tokens: Interval
    loss: float
    loss_interval: Interval
    extrapolation: float


@dataclass(frozen=True)
class Analysis:
    """The forms, the selected forecast, and what it says of the targets."""

    observations: Observations
    reports: tuple[FormReport, ...]
    selection: Selection | None
    selection_message: str
    backtest: Backtest | None
    heldout: HeldOut | None
    forecasts: tuple[TargetForecast, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)


def analyse(
    observations: Observations,
    *,
    held: Observations | None = None,
    targets: Sequence[float] = (),
    resamples: int = 4000,
    seed: int = 0,
    level: float = 0.95,
    delta: float = DELTA,
) -> Analysis:
    """Fit the forms, bootstrap Chinchilla, select a forecast, score it on held-out rows, and forecast the targets.

    Args:
        observations: the training rows.
        held: rows to score on, never fitted.
        targets: budgets in FLOPs.
        resamples: of the bootstrap of Chinchilla's law; 0 leaves it out, and so do more than `LARGE` rows.
        seed: of the resampling.
        level: of every interval.
        delta: of the Huber loss.
    """
    began = time.perf_counter()
    chinchilla = fit_law(CHINCHILLA, observations, delta=delta)
    sample = sample_rows(observations)
    laws = _laws(sample)
    others = [fit_law(law, rows, delta=delta) for law, rows in laws]
    fitted = time.perf_counter()
    worth = bool(chinchilla.parameters) and resamples > 0 and len(sample) == len(observations)
    boot = bootstrap(chinchilla, observations, resamples=resamples, seed=seed) if worth else None
    resampled = time.perf_counter()
    selection, message, trial = _select(sample, delta)
    selected = time.perf_counter()
    reports = [_report(chinchilla, observations, boot, held, level)]
    reports += [_report(fit, rows, None, held, level) for fit, (_, rows) in zip(others, laws, strict=True)]
    return Analysis(
        observations=observations,
        reports=tuple(reports),
        selection=selection,
        selection_message=message,
        backtest=trial,
        heldout=_score_selection(selection, trial, sample, held, level),
        forecasts=tuple(
            _target(chinchilla, selection, trial, observations, sample, boot, flops, level)
            for flops in targets
            if chinchilla.usable and selection is not None and trial is not None
        ),
        seconds={"fit": fitted - began, "bootstrap": resampled - fitted, "selection": selected - resampled},
    )


def _laws(observations: Observations) -> list[tuple[Law, Observations]]:
    """Give the forms besides Chinchilla, each with the rows that it speaks of."""
    joint: list[Law] = [TIED, CROSS, INTERACTION, KAPLAN]
    if DATA_CONSTRAINED in default_forms(observations):
        joint.append(DATA_CONSTRAINED)
    laws: list[tuple[Law, Observations]] = [(law, observations) for law in joint]
    for variable in ("params", "tokens", "flops"):
        envelope = observations.take(frontier(observations, variable))
        laws += [(power_law(variable, floor), envelope) for floor in (True, False)]
    laws.append((BROKEN_FLOPS, observations.take(frontier(observations))))
    return laws


def sample_rows(observations: Observations) -> Observations:
    """Give at most `LARGE` rows, evenly spread in compute: what the other forms and the selection are fitted to."""
    if len(observations) <= LARGE:
        return observations
    order = np.argsort(observations.flops, kind="stable")
    return observations.take(np.sort(order[spread_rows(len(observations), LARGE)]))


def _select(observations: Observations, delta: float) -> tuple[Selection | None, str, Backtest | None]:
    try:
        selection = select(observations, delta=delta)
    except ValueError as problem:
        return None, str(problem), None
    return selection, selection.why, backtest(observations, delta=delta)


def _report(
    fit: Fit, rows: Observations, boot: Bootstrap | None, held: Observations | None, level: float
) -> FormReport:
    heldout = None
    if fit.parameters and held is not None and len(held):
        prediction = predict_interval(fit, rows, held, boot, level=level)
        error, coverage = score(prediction, held)
        heldout = HeldOut(len(held), error, level, coverage)
    if not fit.usable:
        return FormReport(fit, boot, {}, {}, {}, heldout)
    by_delta = parameter_intervals(fit, rows, level=level)
    exponents = _exponent_intervals(fit, rows, None, level)
    if boot is None:
        return FormReport(fit, None, by_delta, {}, exponents, heldout)
    by_bootstrap = parameter_intervals(fit, rows, boot, level=level)
    if boot.num_trajectories < MIN_BOOTSTRAP_UNITS:
        return FormReport(fit, boot, by_delta, by_bootstrap, exponents, heldout)
    return FormReport(fit, boot, by_bootstrap, by_delta, _exponent_intervals(fit, rows, boot, level), heldout)


def _exponent_intervals(fit: Fit, rows: Observations, boot: Bootstrap | None, level: float) -> dict[str, Interval]:
    try:
        fit.law.compute_exponents(fit.theta)
    except ValueError:
        return {}
    intervals = {}
    for i, name in enumerate(("params_exponent", "tokens_exponent")):

        def exponent(theta: FloatArray, i: int = i) -> FloatArray:
            return fit.law.compute_exponents(theta)[i]

        if boot is None:
            intervals[name] = delta_interval(fit, rows, exponent, level=level)
        else:
            low, high = percentiles(exponent(boot.parameters), level)
            intervals[name] = Interval(float(low), float(high), level, "bootstrap")
    return intervals


def _score_selection(
    selection: Selection | None,
    trial: Backtest | None,
    observations: Observations,
    held: Observations | None,
    level: float,
) -> HeldOut | None:
    if selection is None or trial is None or held is None or not len(held):
        return None
    error, coverage = score(forecast(selection, observations, held, level=level, widen=trial.widen), held)
    return HeldOut(len(held), error, level, coverage)


def optimum_intervals(
    fit: Fit, observations: Observations, flops: float, boot: Bootstrap | None = None, *, level: float = 0.95
) -> tuple[Interval, Interval, Interval]:
    """Give intervals for N*, D* and the law's loss at a budget: bootstrap percentiles where given, else delta-t.

    Raises:
        ValueError: the law does not weigh N against D, or level is no probability.
    """
    if boot is not None and len(boot):
        draws = allocate(fit.law, boot.parameters, flops)
        ends = [percentiles(draw, level) for draw in draws]
        params, tokens, loss = (Interval(float(low), float(high), level, "bootstrap") for low, high in ends)
        return params, tokens, loss

    def part(i: int) -> Interval:
        def value(theta: FloatArray) -> FloatArray:
            lanes = np.asarray(theta).reshape(-1, np.shape(theta)[-1])
            return allocate(fit.law, lanes, flops)[i].reshape(np.shape(theta)[:-1])

        return delta_interval(fit, observations, value, level=level, log=True)

    return part(0), part(1), part(2)


def _target(
    fit: Fit,
    selection: Selection,
    trial: Backtest,
    observations: Observations,
    sample: Observations,
    boot: Bootstrap | None,
    flops: float,
    level: float,
) -> TargetForecast:
    at = optimum(fit, flops)
    preferred = boot if boot is not None and boot.num_trajectories >= MIN_BOOTSTRAP_UNITS else None
    params, tokens, _ = optimum_intervals(fit, observations, flops, preferred, level=level)
    there = points(at.params, at.tokens)
    prediction = forecast(selection, sample, there, level=level, widen=trial.widen)
    return TargetForecast(
        allocation=at,
        params=params,
        tokens=tokens,
        loss=float(prediction.loss[0]),
        loss_interval=Interval(float(prediction.low[0]), float(prediction.high[0]), level, prediction.method),
        extrapolation=float(np.log10(flops / observations.flops.max())),
    )
