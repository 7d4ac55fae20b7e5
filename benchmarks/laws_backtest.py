"""Do 95% intervals hold at every distance? Forecast the later rows of public sets from each rung of compute.

    python -m benchmarks.laws_backtest

A rung is every half decade below the largest compute, as far down as 9 rows. At each the forecast is selected and
backtested on the rows up to it alone. Distance: decades of compute beyond those rows. Held: share of later rows inside
the interval, averaged over rungs; half-width: of the interval of the log loss, geometric mean over rungs.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from benchmarks.laws_data import planted, published
from scaling.laws.backtest import Backtest, forecaster
from scaling.laws.forecast import decades_beyond
from scaling.laws.intervals import Prediction
from scaling.laws.observations import BoolArray, FloatArray, Observations
from scaling.laws.splits import below_fraction

MIN_KEPT = 9  # rows
EDGES = (0.0, 0.5, 1.0, 1.5, 2.5, 4.0)
SAME_ROWS = ("epoch_chinchilla", "one_epoch", "as_fresh")  # other readings of a set that is counted already

Cell = tuple[float, float, float]  # share held, half-width, error


def cells(prediction: Prediction, held: Observations, decades: FloatArray) -> dict[int, Cell]:
    """Give coverage, half-width and error of the rows of each band of distance that has any."""
    inside = (prediction.low <= held.loss) & (held.loss <= prediction.high)
    half = np.log(prediction.high / prediction.low) / 2
    error = np.abs(prediction.loss / held.loss - 1)
    found = {}
    for band, (near, far) in enumerate(pairwise(EDGES)):
        rows: BoolArray = (decades > near) & (decades <= far)
        if rows.any():
            found[band] = float(inside[rows].mean()), float(half[rows].mean()), float(error[rows].mean())
    return found


def main() -> None:
    """Print one line a band of distance, without and with what the backtest adds."""
    sets = {n: rows for n, rows in (published() or {"planted": planted()}).items() if not n.endswith(SAME_ROWS)}
    announced: dict[int, list[Cell]] = {}
    widened: dict[int, list[Cell]] = {}
    for rows in sets.values():
        decades = float(np.log10(rows.flops.max() / rows.flops.min()))
        for step in range(1, int(2 * decades) + 1):
            split = below_fraction(rows, 10 ** (step / 2))
            kept, held = rows.take(split.kept), rows.take(split.held)
            if len(kept) < MIN_KEPT:
                break
            try:
                asked = forecaster(kept)
            except ValueError:  # no form can be fitted to so few rows: no forecast is made
                break
            away = decades_beyond(asked.average.reach.flops, held)
            plain = replace(asked, backtest=Backtest(())).predict(held)
            for store, prediction in ((announced, plain), (widened, asked.predict(held))):
                for band, cell in cells(prediction, held, away).items():
                    store.setdefault(band, []).append(cell)
    print("| decades beyond | rungs | mean error | held, as announced | half-width | held, backtested | half-width |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for band, (near, far) in enumerate(pairwise(EDGES)):
        if band not in announced:
            continue
        before, after = np.array(announced[band]), np.array(widened[band])
        widths = [f"{np.exp(np.mean(np.log(part[:, 1]))):.1%}" for part in (before, after)]
        print(
            f"| {near:g} to {far:g} | {len(before)} | {before[:, 2].mean():.2%} "
            f"| {before[:, 0].mean():.0%} | {widths[0]} | {after[:, 0].mean():.0%} | {widths[1]} |"
        )


if __name__ == "__main__":
    main()
