"""Choose among forms and weightings from the training rows alone, by how well each foresees the rows with most
compute.

No form is true, and each errs in its own way beyond the data. The forecast is their average, each weighted by the
inverse square of its error on inner splits by compute (Bates & Granger 1969, for forecasts with independent errors).
Rows are weighted by C^w: what lies beyond is foretold best by the rows nearest to it, and no training row says how
near, so the candidates span w. On the published sets of benchmarks/laws_extrapolation.py this beats picking the
single best.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaling.laws.fit import Fit, fit_law
from scaling.laws.forms import CHINCHILLA, CROSS, TIED, Law
from scaling.laws.joint import INTERACTION
from scaling.laws.objective import DELTA
from scaling.laws.observations import FloatArray, Observations, Points
from scaling.laws.repeated import DATA_CONSTRAINED, unique_of
from scaling.laws.splits import Split, below_fraction, relative_error, top_share

FORMS: tuple[Law, ...] = (CHINCHILLA, TIED, CROSS, INTERACTION)
WEIGHTINGS = (0.25, 0.5, 0.75)
ERROR_FLOOR = 1e-7  # relative: below this two candidates are equally right
REPEATED = 1.01  # tokens over unique tokens beyond which text was repeated


@dataclass(frozen=True)
class Candidate:
    """A form under a weighting.

    Attributes:
        fit: on all training rows.
        compute_power: w; rows were weighted by C^w.
        inner_errors: mean absolute relative error on the held rows of each inner split.
        aicc: corrected Akaike criterion of the unweighted fit of this form under Laplace noise, which is the noise
            that the Huber sum assumes in its tails; None where there are too few rows.
        weight: in the average.
    """

    fit: Fit
    compute_power: float
    inner_errors: tuple[float, ...]
    aicc: float | None
    weight: float

    @property
    def name(self) -> str:
        """Form and weighting."""
        return f"{self.fit.law.name} * C^{self.compute_power:g}" if self.compute_power else self.fit.law.name


@dataclass(frozen=True)
class Selection:
    """What to forecast with.

    Attributes:
        law: "average", or the name of the only candidate.
        candidates: those with a weight above zero, heaviest first.
        splits: names of the inner splits that the weights come from.
        why: in one sentence.
    """

    law: str
    candidates: tuple[Candidate, ...]
    splits: tuple[str, ...]
    why: str

    @property
    def weights(self) -> FloatArray:
        """Weight of each candidate, [K], adding up to one."""
        return np.array([candidate.weight for candidate in self.candidates])

    def log_losses(self, at: Points | Observations) -> FloatArray:
        """Give the log of each candidate's loss, [K, m]."""
        return np.array([np.log(c.fit.law.predict(c.fit.theta, at)) for c in self.candidates])

    def predict(self, at: Points | Observations) -> FloatArray:
        """Give the loss, [m]: the weighted geometric mean over the candidates."""
        return np.asarray(np.exp(self.weights @ self.log_losses(at)))


def compute_weights(observations: Observations, power: float) -> FloatArray:
    """Give the rows' weights times C^power, mean one, [n]."""
    weights = observations.weights * (observations.flops / observations.flops.mean()) ** power
    return np.asarray(weights / weights.mean())


def fit_weighted(
    law: Law, observations: Observations, power: float, delta: float = DELTA, near: Fit | None = None
) -> Fit:
    """Fit with rows weighted by C^power; `near` as in `fit_law`."""
    rows = observations.with_weights(compute_weights(observations, power))
    return fit_law(law, rows, delta=delta, weighting=f"C^{power:g}", near=near)


def default_forms(observations: Observations) -> tuple[Law, ...]:
    """Give the forms worth trying: with the data-constrained law where text was repeated."""
    if float(np.max(observations.tokens / unique_of(observations))) > REPEATED:
        return (*FORMS, DATA_CONSTRAINED)
    return FORMS


