"""One fitted form with all that is said of it: intervals, exponents of the optimum, its score on held-out rows."""

from dataclasses import dataclass

import numpy as np

from scaling.laws.bootstrap import Bootstrap
from scaling.laws.fit import Fit
from scaling.laws.forecast import score
from scaling.laws.intervals import (
    Interval,
    delta_interval,
    linearise_fit,
    parameter_intervals,
    percentiles,
    predict_interval,
)
from scaling.laws.observations import FloatArray, Observations
from scaling.laws.optimum import allocate

# Below this many independent rows the bootstrap's percentiles are too wide (they cover 93-97% at a nominal 90% on 24
# points) and the t-based delta method is shown first. Where rows share trajectories it is the other way round: the
# delta method covers 80-91% of a nominal 90% with six trunks of five points (benchmarks/laws_coverage.py).
MIN_BOOTSTRAP_UNITS = 50


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
        title: which rows it speaks of, in words.
        observations: those rows.
        fit: the form on them.
        boot: its bootstrap, or None.
        intervals: for each parameter, by the method preferred here.
        other_intervals: the same by the other method, empty without a bootstrap.
        exponent_intervals: params_exponent and tokens_exponent of the optimum, empty where there is none.
        heldout: score on the held-out rows, None without any.
    """

    title: str
    observations: Observations
    fit: Fit
    boot: Bootstrap | None
    intervals: dict[str, Interval]
    other_intervals: dict[str, Interval]
    exponent_intervals: dict[str, Interval]
    heldout: HeldOut | None


def preferred(boot: Bootstrap | None, observations: Observations) -> Bootstrap | None:
    """Give the bootstrap where its percentiles are to be shown before the delta method, else None."""
    if boot is None or not len(boot):
        return None
    clustered = boot.num_trajectories < len(observations)
    return boot if clustered or boot.num_trajectories >= MIN_BOOTSTRAP_UNITS else None


def form_report(
    title: str, fit: Fit, rows: Observations, boot: Bootstrap | None, held: Observations | None, level: float
) -> FormReport:
    """Give what is said of a fit to `rows`."""
    heldout = None
    # At a bound a coefficient may lie beyond float64, and then the form predicts nothing.
    if fit.parameters and np.isfinite(fit.theta).all() and held is not None and len(held):
        prediction = predict_interval(fit, rows, held, boot, level=level)
        error, coverage = score(prediction, held)
        heldout = HeldOut(len(held), error, level, coverage)
    if not fit.usable:
        return FormReport(title, rows, fit, boot, {}, {}, {}, heldout)
    by_delta = parameter_intervals(fit, rows, level=level)
    by_bootstrap = {} if boot is None else parameter_intervals(fit, rows, boot, level=level)
    shown = preferred(boot, rows)
    first, second = (by_delta, by_bootstrap) if shown is None else (by_bootstrap, by_delta)
    return FormReport(title, rows, fit, boot, first, second, exponent_intervals(fit, rows, shown, level), heldout)


def exponent_intervals(fit: Fit, rows: Observations, boot: Bootstrap | None, level: float) -> dict[str, Interval]:
    """Give intervals for the powers of C with which N* and D* grow; none where the form has no such powers."""
    try:
        fit.law.compute_exponents(fit.theta)
    except ValueError:
        return {}
    intervals = {}
    linear = linearise_fit(fit, rows) if boot is None else None
    for i, name in enumerate(("params_exponent", "tokens_exponent")):

        def exponent(theta: FloatArray, i: int = i) -> FloatArray:
            return fit.law.compute_exponents(theta)[i]

        if boot is None:
            intervals[name] = delta_interval(fit, rows, exponent, level=level, linear=linear)
        else:
            low, high = percentiles(exponent(boot.parameters), level)
            intervals[name] = Interval(float(low), float(high), level, "bootstrap")
    return intervals


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

    linear = linearise_fit(fit, observations)

    def part(i: int) -> Interval:
        def value(theta: FloatArray) -> FloatArray:
            lanes = np.asarray(theta).reshape(-1, np.shape(theta)[-1])
            return allocate(fit.law, lanes, flops)[i].reshape(np.shape(theta)[:-1])

        return delta_interval(fit, observations, value, level=level, log=True, linear=linear)

    return part(0), part(1), part(2)
