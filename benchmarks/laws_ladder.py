"""Ladders at one tokens-per-parameter ratio: does the loss at ten times the compute lie in its interval, how wide is
that beside the interval of an oracle that knows form and noise, and is N* refused in every one?

OPENBLAS_NUM_THREADS=1 python -m benchmarks.laws_ladder [--ladders 400]

The truth is that of `laws_scenarios`: L = 1.72 + 380/N^.33 + 1500/D^.355 with .4% of noise; 6 to 9 rungs over 1.5 to 3
decades of compute, D/N of 5 to 160. The same with 1% of noise, with rungs of one N or one D, and with a recipe that
gets worse as it grows.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from benchmarks.laws_scenarios import base
from scaling.laws.backtest import forecaster
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.line import line_of
from scaling.laws.observations import FloatArray, Observations, Points, points

LEVEL = 0.9
Law = Callable[[FloatArray, FloatArray], FloatArray]


def lr_grows(N: FloatArray, D: FloatArray) -> FloatArray:
    """A rate that suits small models."""
    return np.asarray(base(N, D) * (1 + 0.006 * np.maximum(np.log(N / 5e7), 0) ** 2))


@dataclass(frozen=True)
class Case:
    """`kind` is ratio, params or tokens: what is the same in all rungs."""

    name: str
    kind: str
    noise: float
    law: Law = base


CASES = (
    Case("one ratio", "ratio", 0.004),
    Case("one ratio, noise 1%", "ratio", 0.01),
    Case("one ratio, noise .1%", "ratio", 0.001),
    Case("one N", "params", 0.004),
    Case("one D", "tokens", 0.004),
    Case("one ratio, rate tuned small", "ratio", 0.004, lr_grows),
)


@dataclass(frozen=True)
class Ladder:
    """Rungs and the point to be forecast, at ten times their compute on their line."""

    rows: Observations
    target: Points


def draw(case: Case, seed: int) -> Ladder:
    rng = np.random.default_rng(seed)
    rungs, decades = 6 + seed % 4, rng.uniform(1.5, 3.0)
    C = np.append(np.geomspace(1e21 / 10**decades, 1e21, rungs), 1e22)
    if case.kind == "ratio":
        N = np.sqrt(C / 6 / np.exp(rng.uniform(np.log(5), np.log(160))))
    else:
        N = np.full_like(C, 1e9) if case.kind == "params" else C / 6 / 1e11
    N = np.round(N)
    D = np.round(C / 6 / N)
    losses = case.law(N, D) * np.exp(case.noise * rng.standard_normal(len(N)))
    return Ladder(Observations(N[:-1], D[:-1], losses[:-1]), points(N[-1], D[-1]))


def oracle_half_width(ladder: Ladder, noise: float) -> float:
    """Half of the log interval of the mean loss at the target, by least squares, the noise known."""
    line = line_of(ladder.rows)
    assert line is not None
    fit = fit_law(line.forms[0], ladder.rows, delta=np.inf)
    theta = fit.theta

    def slopes(at: Points | Observations) -> FloatArray:
        return np.asarray(fit.law.gradient(theta, at) * theta[:, None] / fit.law.predict(theta, at))

    J, g = slopes(ladder.rows), slopes(ladder.target)[:, 0]
    covariance = noise**2 * np.linalg.pinv(J @ J.T)
    return float(NormalDist().inv_cdf((1 + LEVEL) / 2) * np.sqrt(g @ covariance @ g))


def measure(case: Case, seeds: int) -> Iterator[tuple[float, float, float, float, float]]:
    """Whether a new run and the mean loss are held, half-widths of ours and the oracle's, whether N* is refused."""
    for seed in range(seeds):
        ladder = draw(case, seed)
        asked = forecaster(ladder.rows)
        truth = float(case.law(ladder.target.params, ladder.target.tokens)[0])
        new = truth * np.exp(case.noise * np.random.default_rng(10**6 + seed).standard_normal())
        run, mean = asked.predict(ladder.target, LEVEL), asked.curve(ladder.target, LEVEL)
        refused = asked.best(1e22) is None and not fit_law(CHINCHILLA, ladder.rows).usable
        width = float(np.log(mean.high / mean.low)[0]) / 2
        yield (
            float(run.low[0] <= new <= run.high[0]), float(mean.low[0] <= truth <= mean.high[0]),
            width, oracle_half_width(ladder, case.noise), float(refused),
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ladders", type=int, default=400)
    parser.add_argument("--cases", nargs="*", default=[case.name for case in CASES])
    arguments = parser.parse_args()
    print("| ladders | new run held | mean loss held | median half-width | over the oracle's | N* refused |")
    print("| --- | --- | --- | --- | --- | --- |")
    for case in CASES:
        if case.name not in arguments.cases:
            continue
        run, mean, ours, oracle, refused = np.array(list(measure(case, arguments.ladders))).T
        print(
            f"| {case.name} | {run.mean():.1%} | {mean.mean():.1%} | {np.median(ours):.2%} | "
            f"{np.median(ours) / np.median(oracle):.2f} | {refused.mean():.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
