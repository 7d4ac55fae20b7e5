"""One question asked in several ways: N* at a target, by estimator and by convention of counting."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from scaling.laws.envelope import EnvelopeFit, fit_envelope
from scaling.laws.fit import Fit, fit_law
from scaling.laws.forms import CHINCHILLA, Law
from scaling.laws.isoflop import IsoflopFit, fit_isoflops
from scaling.laws.objective import DELTA
from scaling.laws.observations import Observations
from scaling.laws.optimum import optimum

FINISHED = "finished runs of equal N"  # the curves that every set of rows has


@dataclass(frozen=True)
class Answer:
    """What one way of asking says.

    Attributes:
        source: the estimator or the convention.
        status: of its fit.
        message: why.
        params: N* at the target, None unless the fit may be used.
        params_exponent: of N* in C, None likewise.
        ratio: N* over that of the first answer; None where either is missing.
        parameters: of the law behind it, empty unless it may be used or where there is none.
        coarseness: factor that N* is uncertain by for want of sizes, where the way of asking picks among sizes.
    """

    source: str
    status: str
    message: str
    params: float | None
    params_exponent: float | None
    ratio: float | None
    parameters: Mapping[str, float] = field(default_factory=dict)
    coarseness: float = 1.0


def _answers(found: list[Answer]) -> tuple[Answer, ...]:
    """The same with their ratios to the first."""
    first = found[0].params
    return tuple(
        one if one.params is None or first is None else replace(one, ratio=one.params / first) for one in found
    )


def compare_estimators(
    fit: Fit, observations: Observations, flops: float, curves: Mapping[str, Observations] | None = None
) -> tuple[Answer, ...]:
    """Give N* at `flops` by approach 3 (the fit), approach 2, and approach 1 for each named set of curves."""
    found = [_from_fit(f"approach 3 ({fit.law.name})", fit, flops)]
    cross_checks: list[tuple[str, IsoflopFit | EnvelopeFit]] = [("approach 2", fit_isoflops(observations))]
    cross_checks += [(f"approach 1 ({name})", fit_envelope(rows)) for name, rows in (curves or {}).items()]
    for source, by in cross_checks:
        params = by.optimal_params(flops) if by.status == "converged" else None
        coarseness = by.step if isinstance(by, EnvelopeFit) else 1.0
        found.append(Answer(source, by.status, by.message, params, by.params_exponent, None, coarseness=coarseness))
    return _answers(found)


def compare_conventions(
    by_convention: Mapping[str, Observations], flops: float, *, law: Law = CHINCHILLA, delta: float = DELTA
) -> tuple[Answer, ...]:
    """Fit under each way of counting N and C, and give N* at `flops`, each in its own count.

    Raises:
        ValueError: no convention is given.
    """
    if not by_convention:
        raise ValueError("no convention given: pass the observations of at least one")
    return _answers([_from_fit(name, fit_law(law, rows, delta=delta), flops) for name, rows in by_convention.items()])


def _from_fit(source: str, fit: Fit, flops: float) -> Answer:
    if not fit.usable:
        return Answer(source, fit.status, fit.message, None, None, None)
    at = optimum(fit, flops)
    return Answer(source, fit.status, fit.message, at.params, at.params_exponent, None, fit.parameters)
