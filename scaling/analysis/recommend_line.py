"""A goal answered along the line that all rows lie on, such as 20 tokens per parameter: the N there, not the best N."""

from collections.abc import Callable, Sequence

import numpy as np

from scaling.decisions import Ranged, Recommendation
from scaling.findings import Finding
from scaling.laws.backtest import Forecaster
from scaling.laws.decide import TRAINING, Goal
from scaling.laws.fit import Fit
from scaling.laws.intervals import parameter_intervals
from scaling.laws.line import Line, under_six
from scaling.laws.observations import FloatArray, Observations

SERVING = 2.0  # FLOPs of a parameter and a token that is served
FARTHEST = 1e6  # times the compute of the rows, within which a goal is looked for
STEPS = 4001


def recommend_along(
    line: Line,
    law: Fit,
    rows: Observations,
    goal: Goal,
    asked: Forecaster,
    *,
    source: str,
    level: float,
    far: Callable[[float], tuple[Finding, ...]],
) -> Recommendation:
    """Give N, D, C and loss along the line for a goal; not reachable where the line never gets there.

    `law` is that of the line, for its floor; `far` gives the findings about an answer so many decades beyond the rows.
    """
    spent = TRAINING * rows.params * rows.tokens
    largest = float(spent.max())
    flops = np.geomspace(float(spent.min()) / FARTHEST, largest * FARTHEST, STEPS)
    along = line.along(flops)
    curve, inference = asked.curve(along, level), SERVING * along.params * goal.inference_tokens
    ends: Sequence[float | None]
    if goal.loss is not None:
        middle, *ends = (_first_below(flops, losses, goal.loss) for losses in (curve.loss, curve.low, curve.high))
    else:
        columns = ((goal.flops, flops + inference), (goal.params, along.params), (goal.tokens, along.tokens))
        wanted, column = next((value, column) for value, column in columns if value is not None)
        # Along one N or one D that very column does not vary: the goal says nothing about how far to go.
        middle = None if np.ptp(np.log(column)) < 1e-9 else _where(flops, column, wanted)
        ends = (middle, middle)
    floor = parameter_intervals(law, under_six(rows), level=level)["E"] if law.usable else None
    reachable = middle is not None
    params, tokens = line.at(middle) if middle is not None else (None, None)
    expected = None
    if middle is not None:
        found = asked.predict(line.along(np.array([middle])), level)
        expected = Ranged(float(found.loss[0]), float(found.low[0]), float(found.high[0]))
    beyond = 0.0 if middle is None else float(np.log10(middle / largest))
    points = [None if end is None else line.at(end) for end in ends]

    def ranged(which: int, value: float | None) -> Ranged | None:
        if value is None:
            return None
        low, high = (None if point is None else point[which] for point in points)
        return Ranged(value, low, high)

    return Recommendation(
        source=source,
        line=line.words,
        num_points=len(rows),
        goal=goal,
        level=level,
        reachable=reachable,
        floor=Ranged(law.parameters.get("E", 0.0), *((None, None) if floor is None else (floor.low, floor.high))),
        params=ranged(0, params),
        tokens=ranged(1, tokens),
        flops=None if middle is None else Ranged(middle, ends[0], ends[1]),
        inference_flops=SERVING * params * goal.inference_tokens if params and goal.inference_tokens else None,
        law_loss=None,
        expected_loss=expected,
        method=curve.method,
        share=0.0,
        band=None,
        least_params=None,
        least_tokens=None,
        decades_beyond=beyond,
        estimators=(),
        conventions=(),
        findings=far(beyond) if reachable else (),
    )


def _first_below(flops: FloatArray, losses: FloatArray, wanted: float) -> float | None:
    """The least compute at which the loss is what is wanted."""
    reached = np.flatnonzero(losses <= wanted)
    if not len(reached) or reached[0] == 0:
        return None
    i = int(reached[0]) - 1
    before, after = np.log(losses[i]), np.log(losses[i + 1])
    share = float((before - np.log(wanted)) / (before - after))
    return float(flops[i] * (flops[i + 1] / flops[i]) ** share)


def _where(flops: FloatArray, column: FloatArray, wanted: float) -> float | None:
    """The compute at which a rising column is what is wanted."""
    if not column[0] <= wanted <= column[-1]:
        return None
    return float(np.exp(np.interp(np.log(wanted), np.log(column), np.log(flops))))
