"""Choose among forms and weightings from the training rows alone, by how well each foresees the rows with most
compute.

No form is true, and each errs in its own way beyond the data. The forecast is their average, each weighted by the
inverse square of its error on the rows above each cut of a ladder (Bates & Granger 1969, for forecasts with independent
errors). Where the residuals do not bend, the average is of fits in which every row counts by its noise; where they
do, of fits whose rows are weighted by C^w: what lies beyond is foretold best by the rows nearest to it, and no row
says how near. In between each side counts by the odds of the bend (`misfit`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaling.laws.average import Average, Member, NewRun, Reach
from scaling.laws.candidates import Candidate, fit_candidates
from scaling.laws.fit import Fit, fit_law
from scaling.laws.forms import CHINCHILLA, Law
from scaling.laws.ladder import Cut, ladder
from scaling.laws.line import Line, line_of, under_six
from scaling.laws.misfit import Misfit, known_misfit, misfit, tangent
from scaling.laws.noise import NOTHING_SHARED, RowNoise, SharedNoise, row_noise, shared_noise
from scaling.laws.objective import DELTA
from scaling.laws.observations import BoolArray, FloatArray, IntArray, Observations, value_groups
from scaling.laws.registry import laws_with
from scaling.laws.repeated import DATA_CONSTRAINED, unique_of

LEAST_WEIGHT = 0.01  # of a candidate that stays in the average
BENT = 0.9  # belief in a misfit from which residuals that sizes share are taken for it
POWER = 2.0  # of a candidate's error, for its weight
LUCK = 0.25  # of the noise of a loss: a smaller mean error on a few rows is luck
ERROR_FLOOR = 1e-7  # relative: below this two candidates are equally right
REPEATED = 1.01  # tokens over unique tokens beyond which text was repeated


@dataclass(frozen=True)
class Selection:
    """What to forecast with.

    Attributes:
        law: "average", or the name of the only candidate.
        average: the candidates with their weights.
        line: that all rows lie on, None where they spread.
        below: the average that the rows below each cut would have given, by the cut.
        odd: rows that no candidate was fitted to, [n].
        why: in one sentence.
    """

    law: str
    average: Average
    line: Line | None
    below: tuple[tuple[Cut, Average], ...]
    odd: BoolArray
    why: str


def default_forms(observations: Observations) -> tuple[Law, ...]:
    """Give the forms worth trying: with the data-constrained law where text was repeated."""
    known = laws_with("selectable")
    return (*known, DATA_CONSTRAINED) if _repeats(observations) else known


def _repeats(observations: Observations) -> bool:
    return float(np.max(observations.tokens / unique_of(observations))) > REPEATED


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
    delta: float = DELTA,
    known: Sequence[Fit] = (),
) -> Selection:
    """Fit every form every way below every cut, score each on the rows above, and weight them for the forecast.

    Args:
        observations: the training rows.
        forms: to be tried; None for those that the rows are worth.
        delta: of Huber's loss where the form is not trusted.
        known: fits of forms to these very rows, which are then not fitted again.

    Raises:
        ValueError: not even one form can be fitted.
    """
    line = line_of(observations) if forms is None else None
    if line is not None:
        observations, forms = under_six(observations), line.forms
    forms = default_forms(observations) if forms is None else tuple(forms)
    trusted = CHINCHILLA if line is None else forms[0]
    there = {fit.law.name: fit for fit in known if fit.objective.delta == delta}
    plain = [there.get(law.name) or fit_law(law, observations, delta=delta) for law in forms]
    carried = [fit for fit in plain if fit.parameters]
    if not carried or (line is not None and not plain[0].parameters):
        raise ValueError("no form can be fitted: " + "; ".join(dict.fromkeys(fit.message for fit in plain)))
    cuts = ladder(observations, trusted)
    noise = row_noise(carried[0].residuals, observations.flops, len(carried[0].parameters))
    found = fit_candidates(carried, observations, cuts, noise.sd, noise.odd, trusted)
    averages = [_average(found, cuts, j, observations, noise, line) for j in range(len(cuts))]
    whole = averages[0]
    if whole is None:
        raise ValueError("no form can be fitted: its parameters leave the range of floating point; check the units")
    return Selection(
        law="average" if len(whole.members) > 1 else whole.members[0].way.law.name,
        average=whole,
        line=line,
        below=tuple((cut, a) for cut, a in zip(cuts[1:], averages[1:], strict=True) if a is not None),
        odd=noise.odd,
        why=_why(whole, line),
    )


def _average(
    found: dict[int, list[Candidate]],
    cuts: Sequence[Cut],
    j: int,
    rows: Observations,
    noise: RowNoise,
    line: Line | None,
) -> Average | None:
    """The average that the rows below cut j give, weighted by what the cuts farther down foresee of them."""
    candidates = found[j]
    if not candidates:
        return None
    kept = cuts[j].kept & ~noise.odd
    errors, names = [], []
    for below in range(j + 1, len(cuts)):
        later = kept & ~cuts[below].kept
        score = {c.way: float(np.mean(np.abs(np.expm1(-c.residuals[later])))) for c in found[below] if later.any()}
        known = [value for value in score.values() if np.isfinite(value)]
        if known:  # a form that the rows below do not carry is as bad there as the worst that they do
            errors.append([_finite(score.get(c.way), max(known)) for c in candidates])
            names.append(cuts[below].name)
    inner = np.maximum(np.array(errors).reshape(len(errors), len(candidates)), ERROR_FLOOR)
    raw = (
        np.exp(-POWER * np.log(np.maximum(inner, LUCK * noise.scale)).mean(axis=0))
        if len(inner)
        else np.ones(len(candidates))
    )
    bent = known_misfit(int(kept.sum())) if line is None and _repeats(rows) else _misfit(candidates, rows, kept, line)
    trusts = np.array([c.way.trusts_form for c in candidates])
    weights = np.zeros(len(candidates))
    for side, share in ((trusts, 1 - bent.belief), (~trusts, bent.belief)):
        if side.any():
            weights[side] = share * raw[side] / raw[side].sum()
    weights /= weights.sum()
    shown = [int(i) for i in np.argsort(-weights, kind="stable") if weights[i] >= LEAST_WEIGHT]
    weights /= weights[shown].sum()
    members = [
        Member(candidates[i].way, candidates[i].theta, float(weights[i]), tuple(inner[:, i].tolist())) for i in shown
    ]
    return _build([candidates[i] for i in shown], members, names, bent, rows, cuts[j].kept, line)


def _build(
    candidates: Sequence[Candidate],
    members: Sequence[Member],
    cuts: Sequence[str],
    bent: Misfit,
    rows: Observations,
    below: BoolArray,
    line: Line | None,
) -> Average:
    """The average with what the noise of the rows below its cut does to it."""
    part = rows.take(below)
    weights = np.array([member.weight for member in members])
    residuals = weights @ np.array([candidate.residuals[below] for candidate in candidates])
    spent = len((CHINCHILLA if line is None else line.forms[0]).parameter_names)  # whatever the forms
    noise = row_noise(residuals, part.flops, spent)
    clusters, shared = _what_is_shared(residuals, noise, bent, part)
    pulled = np.concatenate([candidate.pull[:, below] for candidate in candidates]) * noise.sd
    alone = 1 / (1 + shared.share)
    together = np.zeros((len(pulled), int(clusters.max()) + 1))
    np.add.at(together.T, clusters, pulled.T)
    reach = 6 * part.params * part.tokens
    return Average(
        members=tuple(members),
        cuts=tuple(cuts),
        misfit=bent,
        own=alone * pulled @ pulled.T,
        shared=(1 - alone) * together @ together.T,
        share=shared.share,
        freedom=float(max(int(np.sum(~noise.odd)) - spent, 1)),
        shared_freedom=shared.freedom,
        new_run=NewRun(noise.scale, noise.trend, noise.centre, noise.largest),
        reach=Reach(float(part.params.min()), float(part.params.max()), float(reach.max())),
    )


def _what_is_shared(
    residuals: FloatArray, noise: RowNoise, bent: Misfit, rows: Observations
) -> tuple[IntArray, SharedNoise]:
    """Number of each row's run, or of its size where no run is named, [n], and what the rows of one have in common."""
    named = len(np.unique(rows.trajectory)) < len(rows)
    clusters = rows.trajectory_index()
    if not named:
        for number, group in enumerate(value_groups(rows.params)):
            clusters[group] = number
    kept = ~noise.odd
    # A bend with N is shared by the rows of a size as well.
    if bent.tangent is None or (not named and bent.belief > BENT):
        return clusters, NOTHING_SHARED
    own = bent.tangent.columns(rows)[0][kept] / noise.sd[kept, None]
    return clusters, shared_noise(residuals[kept] / noise.sd[kept], own, clusters[kept], named)


