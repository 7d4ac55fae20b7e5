"""One question asked in several ways: N* at a target, by estimator and by convention of counting."""

from collections.abc import Mapping
from dataclasses import dataclass

from scaling.laws.envelope import fit_envelope
from scaling.laws.fit import Fit, fit_law
from scaling.laws.forms import CHINCHILLA, Law
from scaling.laws.isoflop import fit_isoflops
from scaling.laws.objective import DELTA
from scaling.laws.observations import Observations
from scaling.laws.optimum import optimum


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
    """

    source: str
    status: str
    message: str
    params: float | None
    params_exponent: float | None
    ratio: float | None


def _answers(found: list[tuple[str, str, str, float | None, float | None]]) -> tuple[Answer, ...]:
    first = found[0][3]
    return tuple(
        Answer(source, status, message, params, exponent, None if params is None or first is None else params / first)
        for source, status, message, params, exponent in found
    )


def compare_estimators(
    fit: Fit, observations: Observations, flops: float, curves: Observations | None = None
) -> tuple[Answer, ...]:
    """Give N* at `flops` by approach 3 (the fit), approach 2, and approach 1 where training curves are given."""
    found = [_from_fit(f"approach 3 ({fit.law.name})", fit, flops)]
    two = fit_isoflops(observations)
    usable = two.status == "converged"
    found.append(
        ("approach 2", two.status, two.message, two.optimal_params(flops) if usable else None, two.params_exponent)
    )
    if curves is not None:
        one = fit_envelope(curves)
        usable = one.status == "converged"
        found.append(
            ("approach 1", one.status, one.message, one.optimal_params(flops) if usable else None, one.params_exponent)
        )
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


def _from_fit(source: str, fit: Fit, flops: float) -> tuple[str, str, str, float | None, float | None]:
    if not fit.usable:
        return source, fit.status, fit.message, None, None
    at = optimum(fit, flops)
    return source, fit.status, fit.message, at.params, at.params_exponent
