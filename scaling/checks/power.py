"""Whether a plan can answer its question, from what it is expected to say."""

import math
from collections.abc import Iterator

from scaling.checks.evidence import PlannedStudy, Question
from scaling.findings import Finding
from scaling.laws.quantities import LIMITS
from scaling.laws.shape_power import GOOD_SD
from scaling.shapes import ASPECT


def unanswerable(study: PlannedStudy) -> Iterator[Finding]:
    """An interval that leaves the question open is known before anything is spent."""
    if study.question is not None and study.question.quantity == ASPECT:
        yield from _unanswerable_shapes(study.question)
        return
    if study.question is None or study.question.power is None or study.question.quantity is None:
        return
    power, quantity = study.question.power, study.question.quantity
    if power.answers(quantity) == "yes":
        return
    sd, (good, bad) = power[quantity].sd, LIMITS[quantity]
    asked = f"{quantity} at {power.target_flops:.3g} FLOPs"
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


def _unanswerable_shapes(question: Question) -> Iterator[Finding]:
    """A vague answer is only warned of: how much the shape costs is a belief, and that it costs little an answer."""
    shapes = question.shapes
    if shapes is not None and shapes.sd <= GOOD_SD:
        return
    if shapes is None:
        numbers = "The grid has no three shapes of one N, so it cannot tell which d_model / num_layers is best."
    elif shapes.reason is not None:
        numbers = f"The plan cannot tell which d_model / num_layers is best: {shapes.reason}."
    else:
        numbers = (
            f"The plan would know {ASPECT}, the log of the best d_model / num_layers, with a standard deviation of "
            f"{shapes.sd:.2g} (warn above {GOOD_SD:g}), by {shapes.source} and if a ratio 21 times the best costs 3%."
        )
    yield Finding(
        "unanswerable",
        "warn" if shapes is not None and shapes.reason is None else "refuse",
        numbers,
        question.remedy,
        "Kaplan et al. 2020, arXiv 2001.08361, section 3.1; docs/decide.md",
    )