def inner_splits(observations: Observations) -> tuple[Split, ...]:
    """Give the splits on which candidates are scored: the top fifth, and beyond a tenth of the largest compute."""
    splits = (top_share(observations), below_fraction(observations))
    need = len(CHINCHILLA.parameter_names) + 2
    return tuple(split for split in splits if len(split.kept) >= need and len(split.held) >= 1)


def aicc(fit: Fit) -> float | None:
    """Give 2 n log(mean Huber / delta) + 2 k n / (n - k - 1), k counting the parameters and the noise scale."""
    n, k = fit.num_points, len(fit.law.parameter_names) + 1
    if fit.objective.value is None or fit.objective.value <= 0 or n - k - 1 <= 0:
        return None
    scale = fit.objective.value / fit.objective.delta / n
    return float(2 * n * np.log(2 * np.e * scale) + 2 * k * n / (n - k - 1))


def select(
    observations: Observations,
    *,
    forms: Sequence[Law] | None = None,
    weightings: Sequence[float] = WEIGHTINGS,
    delta: float = DELTA,
) -> Selection:
    """Fit every form under every weighting, score each on the inner splits, and weight them for the forecast.

    Raises:
        ValueError: not even one form can be fitted.
    """
    forms = default_forms(observations) if forms is None else tuple(forms)
    splits = inner_splits(observations)
    plain = {law.name: fit_law(law, observations, delta=delta) for law in forms}
    criteria = {name: aicc(fit) for name, fit in plain.items()}
    fits, powers, errors = [], [], []
    for law in forms:
        for power in weightings:
            fit = fit_weighted(law, observations, power, delta, plain[law.name])
            scores = [_inner_error(fit, observations, power, delta, split) for split in splits]
            if fit.parameters and np.all(np.isfinite(scores)):
                fits.append(fit)
                powers.append(power)
                errors.append(scores)
    if not fits:
        reasons = dict.fromkeys(fit.message for fit in plain.values() if not fit.usable)
        without = "the rows without those of most compute carry no form, so that none can be tested"
        raise ValueError("no form can be fitted and tested: " + ("; ".join(reasons) or without))
    scored = np.maximum(np.array(errors).reshape(len(fits), -1), ERROR_FLOOR)
    raw = np.exp(-2 * np.log(scored).mean(axis=1)) if splits else np.ones(len(fits))
    weights = raw / raw.sum()
    order = np.argsort(-weights, kind="stable")
    candidates = tuple(
        Candidate(fits[i], powers[i], tuple(errors[i]), criteria[fits[i].law.name], float(weights[i])) for i in order
    )
    return Selection(
        law="average" if len(candidates) > 1 else candidates[0].fit.law.name,
        candidates=candidates,
        splits=tuple(split.name for split in splits),
        why=_why(candidates, splits),
    )


def _inner_error(outer: Fit, observations: Observations, power: float, delta: float, split: Split) -> float:
    kept, held = observations.take(split.kept), observations.take(split.held)
    fit = fit_weighted(outer.law, kept, power, delta, outer)
    if not fit.parameters:
        return float("nan")
    error = relative_error(fit.law.predict(fit.theta, held), held.loss)
    return error if np.isfinite(error) else float("nan")


def _why(candidates: tuple[Candidate, ...], splits: tuple[Split, ...]) -> str:
    if len(candidates) == 1:
        return f"{candidates[0].name} is the only candidate that could be fitted and scored"
    if not splits:
        return f"too few rows for an inner split by compute: {len(candidates)} candidates weigh the same"
    best = candidates[0]
    where = " and ".join(split.name for split in splits)
    return (
        f"{len(candidates)} candidates weighted by 1/error^2 on inner splits of the training rows ({where}); "
        f"the heaviest is {best.name}: error {np.exp(np.mean(np.log(best.inner_errors))):.2%}, weight {best.weight:.2f}"
    )
