"""Whether a plan can answer its question, from what it is expected to say."""

import math
from collections.abc import Iterator

from scaling.checks.evidence import PlannedStudy
from scaling.findings import Finding
from scaling.laws.quantities import LIMITS
from scaling.laws.shape_power import ShapePower
from scaling.numbers import scientific
from scaling.shapes import ASPECT


def unanswerable(study: PlannedStudy) -> Iterator[Finding]:
    """An interval that leaves the question open is known before anything is spent."""
    if study.question is not None and study.question.quantity == ASPECT:
        yield from _unanswerable_shapes(study.question.shapes)
        return
    if study.question is None or study.question.power is None or study.question.quantity is None:
        return
    power, quantity = study.question.power, study.question.quantity
    if power.answers(quantity) == "yes":
        return
    sd, (good, bad) = power[quantity].sd, LIMITS[quantity]
    asked = f"{quantity} at {scientific(power.target_flops)} FLOPs"
    if math.isfinite(sd):
        numbers = f"The plan would know {asked} with a standard deviation of {sd:.2g}"
    else:
        numbers = f"The plan cannot tell {asked}, since some parameters of the law move its points alike"
    yield Finding(
        "unanswerable",
        "refuse" if power.answers(quantity) == "no" else "warn",
        f"{numbers} (warn above {good:g}, refuse above {bad:g}), by {power.source}.",
        study.question.remedy,
        "Fisher information, checked by simulation: docs/decide.md",
    )


def _unanswerable_shapes(shapes: ShapePower | None) -> Iterator[Finding]:
    """Only of a plan that can tell nothing: how much a shape costs is a belief, and that it costs little an answer."""
    if shapes is not None and shapes.reason is None:
        return
    why = "the grid has no three shapes of one N" if shapes is None else shapes.reason
    yield Finding(
        "unanswerable",
        "refuse",
        f"The plan cannot tell which d_model / num_layers is best: {why}.",
        "Add sizes to grid.sizes that have about one N and other ratios, or a second seed of each with "
        "grid.replicates; or ask for nothing: power.quantity=null.",
        "docs/decide.md",
    )
