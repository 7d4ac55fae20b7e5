"""What losses of shapes of one N will tell, before any is measured."""

import math
from dataclasses import dataclass

from scaling.laws.design import Noise
from scaling.laws.distributions import t_two_sided
from scaling.laws.shapes import Shaped, TooFewShapes, valley_sd

# What the shape is believed to cost: 6 layers of 4288 lose up to 3% to 48 of 1600, which is 21 times the ratio (Kaplan
# et al. 2020, arXiv 2001.08361, section 3.1). The log loss then rises by so much times the squared log of the ratio.
BELIEVED_BEND = 0.03 / math.log((4288 / 6) / (1600 / 48)) ** 2


@dataclass(frozen=True)
class ShapePower:
    """What is expected of the shapes of a plan.

    Attributes:
        what: the shapes in words.
        num_runs, num_budgets: of them.
        level: probability of the intervals.
        noise: of a loss.
        source: where it comes from, in words.
        sd: of the log of the best ratio, if that lies about the middle and the shape costs what is believed.
        factor: by which the ends of its interval then lie off it.
        seen: share of the loss that an outermost shape must lose to the middle to be told from it.
        reason: why nothing will be said; sd, factor and seen are then infinite. None where something will.
    """

    what: str
    num_runs: int
    num_budgets: int
    level: float
    noise: Noise
    source: str
    sd: float
    factor: float
    seen: float
    reason: str | None


def expected_shapes(
    design: Shaped, num_budgets: int, what: str, noise: Noise, source: str, *, level: float = 0.95
) -> ShapePower:
    """Return what the losses of a design will tell."""
    runs = int(design.run.max()) + 1
    try:
        sd, end, freedom = valley_sd(design, noise.relative_sd, noise.shared, BELIEVED_BEND)
    except TooFewShapes as error:
        return ShapePower(what, runs, num_budgets, level, noise, source, math.inf, math.inf, math.inf, str(error))
    t = t_two_sided(level, freedom)
    factor, seen = math.exp(min(t * sd, 700.0)), math.expm1(t * end)
    return ShapePower(what, runs, num_budgets, level, noise, source, sd, factor, seen, None)


def shape_words(power: ShapePower) -> str:
    """Say what is expected in a few lines."""
    begin = f"Shapes: {power.what}, on {power.num_runs} trajectories. "
    if power.reason is not None:
        return f"{begin}Nothing will be said of them: {power.reason}."
    compute = (
        "What a wrong shape costs in compute will be read off the slope of the loss along the budgets."
        if power.num_budgets > 1
        else "What a wrong shape costs in compute will be taken from that law: a second budget would measure it."
    )
    return (
        f"{begin}By {power.source}, with a noise of {power.noise.relative_sd:.2%} in a loss (correlation "
        f"{power.noise.shared:.2f} within a trajectory), an outermost shape is told from the middle where it costs "
        f"{power.seen:.1%} of the loss or more; if a ratio 21 times the best costs 3% (Kaplan et al. 2020), the best "
        f"will have a {power.level:.0%} interval of a factor of {power.factor:.3g} either way (sd of its log "
        f"{power.sd:.2f}). {compute}"
    )
