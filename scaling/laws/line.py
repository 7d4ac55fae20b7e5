"""Rows that lie on one line through N and D: a ladder at one D/N, one N, one D, or D as a power of N.

Along the line the loss is a law of one variable, as sure as any other. What a step off the line does, and so the best N
of a budget, no row of it says.
"""

from dataclasses import dataclass, replace

import numpy as np

from scaling.laws.forms import SYMBOL, SumOfPowers, Variable, power_law
from scaling.laws.observations import BoolArray, FloatArray, Observations, Points, points

SAME = 0.02  # relative: sizes and budgets are rounded
NEAR = 0.05  # of log D: a point so far off the line is asked as one on it


@dataclass(frozen=True)
class Line:
    """log D over log N is a straight line.

    Attributes:
        slope: of log D over log N; infinite where every row has one N.
        params, tokens: N and D of a point on it.
    """

    slope: float
    params: float
    tokens: float

    @property
    def variable(self) -> Variable:
        """What varies along it, FLOPs where N and D do."""
        if np.isinf(self.slope):
            return "tokens"
        return "params" if self.slope == 0 else "flops"

    @property
    def words(self) -> str:
        """Which line it is, for a title."""
        if np.isinf(self.slope):
            return f"N = {self.params:.4g}"
        if self.slope == 0:
            return f"D = {self.tokens:.4g}"
        if self.slope == 1:
            return f"D/N = {self.tokens / self.params:.4g}"
        return f"D ~ N^{self.slope:.2f}"

    @property
    def title(self) -> str:
        """The law along it, such as L(C) at D/N = 20."""
        return f"L({SYMBOL[self.variable]}) at {self.words}"

    @property
    def forms(self) -> tuple[SumOfPowers, ...]:
        """The law that is trusted first, then its rival."""
        return power_law(self.variable), power_law(self.variable, floor=False)

    def along(self, flops: FloatArray) -> Points:
        """Give the points of budgets (6 N D = flops), [m]."""
        beyond = np.log(flops / 6 / self.params / self.tokens)
        share = 0.0 if np.isinf(self.slope) else 1 / (1 + self.slope)
        params = self.params * np.exp(share * beyond)
        return Points(params, flops / 6 / params, np.asarray(flops))

    def at(self, flops: float) -> tuple[float, float]:
        """Give N and D of a budget (6 N D = flops)."""
        there = self.along(np.array([flops]))
        return float(there.params[0]), float(there.tokens[0])

    def same(self, other: "Line") -> bool:
        """Say whether another line is this one, over a decade of compute about the other's middle."""
        middle = 6 * other.params * other.tokens
        return bool(self.holds(other.along(middle * np.array([0.3, 1.0, 3.0]))).all())

    def holds(self, at: Points | Observations) -> BoolArray:
        """Say which points lie on it, [m]."""
        log_n, log_d = np.log(at.params / self.params), np.log(at.tokens / self.tokens)
        off = log_n if np.isinf(self.slope) else log_d - self.slope * log_n
        return np.asarray(np.abs(off) < NEAR)

    def on(self, at: Points | Observations) -> Points:
        """Give points under C = 6 N D.

        Raises:
            ValueError: one lies off the line.
        """
        off = np.flatnonzero(~self.holds(at))
        if len(off):
            n, d = at.params[off[0]], at.tokens[off[0]]
            raise ValueError(
                f"N = {n:.4g}, D = {d:.4g} lies off the line of the rows, {self.words}, and no row says what a step "
                "off it does to the loss: ask on the line, or add rows off it, such as a quarter of and four times the "
                "tokens"
            )
        return points(at.params, at.tokens)


def line_of(rows: Observations) -> Line | None:
    """Give the line that all rows lie on, None where they spread, or are all one point."""
    log_n, log_d = np.log(rows.params), np.log(rows.tokens)
    middle = float(np.exp(log_n.mean())), float(np.exp(log_d.mean()))

    def one(column: FloatArray) -> bool:
        return bool(np.ptp(column) < np.log1p(SAME))

    if one(log_n) and one(log_d):
        return None
    for column, slope in ((log_n, np.inf), (log_d, 0.0), (log_d - log_n, 1.0)):
        if one(column):
            return Line(float(slope), *middle)
    slope = float(np.polyfit(log_n - log_n.mean(), log_d - log_d.mean(), 1)[0])
    off = log_d - log_d.mean() - slope * (log_n - log_n.mean())
    return Line(slope, *middle) if slope > 0 and np.abs(off).max() < np.log1p(SAME) else None


def under_six(rows: Observations) -> Observations:
    """Give rows with C as 6 N D, the count in which targets are asked."""
    return replace(rows, flops=6.0 * rows.params * rows.tokens)
