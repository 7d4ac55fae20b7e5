"""How well the selected forecast foresees losses beyond the rows it saw, against plain Chinchilla.

    python -m benchmarks.laws_extrapolation

Two cuts: the top fifth by compute held out, and everything above a tenth of the largest compute held out. Error: mean
absolute relative error; coverage: of the 95% interval of the selected forecast, and of a bootstrap band of the plain
fitted curve (what is commonly shown).
"""

import numpy as np

from benchmarks.laws_data import planted, published
from scaling.laws.backtest import backtest
from scaling.laws.bootstrap import bootstrap
from scaling.laws.fit import fit_law
from scaling.laws.forecast import forecast, score
from scaling.laws.forms import CHINCHILLA
from scaling.laws.intervals import percentiles
from scaling.laws.observations import Observations
from scaling.laws.selection import select
from scaling.laws.splits import below_fraction, relative_error, top_share


def line(name: str, cut: str, train: Observations, held: Observations) -> tuple[float, float]:
    """Print one line; give the ratio of errors and the coverage."""
    plain = fit_law(CHINCHILLA, train)
    plain_error = relative_error(CHINCHILLA.predict(plain.theta, held), held.loss)
    low, high = percentiles(CHINCHILLA.predict(bootstrap(plain, train, resamples=1000, seed=0).parameters, held), 0.95)
    band = float(np.mean((held.loss >= low) & (held.loss <= high)))
    selection, trial = select(train), backtest(train)
    error, coverage = score(forecast(selection, train, held, widening=trial.widening), held)
    print(
        f"| {name} | {cut} | {len(train)} | {len(held)} | {plain_error:.2%} | {error:.2%} | {error / plain_error:.2f} "
        f"| {band:.0%} | {coverage:.0%} | {trial.widening.factor:.2f} |",
        flush=True,
    )
    return error / plain_error, coverage


def main() -> None:
    """Print a table and the geometric means."""
    sets = published() or {"planted": planted()}
    ratios: dict[str, list[float]] = {}
    coverages: dict[str, list[float]] = {}
    head = ("data", "held out", "fitted", "held", "plain", "selected", "ratio", "band covers", "ours covers", "widened")
    print("| " + " | ".join(head) + " |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, rows in sets.items():
        for split in (top_share(rows), below_fraction(rows)):
            if len(split.kept) < 9:
                continue
            ratio, coverage = line(name, split.name, rows.take(split.kept), rows.take(split.held))
            if name.endswith(("epoch_chinchilla", "one_epoch", "as_fresh")):
                continue  # other readings of a set that is counted already
            ratios.setdefault(split.name, []).append(ratio)
            coverages.setdefault(split.name, []).append(coverage)
    for cut, values in ratios.items():
        mean = np.exp(np.mean(np.log(values)))
        print(f"{cut}: ratio {mean:.3f} (geometric mean over sets), coverage {np.mean(coverages[cut]):.0%}")


if __name__ == "__main__":
    main()
