"""What is answered to who must decide: the values of `recommend` and `compare`. Nothing here computes or reads."""

from dataclasses import dataclass

from scaling.findings import Finding
from scaling.laws.agreement import Answer
from scaling.laws.decide import Goal


@dataclass(frozen=True)
class Ranged:
    """A number with the ends of its interval; None where there is none."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Recommendation:
    """What the law says of a goal. N counts all parameters, or what the table counts; C is 6 N D.

    `expected_loss` is the selected forecast at (params, tokens) with the interval of a measurement there. `band` is
    the least and the largest N that lose at most `share` of the compute, each with its D. `least_params` and
    `least_tokens` are what a loss takes if the other were unlimited. Where the goal is unreachable, or it cannot be
    told whether it is (None: the loss lies within the interval of the floor), all of these are None and `floor` says
    why. `line` is the one that all rows lie on, in words: N and D are then those on it, nothing is said of the best
    N, and `band`, `law_loss` and what the other could be at least are None.
    """

    source: str
    line: str | None
    num_points: int
    goal: Goal
    level: float
    reachable: bool | None
    floor: Ranged
    params: Ranged | None
    tokens: Ranged | None
    flops: Ranged | None
    inference_flops: float | None
    law_loss: float | None
    expected_loss: Ranged | None
    method: str
    share: float
    band: tuple[tuple[float, float], tuple[float, float]] | None
    least_params: float | None
    least_tokens: float | None
    decades_beyond: float
    estimators: tuple[Answer, ...]
    conventions: tuple[Answer, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class MultiplierRow:
    """The multiplier at one budget with the ends of its interval; infinite where A never gets there."""

    flops: float
    multiplier: float
    low: float
    high: float


@dataclass(frozen=True)
class Crossing:
    """Where the two are worth the same: the budget, and between which budgets that cannot be told from 1."""

    flops: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Comparison:
    """What B is worth in A's compute. `verdict`, `trend` and `clear`, by budgets, are sentences. `line` is the one
    along which both are read, in words; None where each is at its own optimum."""

    line: str | None
    a: str
    b: str
    unit: str
    level: float
    num_pairs: int
    correlation: float | None
    reference: MultiplierRow
    rows: tuple[MultiplierRow, ...]
    told_apart: bool
    verdict: str
    trend: str
    clear: str
    crossing: Crossing | None
