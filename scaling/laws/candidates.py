"""Forms under weightings, each fitted to the rows below every cut of a ladder, as one batch of lanes a form.

Two ways to fit. Where the trusted form is right (Chinchilla's, or a power law along a line), every row counts by its
noise and Huber's loss is nearly a square: no other way uses the rows better. Where it errs, rows near the target tell
most and large residuals tell least: rows are weighted by C^w, and the loss is nearly an absolute value, under this form
and others.

Legend: K candidates, J cuts, n rows, m points, P parameters of a candidate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaling.laws.fit import NEAR_POOL, Fit
from scaling.laws.forms import Law
from scaling.laws.ladder import Cut
from scaling.laws.newton import polish
from scaling.laws.noise import huber_moments
from scaling.laws.objective import huber
from scaling.laws.observations import BoolArray, FloatArray, Observations
from scaling.laws.surface import Surface

EFFICIENT = 1.345  # delta over the noise: 95% of the efficiency of least squares (Huber 1981, section 4.5)
POWERS = (0.25, 0.5, 0.75, 1.0)
STARTS, FEW_ROWS = 2, 100  # a lane has one start from the search of the form on all rows, and two where rows are few
ITERATIONS, TOLERANCE = 25, 1e-6  # what a forecast needs, not what a table of parameters shows
UNDEFINED = 1e6  # Huber loss of a row where a start is undefined


@dataclass(frozen=True)
class Way:
    """How a form is fitted: rows weighted by C^compute_power, and the residual at which Huber's loss turns linear."""

    law: Law
    compute_power: float
    delta: float
    trusts_form: bool

    @property
    def name(self) -> str:
        """Form and weighting."""
        if self.trusts_form:
            return self.law.name
        return f"{self.law.name}, rows by C^{self.compute_power:g}"


@dataclass(frozen=True)
class Candidate:
    """A form fitted one way below one cut.

    Attributes:
        way: form and weighting.
        theta: parameters in raw units, [P].
        residuals: log of the measured loss minus log of the fitted, of all rows, [n], those beyond the cut too.
        pull: what each row's log loss does to the parameters, each over its own size, [P, n]; zero beyond the cut.
    """

    way: Way
    theta: FloatArray
    residuals: FloatArray
    pull: FloatArray


def fit_lanes(fit: Fit, surface: Surface, weights: FloatArray, delta: float) -> tuple[FloatArray, FloatArray]:
    """Give coordinates, [S, P], and objective, [S], of a form's optimum under each of many weights, [S, n].

    The starts are those of the search on all rows that do best under the weights.
    """
    pool = surface.from_raw(np.concatenate([fit.theta[None], fit.pool[:NEAR_POOL]]))
    pool = np.clip(pool[np.isfinite(pool).all(axis=1)], surface.lower, surface.upper)
    with np.errstate(all="ignore"):
        terms = np.nan_to_num(huber(surface.residuals(pool), delta), nan=UNDEFINED, posinf=UNDEFINED)
    k = min(STARTS if surface.num_rows <= FEW_ROWS else 1, len(pool))
    best = np.argsort(weights @ terms.T, axis=1, kind="stable")[:, :k]
    lanes = pool[best].reshape(len(weights) * k, -1)
    found = polish(surface, lanes, np.repeat(weights, k, axis=0), delta, max_iterations=ITERATIONS, tolerance=TOLERANCE)
    values = found.values.reshape(len(weights), k)
    which = np.argmin(values, axis=1)
    rows = np.arange(len(weights))
    return found.coords.reshape(len(weights), k, -1)[rows, which], values[rows, which]


