"""How well the selected forecast foresees losses beyond the rows it saw, against plain Chinchilla.

    python -m benchmarks.laws_extrapolation

Two cuts: the top fifth by compute held out, and everything above a tenth of the largest compute held out. Error: mean
absolute relative error. Holds: share of held losses in the 50, 80 and 95% intervals of the selected forecast, and in
the 95% of plain Chinchilla's delta method with the noise of a measurement. Score: interval score of the two 95%
intervals of the log loss (Gneiting & Raftery 2007), ours over plain's. Families: sets of one experiment count as one.
"""

from collections.abc import Mapping

import numpy as np

from benchmarks.laws_data import FAMILIES, planted, published
from scaling.laws.backtest import forecaster
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.intervals import Prediction, predict_interval
from scaling.laws.observations import FloatArray, Observations
from scaling.laws.splits import below_fraction, relative_error, top_share

LEVELS = (0.5, 0.8, 0.95)


def inside(prediction: Prediction, loss: FloatArray) -> float:
    return float(np.mean((prediction.low <= loss) & (loss <= prediction.high)))


def interval_score(prediction: Prediction, loss: FloatArray) -> float:
    """Width of the interval of the log loss, and how far losses lie outside over half of one minus its level."""
    low, high, y = np.log(prediction.low), np.log(prediction.high), np.log(loss)
    missed = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    return float(np.mean(high - low + 2 / (1 - prediction.level) * missed))


def line(name: str, cut: str, train: Observations, held: Observations) -> tuple[float, ...]:
    """Print one line; give the ratios of errors and of scores, and the three shares held."""
    plain = fit_law(CHINCHILLA, train)
    alone = predict_interval(plain, train, held, level=0.95)
    asked = forecaster(train)
    told = [asked.predict(held, level) for level in LEVELS]
    errors = [relative_error(one.loss, held.loss) for one in (alone, told[-1])]
    score = interval_score(told[-1], held.loss) / interval_score(alone, held.loss)
    shares = [inside(one, held.loss) for one in told]
    ratio = errors[1] / errors[0]
    print(
        f"| {name} | {cut} | {len(train)} | {len(held)} | {errors[0]:.2%} | {errors[1]:.2%} | {ratio:.2f} "
        f"| {inside(alone, held.loss):.0%} | {' / '.join(f'{share:.0%}' for share in shares)} | {score:.2f} |",
        flush=True,
    )
    return ratio, score, *shares


def by_family(found: Mapping[str, tuple[float, ...]]) -> str:
    """Geometric means of the ratios and means of the shares, over families of their means over sets."""
    families: dict[str, list[tuple[float, ...]]] = {}
    for name, values in found.items():
        if name in FAMILIES:
            families.setdefault(FAMILIES[name], []).append(values)
    means = np.array(
        [
            [*np.exp(np.mean(np.log([v[:2] for v in sets]), axis=0)), *np.mean([v[2:] for v in sets], axis=0)]
            for sets in families.values()
        ]
    )
    error, score = np.exp(np.mean(np.log(means[:, :2]), axis=0))
    shares = " / ".join(f"{share:.0%}" for share in means[:, 2:].mean(axis=0))
    return f"error {error:.3f}, score {score:.3f}, holds {shares} over {len(families)} families"


def main() -> None:
    """Print a table, and what it comes to by family."""
    sets = published() or {"planted": planted()}
    found: dict[str, dict[str, tuple[float, ...]]] = {}
    head = ("data", "held out", "fitted", "held", "plain", "selected", "ratio", "plain's 95%", "50 / 80 / 95%", "score")
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for name, rows in sets.items():
        for split in (top_share(rows), below_fraction(rows)):
            if len(split.kept) >= 9:
                values = line(name, split.name, rows.take(split.kept), rows.take(split.held))
                found.setdefault(split.name, {})[name] = values
    for cut, values_by_set in found.items():
        if set(values_by_set) & set(FAMILIES):
            print(f"\n{cut}: {by_family(values_by_set)}")


if __name__ == "__main__":
    main()
