"""Forecasts that could have been made: from the rows below each cut, of every later row, with the errors kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from scaling.laws.average import Average, Moments
from scaling.laws.fit import Fit
from scaling.laws.forecast import Widening, decades_beyond
from scaling.laws.intervals import Interval, Prediction, check_level
from scaling.laws.line import Line, under_six
from scaling.laws.objective import DELTA
from scaling.laws.observations import FloatArray, Observations, Points
from scaling.laws.selection import Selection, select

PRIOR_RUNGS = 3.0  # how many rungs whose errors were as announced the measured ones are averaged with
NARROWEST = 0.5
LARGEST_LOG = 700.0  # whose exponential float64 holds: an end of an interval beyond it is no end


@dataclass(frozen=True)
class Rung:
    """One forecast from the rows up to a compute, of all rows beyond.

    Attributes:
        name: how the rows were cut.
        flops: the largest compute that was fitted.
        num_fitted: rows up to it.
        errors: log measured less log predicted loss of each later row, [m].
        announced: standard deviation that the forecast gave, [m].
        decades: log10 of the row's compute over the largest that was fitted, [m].
    """

    name: str
    flops: float
    num_fitted: int
    errors: FloatArray
    announced: FloatArray
    decades: FloatArray

    @property
    def mean_abs_rel_error(self) -> float:
        """Mean of |predicted / measured - 1|."""
        return float(np.mean(np.abs(np.expm1(-self.errors))))

    @property
    def mean_rel_error(self) -> float:
        """Mean of measured / predicted - 1: the sign tells on which side the forecast erred."""
        return float(np.mean(np.expm1(self.errors)))

    @property
    def rms_score(self) -> float:
        """Root mean square of error over announced standard deviation: one where the announcement was right."""
        return float(np.sqrt(np.mean((self.errors / self.announced) ** 2)))


@dataclass(frozen=True)
class Backtest:
    """The rungs, and what their errors say about the interval of the next forecast.

    Attributes:
        rungs: the highest cut first.
        known: what they said, where the rungs themselves are not at hand.
    """

    rungs: tuple[Rung, ...]
    known: Widening | None = None

    @property
    def tested(self) -> bool:
        """Whether any forecast could be compared with what was measured."""
        return bool(self.rungs) or self.known is not None

    @property
    def widening(self) -> Widening:
        """The factor that would have made announcements as large as errors, tried up to the farthest row."""
        if not self.rungs:
            return self.known or Widening()
        scores = np.array([rung.rms_score**2 for rung in self.rungs])
        factor = float(np.sqrt((PRIOR_RUNGS + scores.sum()) / (PRIOR_RUNGS + len(scores))))
        return Widening(max(NARROWEST, factor), max(float(rung.decades.max()) for rung in self.rungs))


@dataclass(frozen=True)
class Best:
    """The N and D of least loss for a budget (6 N D = flops).

    Attributes:
        flops: the budget.
        params: N, with its interval.
        tokens: D, with its interval.
        params_exponent: power of C with which N grows there, with its interval; D grows with the rest.
        by_form: N by each form alone.
    """

    flops: float
    params: float
    tokens: float
    params_interval: Interval
    tokens_interval: Interval
    params_exponent: float
    params_exponent_interval: Interval
    by_form: dict[str, float]


@dataclass(frozen=True)
class Forecaster:
    """An average with its backtest, ready to be asked.

    Attributes:
        average: over the candidates.
        backtest: its errors on rungs of the same rows.
        why: these candidates and weights, in one sentence.
        line: that all rows lie on: it forecasts along it alone, and has no best N.
    """

    average: Average
    backtest: Backtest
    why: str
    line: Line | None = None

    def predict(self, at: Points | Observations, level: float = 0.95) -> Prediction:
        """Predict the loss of a new run at m points, with the interval of what will be measured there.

        Raises:
            ValueError: level is no probability, or a point lies off the line of the rows.
        """
        return self._prediction(at, level, new_run=True)

    def curve(self, at: Points | Observations, level: float = 0.95) -> Prediction:
        """Predict the mean loss of many runs at m points: without the noise of a single one.

        Raises:
            ValueError: level is no probability, or a point lies off the line of the rows.
        """
        return self._prediction(at, level, new_run=False)

    def _prediction(self, at: Points | Observations, level: float, new_run: bool) -> Prediction:
        check_level(level)
        at = at if self.line is None else self.line.on(at)
        average, widening = self.average, self.backtest.widening
        moments = average.log_loss(at, new_run)
        half = average.half_width(moments, level) * widening.stretch(decades_beyond(average.reach.flops, at))
        method = (
            "rows + forms" + (" + measurement" if new_run else "") + (" + backtest" if self.backtest.tested else "")
        )
        with np.errstate(over="ignore"):
            ends = np.exp(moments.mean - half), np.exp(moments.mean + half)
        return Prediction(np.exp(moments.mean), *ends, level, method)

    def best(self, flops: float, level: float = 0.95) -> Best | None:
        """Give the N and D of least loss for a budget; None where the loss has no minimum along it, or all rows lie
        on one line.

        Raises:
            ValueError: level is no probability.
        """
        check_level(level)
        if self.line is not None:
            return None
        average = self.average
        log_n, exponent = average.best_params(flops), average.exponent(flops)
        if log_n is None or exponent is None:
            return None
        params = _interval(log_n, average, level)
        ends = np.exp(np.clip([params.low, params.high], -LARGEST_LOG, LARGEST_LOG)).tolist()
        best = float(np.exp(log_n.mean[0]))
        power = _interval(exponent, average, level)
        return Best(
            flops=flops,
            params=best,
            tokens=flops / 6 / best,
            params_interval=replace(params, low=ends[0], high=ends[1]),
            tokens_interval=replace(params, low=flops / 6 / ends[1], high=flops / 6 / ends[0]),
            params_exponent=float(exponent.mean[0]),
            params_exponent_interval=power,
            by_form=average.by_form(flops),
        )


def _interval(moments: Moments, average: Average, level: float) -> Interval:
    half = float(average.half_width(moments, level)[0])
    return Interval(float(moments.mean[0]) - half, float(moments.mean[0]) + half, level, "rows + forms")


def forecaster(observations: Observations, *, delta: float = DELTA, known: Sequence[Fit] = ()) -> Forecaster:
    """Select from the rows and test the selection on their rungs; `known` as in `select`.

    Raises:
        ValueError: not even one form can be fitted.
    """
    selection = select(observations, delta=delta, known=known)
    return Forecaster(selection.average, backtest(selection, observations), selection.why, selection.line)


def backtest(selection: Selection, observations: Observations) -> Backtest:
    """Compare what the rows below each cut announced of the later rows with what those were."""
    if selection.line is not None:
        observations = under_six(observations)
    rungs = []
    for cut, average in selection.below:
        later = observations.take(~cut.kept & ~selection.odd)
        if not len(later):
            continue
        moments, decades = average.log_loss(later, new_run=True), decades_beyond(average.reach.flops, later)
        errors = np.log(later.loss) - moments.mean
        num_fitted = int(cut.kept.sum())
        rungs.append(Rung(cut.name, cut.flops, num_fitted, errors, np.sqrt(moments.variance), decades))
    return Backtest(tuple(rungs))