def fit_candidates(
    fits: Sequence[Fit], rows: Observations, cuts: Sequence[Cut], noise: FloatArray, odd: BoolArray, trusted: Law
) -> dict[int, list[Candidate]]:
    """Fit each form every way below every cut; give the candidates of each cut by its number.

    Args:
        fits: the forms on all rows, for their searches.
        rows: all rows.
        cuts: the ladder.
        noise: standard deviation of each row, [n], as far as it is known.
        odd: rows that are left out, [n].
        trusted: the form that is also fitted with every row counting by its noise.
    """
    found: dict[int, list[Candidate]] = {j: [] for j in range(len(cuts))}
    kept = np.stack([cut.kept & ~odd for cut in cuts]).astype(np.float64) * rows.weights
    level = float(np.median(noise))
    for fit in fits:
        surface = fit.law.surface(rows)
        efficient = max(fit.objective.delta, EFFICIENT * level)
        by_compute = [
            (Way(fit.law, power, fit.objective.delta, False), np.asarray((rows.flops / rows.flops.max()) ** power))
            for power in POWERS
        ]
        by_noise = [(Way(fit.law, 0.0, efficient, True), np.asarray((level / noise) ** 2))]
        for delta, chosen in (
            (efficient, by_noise if fit.law == trusted else []),
            (fit.objective.delta, by_compute),
        ):
            if not chosen:
                continue
            weights = np.concatenate([kept * weight for _, weight in chosen])
            weights *= (np.count_nonzero(weights, axis=1) / weights.sum(axis=1))[:, None]
            coords, values = fit_lanes(fit, surface, weights, delta)
            residuals, pulls = _first_order(surface, coords, weights, delta, level)
            raw, pulls = surface.to_raw(coords), _in_raw_units(surface, coords, pulls)
            for lane, (way, j) in enumerate((way, j) for way, _ in chosen for j in range(len(cuts))):
                enough = np.count_nonzero(weights[lane]) >= coords.shape[1] + 2
                if enough and np.isfinite(values[lane]) and np.isfinite(raw[lane]).all():
                    found[j].append(Candidate(way, raw[lane], residuals[lane], pulls[lane]))
    return found


def _first_order(
    surface: Surface, coords: FloatArray, weights: FloatArray, delta: float, noise: float
) -> tuple[FloatArray, FloatArray]:
    """Give residuals of all rows, [S, n], and what each row does to the coordinates, [S, P, n], of an M-estimator:
    w g over sum w g g', times the root of E psi^2 / (E psi')^2 / noise^2 (Huber 1981, section 7.6)."""
    expansion = surface.expand(coords)
    pressed = (coords <= surface.lower) | (coords >= surface.upper)
    jacobian = np.where(pressed[:, :, None], 0.0, np.nan_to_num(expansion.jacobian))
    force = jacobian * weights[:, None, :]
    information = force @ jacobian.transpose(0, 2, 1)
    scale = np.sqrt(np.einsum("spp->sp", information))
    scale = np.where(scale > 0, scale, 1.0)
    scaled = information / (scale[:, :, None] * scale[:, None, :])
    inverse = np.linalg.pinv(scaled, rcond=1e-12, hermitian=True)
    inside, second = huber_moments(noise, delta)
    loss_of_efficiency = np.sqrt(second) / inside / noise
    return expansion.residuals, loss_of_efficiency * (inverse @ (force / scale[:, :, None])) / scale[:, :, None]


def _in_raw_units(surface: Surface, coords: FloatArray, pulls: FloatArray) -> FloatArray:
    """Give what each row does to the raw parameters, each over its own size, [S, P, n], from what it does to coords."""
    P = coords.shape[1]
    steps = 1e-5 * np.maximum(np.abs(coords), 1e-3)[:, :, None] * np.eye(P)
    ahead, behind = coords[:, None] + steps, coords[:, None] - steps
    with np.errstate(all="ignore"):
        rise = surface.to_raw(ahead) - surface.to_raw(behind)
        slopes = rise / np.einsum("sqq->sq", 2 * steps)[:, :, None]
        raw = surface.to_raw(coords)
        relative = np.nan_to_num(slopes / relative_sizes(raw)[:, None], posinf=0.0, neginf=0.0)
    return np.asarray(relative.transpose(0, 2, 1) @ pulls)


def relative_sizes(theta: FloatArray) -> FloatArray:
    """Give what changes of parameters are told in: their own sizes, and one where a parameter is zero."""
    return np.where(theta == 0, 1.0, np.abs(theta))
