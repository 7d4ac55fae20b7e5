"""Forecasts that could have been made: select at each rung of compute, predict every later row, keep the errors."""

from dataclasses import dataclass

import numpy as np

from scaling.laws.forecast import Widening, decades_beyond, forecast, moments
from scaling.laws.intervals import Prediction
from scaling.laws.objective import DELTA
from scaling.laws.observations import FloatArray, Observations, Points
from scaling.laws.selection import Selection, select
from scaling.laws.splits import Split, below_fraction, top_share

SHARE_KEPT = 0.4  # of the rows that a rung must stand on
MIN_KEPT = 9  # rows
RUNGS_PER_DECADE = 2
MAX_RUNGS = 4


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
    def rms_score(self) -> float:
        """Root mean square of error over announced standard deviation: one where the announcement was right."""
        return float(np.sqrt(np.mean((self.errors / self.announced) ** 2)))


@dataclass(frozen=True)
class Backtest:
    """The rungs, and what their errors say about the interval of the next forecast."""

    rungs: tuple[Rung, ...]

    @property
    def widening(self) -> Widening:
        """The factor that would have made announcements as large as errors, tried up to the farthest row."""
        if not self.rungs:
            return Widening()
        scores = np.concatenate([rung.errors / rung.announced for rung in self.rungs])
        farthest = max(float(rung.decades.max()) for rung in self.rungs)
        return Widening(max(1.0, float(np.sqrt(np.mean(scores**2)))), farthest)


@dataclass(frozen=True)
class Forecaster:
    """A selection with its backtest, ready to be asked.

    Attributes:
        selection: the average over candidates.
        backtest: its errors on rungs of the same rows.
        observations: the rows it was fitted to.
    """

    selection: Selection
    backtest: Backtest
    observations: Observations

    def predict(self, at: Points | Observations, level: float = 0.95) -> Prediction:
        """Predict the loss at m points, with the interval of a measurement there.

        Raises:
            ValueError: level is no probability.
        """
        return forecast(self.selection, self.observations, at, level=level, widening=self.backtest.widening)


def forecaster(observations: Observations, *, delta: float = DELTA) -> Forecaster:
    """Select from the rows and test the selection on their rungs.

    Raises:
        ValueError: not even one form can be fitted.
    """
    return Forecaster(select(observations, delta=delta), backtest(observations, delta=delta), observations)


def backtest(observations: Observations, *, delta: float = DELTA) -> Backtest:
    """Repeat selection and forecast on each rung, and compare errors with announcements."""
    rungs = []
    for split in rung_splits(observations):
        kept, held = observations.take(split.kept), observations.take(split.held)
        try:
            selection = select(kept, delta=delta)
        except ValueError:  # too few rows below the cut: nothing to learn from this rung
            continue
        centre, announced, _ = moments(selection, kept, held)
        rungs.append(
            Rung(
                split.name,
                float(kept.flops.max()),
                len(kept),
                np.log(held.loss) - centre,
                announced,
                decades_beyond(kept, held),
            )
        )
    return Backtest(tuple(rungs))


def rung_splits(observations: Observations) -> tuple[Split, ...]:
    """Give the cuts in compute, the highest first: the top fifth, then half decades below the largest compute.

    A rung stands on at least `SHARE_KEPT` of the rows; cuts that keep the same rows are one.
    """
    need = max(MIN_KEPT, int(np.ceil(SHARE_KEPT * len(observations))))
    cuts = [top_share(observations)]
    decades = float(np.log10(observations.flops.max() / observations.flops.min()))
    cuts += [
        below_fraction(observations, 10 ** (step / RUNGS_PER_DECADE))
        for step in range(1, int(decades * RUNGS_PER_DECADE) + 1)
    ]
    by_size = {len(cut.kept): cut for cut in cuts if len(cut.kept) >= need and len(cut.held)}
    return tuple(by_size[size] for size in sorted(by_size, reverse=True))[:MAX_RUNGS]
