"""What a study has measured, as the belief with which the next points are chosen."""

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from scaling.analysis.noise import seed_noise
from scaling.analysis.observations import CONVENTIONS, MixedCorpora, observations, usable
from scaling.laws.design import Belief, Noise
from scaling.laws.fit import Fit, fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.intervals import delta_variance, linearise_fit
from scaling.laws.noise import shared_correlation
from scaling.laws.observations import Observations
from scaling.laws.quantities import quantity
from scaling.records import RunRecord
from scaling.specs import Plan

MIN_SD, MAX_SD = 1e-5, 0.5


class NoBelief(ValueError):
    """A study that says nothing yet; the message gives the reason and the remedy."""


def measured_belief(plan: Plan, records: Sequence[RunRecord]) -> Belief:
    """The Chinchilla law of every usable point, held-out ones too, N in all parameters; and the noise of a loss.

    Raises NoBelief where the law may not be used.
    """
    good, _ = usable(plan, records)
    if not good:
        raise NoBelief(f"{plan.study} has no measured point: run the sweep first")
    try:
        rows = observations(plan, good, CONVENTIONS["total"])
    except MixedCorpora as error:
        raise NoBelief(str(error)) from None
    fit = fit_law(CHINCHILLA, rows)
    if not fit.usable:
        raise NoBelief(f"the law of {plan.study} is {fit.status}: {fit.message}")
    noise, words = _noise(good, rows, fit)
    return Belief(CHINCHILLA, fit.theta, noise, f"the law of {len(good)} points of {plan.study} and {words}")


def measured_sd(plan: Plan, records: Sequence[RunRecord], name: str, target_flops: float) -> float:
    """Standard deviation of a quantity by the fit's own residuals and trajectories; infinite without a usable law."""
    good, _ = usable(plan, records)
    rows = observations(plan, good, CONVENTIONS["total"])
    fit = fit_law(CHINCHILLA, rows)
    if not fit.usable:
        return math.inf
    asked = quantity(name, fit.law, target_flops)
    _, variance = delta_variance(
        fit,
        rows,
        linearise_fit(fit, rows),
        lambda theta: asked.function(np.atleast_2d(theta)).reshape(np.shape(theta)[:-1]),
    )
    return math.sqrt(float(variance[0]))


def _noise(records: Sequence[RunRecord], rows: Observations, fit: Fit) -> tuple[Noise, str]:
    seeds = seed_noise(records)
    if seeds is None:
        sd, shared, words = linearise_fit(fit, rows).noise, _shared_residuals(fit, rows), "the scale of its residuals"
    else:
        sd, shared, words = (
            seeds.relative_sd,
            shared_by_seed(records),
            f"its {seeds.num_cells} cell{'' if seeds.num_cells == 1 else 's'} with several seeds",
        )
    return Noise(min(max(sd, MIN_SD), MAX_SD), min(max(shared, 0.0), 1.0)), words


def _shared_residuals(fit: Fit, rows: Observations) -> float:
    return shared_correlation(fit.residuals, rows.trajectory_index())


def shared_by_seed(records: Sequence[RunRecord]) -> float:
    """Correlation of two losses of one trajectory, from their distances to the mean over seeds; 0 if unseen."""
    cells: dict[tuple[str, int, int], list[RunRecord]] = defaultdict(list)
    for record in records:
        cells[record.size, record.budget_tokens, record.unique_tokens].append(record)
    deviations: dict[str, list[float]] = defaultdict(list)
    for cell in cells.values():
        logs = np.log([record.final_loss_nats for record in cell if record.final_loss_nats is not None])
        if len(logs) > 1:
            for record, log in zip(cell, logs, strict=True):
                deviations[record.run_id].append(float(log - logs.mean()))
    squares = [d * d for ds in deviations.values() for d in ds]
    products = [ds[i] * ds[j] for ds in deviations.values() for i in range(len(ds)) for j in range(i)]
    if not products or sum(squares) == 0:
        return 0.0
    return float(np.mean(products) / np.mean(squares))
