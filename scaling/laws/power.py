"""What points will be able to say of a law's numbers, from the law and the noise believed in before any is measured."""

import math
from dataclasses import dataclass
from typing import Literal

from scaling.laws.design import Belief, Knowledge, Linear, Noise, knowledge, linear
from scaling.laws.distributions import t_two_sided
from scaling.laws.observations import IntArray, Points
from scaling.laws.quantities import LIMITS, NAMES, quantity
from scaling.numbers import amount, scientific

QUESTION = "ln N_opt"


@dataclass(frozen=True)
class Expected:
    """A quantity as a study will see it; sd is infinite, and low and high with it, where the points cannot tell it."""

    name: str
    value: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True)
class Power:
    """The expected answers of a set of points.

    Attributes:
        target_flops: C of the question, FLOPs.
        extrapolation: log10 of the target over the largest point.
        level: probability of the intervals.
        num_points, num_trajectories: that are fitted.
        noise: of a loss.
        source: where law and noise come from, in words.
        quantities: of `quantities.NAMES`, at the target.
    """

    target_flops: float
    extrapolation: float
    level: float
    num_points: int
    num_trajectories: int
    noise: Noise
    source: str
    quantities: tuple[Expected, ...]

    def answers(self, name: str = QUESTION) -> Literal["yes", "vaguely", "no"]:
        """Say whether the points answer for a quantity, by the limits of `quantities.LIMITS`."""
        good, bad = LIMITS[name]
        sd = self[name].sd
        return "yes" if sd <= good else "vaguely" if sd <= bad else "no"

    def __getitem__(self, name: str) -> Expected:
        """Give a quantity by its name."""
        return next(expected for expected in self.quantities if expected.name == name)


def expected_power(
    at: Points, trajectories: IntArray, belief: Belief, target_flops: float, *, level: float = 0.95
) -> Power:
    """Give the power of points, n of them, on numbered trajectories, [n], for a question at target_flops."""
    local = linear(belief.law, belief.theta, at)
    known = knowledge(local.slopes, trajectories, belief.noise)
    freedom = max(len(at) - len(belief.theta), 1)
    t = t_two_sided(level, freedom)
    return Power(
        target_flops=target_flops,
        extrapolation=math.log10(target_flops / float(at.flops.max())),
        level=level,
        num_points=len(at),
        num_trajectories=len(known.sums),
        noise=belief.noise,
        source=belief.source,
        quantities=tuple(_expected(name, belief, local, known, target_flops, t) for name in NAMES),
    )


def _expected(name: str, belief: Belief, local: Linear, known: Knowledge, target: float, t: float) -> Expected:
    asked = quantity(name, belief.law, target)
    value = float(asked.function(belief.theta[None])[0])
    sd = known.sd(local.slope(asked.function))
    return Expected(name, value, sd, value - t * sd, value + t * sd)


def power_words(power: Power) -> str:
    """Say what is expected in a few lines."""
    params, loss = power[QUESTION], power["ln L_opt"]
    begin = (
        f"Power: {power.num_points} fitted points on {power.num_trajectories} trajectories, asked for the best N at "
        f"{scientific(power.target_flops)} FLOPs ({_far(power.extrapolation)}). By {power.source}, with a noise of "
        f"{power.noise.relative_sd:.2%} in a loss (correlation {power.noise.shared:.2f} within a trajectory):"
    )
    if not math.isfinite(params.sd):
        return f"{begin} these points cannot tell the parameters of the law apart, so N* would have no interval."
    exponents = ", ".join(f"{name} {power[name].value:.3f} ± {power[name].sd:.3f}" for name in ("alpha", "beta"))
    return (
        f"{begin} N* {amount(math.exp(params.value))} with a {power.level:.0%} interval of {_factor(params)} either "
        "way "
        f"(sd of ln N* {params.sd:.2f}), the loss there {math.exp(loss.value):.3f} ± {loss.sd:.1%}, {exponents} "
        "(± one sd)."
    )


def _factor(expected: Expected) -> str:
    half = expected.high - expected.value
    return f"a factor of {math.exp(half):.3g}" if half < 50 else "no bound"


def _far(extrapolation: float) -> str:
    if extrapolation <= 0:
        return "within the fitted points"
    return f"{10**extrapolation:.3g} times the largest fitted point"
