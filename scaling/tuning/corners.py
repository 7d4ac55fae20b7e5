"""What the learning rates of a grid's corners say of the rule that gave them."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from scaling.corners import CORNERS_SCHEMA, Corner, Corners
from scaling.tuning.space import LEARNING_RATES

# An exponent that changes the rate by less than this over the grid is none.
SMALLEST_DRIFT = 1.1


def best_multiple(corner: Corner) -> float:
    """The vertex of the parabola through the losses in log(multiple), within the range that was measured; where the
    losses bend the other way, the lowest of them. A run without a loss counts as worse than all."""
    measured = [
        (math.log(m), loss) for m, loss in zip(corner.multiples, corner.losses, strict=True) if loss is not None
    ]
    if not measured:
        return 1.0
    log_multiples, losses = map(np.array, zip(*measured, strict=True))
    lowest = float(log_multiples[losses.argmin()])
    if len(measured) < 3:
        return math.exp(lowest)
    curvature, slope, _ = np.polyfit(log_multiples, losses, 2)
    vertex = lowest if curvature <= 0 else -slope / (2 * curvature)
    return math.exp(min(max(vertex, float(log_multiples.min())), float(log_multiples.max())))


def corrected_rule(
    corners: Sequence[Corner], recipe: Mapping[str, float], *, reference_params: float, lr_exponent: float
) -> str:
    """Overrides under which the rule's rates pass through the corners' best ones, by least squares in log(rate) over
    log(N). A rate that should depend on D is told and not given: budgets share a trunk."""
    log_params = np.array([math.log(corner.params / reference_params) for corner in corners])
    best = np.array([math.log(best_multiple(corner)) for corner in corners])
    slope, level = np.polyfit(log_params, best, 1) if len(set(log_params)) > 1 else (0.0, float(best.mean()))
    if abs(slope) * float(np.ptp(log_params)) < math.log(SMALLEST_DRIFT):
        slope, level = 0.0, float(best.mean())
    overrides = [f"recipe.{rate}={recipe[rate] * math.exp(level):.3g}" for rate in LEARNING_RATES]
    if slope != 0.0:
        overrides.append(f"recipe.lr_exponent={lr_exponent + slope:.3g}")
    return " ".join(overrides)


def conclude(
    corners: Sequence[Corner],
    recipe: Mapping[str, float],
    *,
    reference_params: float,
    lr_exponent: float,
    noise: tuple[float, int],
) -> Corners:
    """`noise` is the relative standard deviation of a seed and its degrees of freedom."""
    return Corners(
        schema=CORNERS_SCHEMA,
        corners=tuple(corners),
        noise_relative_sd=noise[0],
        noise_freedom=noise[1],
        best_multiples=tuple(best_multiple(corner) for corner in corners),
        remedy=corrected_rule(corners, recipe, reference_params=reference_params, lr_exponent=lr_exponent),
    )