def _finite(value: float | None, otherwise: float) -> float:
    return value if value is not None and np.isfinite(value) else otherwise


def _misfit(candidates: Sequence[Candidate], rows: Observations, kept: BoolArray, line: Line | None) -> Misfit:
    for candidate in candidates:
        if candidate.way.trusts_form:
            residuals, part = candidate.residuals[kept], rows.take(kept)
            noise = row_noise(residuals, part.flops, len(candidate.theta))
            around = tangent(candidate.theta, part, None if line is None else line.variable)
            return misfit(around, residuals, part, noise)
    return known_misfit(int(kept.sum()))


def _why(average: Average, line: Line | None) -> str:
    if len(average.members) == 1:
        return f"{average.members[0].way.name} is the only candidate that could be fitted"
    bent, cuts = average.misfit, len(average.cuts)
    name = "Chinchilla's law" if line is None else f"The power law with a floor, {line.title},"
    trusted = sum(member.weight for member in average.members if member.way.trusts_form)
    how = (
        f"by the inverse square of their errors on the rows above {cuts} cut{'s' if cuts > 1 else ''} in compute"
        if cuts
        else "alike, as too few rows lie below any cut in compute: the forecast is untested"
    )
    return (
        f"{name} has {trusted:.0%} of the weight, other forms and rows weighted by compute have the rest, as "
        f"a bend of its residuals like theirs comes by chance with probability {bent.probability:.2g}; the "
        f"{len(average.members)} candidates are weighted {how}"
    )
