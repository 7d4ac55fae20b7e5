"""Rows whose N, D or loss is a power of ten off what goes with the others: a zero too many, thousands among units."""

from collections.abc import Iterator

import numpy as np

from scaling.laws.distributions import robust_deviation
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.observations import FloatArray, IntArray, Observations, points
from scaling.tables.draft import Draft

APART = {"params": 7.0, "tokens": 7.0, "loss": 2.5}  # factor between such rows and all others
MINORITY = 0.3
POWERS = (-12, -9, -6, -3, -2, -1, 1, 2, 3, 6, 9, 12)
WRONG, RIGHT = 6.0, 3.0  # standard deviations of the other rows, as given and as it should be
LEAST_NOISE = 0.002
MIN_ROWS = 10
MOST_ROWS = 3000  # that the others' law is fitted to


def out_of_scale(draft: Draft) -> tuple[str, ...]:
    """Leave such rows out; a sentence for each group of them."""
    said = []
    for field in ("tokens", "params", "loss"):
        kept = draft.kept
        for rows in _apart(draft.numbers[field][kept], APART[field]):
            words = _explained(draft, field, kept, rows)
            if words is not None:
                at = kept[rows]
                draft.leave_out(at, lambda i, f=field, w=words: f"{f} is {draft.numbers[f][i]:.6g}: {w}")  # type: ignore[misc]
                text = f"{field} of these rows is out of scale, {words}; they are left out"
                draft.say(text, at)
                lines = draft.notes[-1].lines
                said.append(f"{draft.sheet.unit} {lines}: {field} is {draft.numbers[field][at[0]]:.6g}, {words}")
                break
    return tuple(said)


def _apart(values: FloatArray, factor: float) -> Iterator[IntArray]:
    """Minorities at either end that a gap separates from all others."""
    order = np.argsort(values, kind="stable")
    gaps = np.flatnonzero(values[order[1:]] > factor * values[order[:-1]]) + 1
    for gap in gaps.tolist():
        for rows in (order[gap:], order[:gap]):
            if 0 < len(rows) <= max(1, MINORITY * len(values)) and len(values) - len(rows) >= MIN_ROWS:
                yield rows


def _explained(draft: Draft, field: str, kept: IntArray, rows: IntArray) -> str | None:
    """What the rows should be, where the law of the others says so; None where they go with it as they are."""
    columns = {f: draft.numbers[f][kept] for f in ("params", "tokens", "loss")}
    others = np.setdiff1d(np.arange(len(kept)), rows)
    if len(others) > MOST_ROWS:
        others = others[np.linspace(0, len(others) - 1, MOST_ROWS).astype(int)]
    fit = fit_law(
        CHINCHILLA, Observations(columns["params"][others], columns["tokens"][others], columns["loss"][others])
    )
    if not fit.parameters:
        return None
    sigma = max(robust_deviation(fit.residuals), LEAST_NOISE)

    def off(factor: float) -> float:
        own = {f: c[rows] * (factor if f == field else 1.0) for f, c in columns.items()}
        expected = fit.law.predict(fit.theta, points(own["params"], own["tokens"]))
        return float(np.median(np.abs(np.log(own["loss"] / expected)))) / sigma

    if off(1.0) < WRONG:
        return None
    best = min(POWERS, key=lambda power: off(10.0**power))
    if off(10.0**best) > RIGHT:
        return None
    value = columns[field][rows[0]] * 10.0**best
    return f"{value:.6g} would go with its {'N and D' if field == 'loss' else 'loss'}: a factor of {10.0**-best:,.12g}"
