"""Fit one law to one set of observations, and say whether the result may be used."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from scaling.laws.forms import Law
from scaling.laws.identify import Verdict, after_fit, before_fit
from scaling.laws.objective import DELTA, Objective
from scaling.laws.observations import ByValue, FloatArray, Observations
from scaling.laws.search import search, search_near

PLAIN_SQUARES = 1e3  # a delta beyond any residual of a log loss
NEAR_POOL = 60  # points of a search that a related fit tries

Status = Literal["converged", "unidentified", "at_bound", "refused"]


@dataclass(frozen=True, eq=False)
class Fit(ByValue):
    """A law with its parameters, and whether they can be used.

    Attributes:
        law: the form.
        parameters: values in raw units by name, in the law's order; empty when refused.
        status: only "converged" numbers may be presented as a result.
        message: why the status is what it is, and what to add.
        num_points: rows fitted.
        objective: what was minimised, and the minimum.
        residuals: log of the measured loss minus log of the fitted, [n], in the order of the rows; empty when
            refused.
        convention: how N and C were counted.
        pool: starts for related fits, [G, P], in raw units; not a result.
    """

    law: Law
    parameters: dict[str, float]
    status: Status
    message: str
    num_points: int
    objective: Objective
    residuals: FloatArray
    convention: str
    pool: FloatArray = field(repr=False, compare=False)

    @property
    def theta(self) -> FloatArray:
        """The parameters in the law's order, [P].

        Raises:
            ValueError: the fit was refused and has none.
        """
        if not self.parameters:
            raise ValueError(f"{self.law.name} was refused and has no parameters: {self.message}")
        return np.array([self.parameters[name] for name in self.law.parameter_names])

    @property
    def usable(self) -> bool:
        """Whether the numbers may be presented as a result."""
        return self.status == "converged"


def fit_law(
    law: Law,
    observations: Observations,
    *,
    delta: float = DELTA,
    weighting: str = "none",
    near: Fit | None = None,
) -> Fit:
    """Minimise sum of weights * Huber_delta(log L - log law) over the law's parameters, globally.

    Args:
        law: the form to fit.
        observations: the rows, their weights included.
        delta: the residual of the log loss at which Huber's loss turns linear; infinity makes it plain least squares.
        weighting: where the weights come from, in words, for the record.
        near: a fit of this law to other weights or to most of these rows, whose outer search is then used again.

    Raises:
        ValueError: delta is not positive.
    """
    if not delta > 0:
        raise ValueError(f"delta is {delta}: it must be positive; Hoffmann et al. use 1e-3")
    delta = min(delta, PLAIN_SQUARES)
    refusal = before_fit(law, observations)
    if refusal is not None:
        return Fit(
            law=law,
            parameters={},
            status=refusal.status,
            message=refusal.message,
            num_points=len(observations),
            objective=Objective(delta, weighting, None),
            residuals=np.empty(0),
            convention=observations.convention,
            pool=np.empty((0, len(law.parameter_names))),
        )
    surface = law.surface(observations)
    if near is not None and len(near.pool):
        optimum = search_near(surface, observations.weights, delta, surface.from_raw(near.pool[:NEAR_POOL]))
    else:
        optimum = search(surface, observations.weights, delta)
    theta = surface.to_raw(optimum.coords)
    pool = surface.to_raw(optimum.pool)
    residuals = surface.residuals(optimum.coords[None])[0]
    verdict: Verdict = after_fit(law, observations, surface, optimum, delta)
    return Fit(
        law=law,
        parameters=dict(zip(law.parameter_names, theta.tolist(), strict=True)),
        status=verdict.status,
        message=verdict.message,
        num_points=len(observations),
        objective=Objective(delta, weighting, optimum.value),
        residuals=residuals,
        convention=observations.convention,
        pool=pool[np.isfinite(pool).all(axis=-1)],  # steep candidates overflow in raw units of a huge N
    )
