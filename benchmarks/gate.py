"""A few runs of a variant against a baseline's law: do the intervals of the multiplier hold, are equal recipes
promoted, and how many runs does a decision take beside the best possible sequential test?

OPENBLAS_NUM_THREADS=1 python -m benchmarks.gate [--variants 400]

The baseline is a study of 6 sizes at 5 budgets by the default study's law, its noise independent or mostly shared by
the budgets of a size; the variant is worth .8 to 1.5 times its compute. The best possible test knows the covariance of
all that is compared, Wald's bound apart: the joint likelihood ratio with the true noise in place of the estimated one.
"""

import argparse
import math
from dataclasses import dataclass, replace

import numpy as np

from scaling.laws.backtest import Forecaster, forecaster
from scaling.laws.forms import CHINCHILLA
from scaling.laws.gate import Gate, gate
from scaling.laws.observations import FloatArray, Observations, points

LAW = np.array([0.92, 117.0, 1700.0, 0.58, 0.65])
SIZES, BUDGETS = np.geomspace(1e4, 1e6, 6), np.geomspace(2.6e5, 3.1e6, 5)
MULTIPLIERS = (0.8, 0.9, 1.0, 1.1, 1.25, 1.5)
LEVEL, RISK, WORTH, MOST = 0.9, 0.05, 1.25, 100


@dataclass(frozen=True)
class Case:
    """Noise of a log loss, and its correlation between the budgets of a size."""

    noise: float
    shared: float


CASES = (Case(0.003, 0.0), Case(0.011, 0.0), Case(0.011, 0.8))


def loss(N: FloatArray, D: FloatArray, multiplier: float) -> FloatArray:
    """Of a recipe whose FLOPs are worth so many of the baseline's."""
    scale = math.sqrt(multiplier)
    return CHINCHILLA.predict(LAW, points(N * scale, D * scale))


def noises(case: Case, runs: FloatArray, rng: np.random.Generator) -> FloatArray:
    _, at = np.unique(runs, return_inverse=True)
    both, own = rng.standard_normal(at.max() + 1)[at], rng.standard_normal(len(runs))
    return np.asarray(case.noise * (math.sqrt(case.shared) * both + math.sqrt(1 - case.shared) * own))


def baseline(case: Case, rng: np.random.Generator) -> Observations:
    N, D = (x.ravel() for x in np.meshgrid(SIZES, BUDGETS))
    return Observations(N, D, loss(N, D, 1.0) * np.exp(noises(case, N, rng)), trajectory=N.astype(np.str_))


def variant(case: Case, multiplier: float, runs: int, rng: np.random.Generator) -> Observations:
    """One run a size, of random sizes and budgets of the baseline; beyond six the sizes come again with other seeds."""
    N, D = rng.choice(SIZES, runs), rng.choice(BUDGETS, runs)
    return Observations(N, D, loss(N, D, multiplier) * np.exp(case.noise * rng.standard_normal(runs)))


def coverage(case: Case, variants: int) -> None:
    held: dict[int, list[bool]] = {runs: [] for runs in (1, 2, 4)}
    equal: dict[int, list[bool]] = {runs: [] for runs in held}
    for seed in range(variants):
        rng = np.random.default_rng(seed)
        true, asked = MULTIPLIERS[seed % len(MULTIPLIERS)], forecaster(baseline(case, rng))
        for runs in held:
            ends = gate(asked, variant(case, true, runs, rng), WORTH, RISK).interval(LEVEL)
            held[runs].append(ends.low <= true <= ends.high)
            equal[runs].append(gate(asked, variant(case, 1.0, runs, rng), WORTH, RISK).decision == "promote")
    for runs in held:
        print(
            f"| {case.noise:g} | {case.shared:g} | {runs} | {np.mean(held[runs]):.1%} | {np.mean(equal[runs]):.1%} |",
            flush=True,
        )


def sample_sizes(case: Case, variants: int) -> None:
    """Runs until a decision, of variants that are worth it and of equal ones in turn."""
    ours, best, wrong = [], [], []
    for seed in range(variants):
        rng = np.random.default_rng(seed)
        true, worth = (WORTH, 1.0)[seed % 2], WORTH
        asked = forecaster(baseline(case, rng))
        runs = variant(case, true, MOST, rng)
        found = gate(asked, runs, worth, RISK)
        sure = Forecaster(replace(asked.average, freedom=1e9), asked.backtest, asked.why)
        known = _rescaled(gate(sure, runs, worth, RISK), case)
        took, decided = _until(found)
        ours.append(took)
        best.append(_until(known)[0])
        wrong.append(decided == ("drop" if true > 1 else "promote"))
    print(
        f"| {case.noise:g} | {case.shared:g} | {np.mean(ours):.1f} | {np.mean(best):.1f} | "
        f"{np.mean(ours) / np.mean(best):.2f} | {np.mean(wrong):.1%} |",
        flush=True,
    )


def _rescaled(found: Gate, case: Case) -> Gate:
    """The same with the true noise of a run in place of the estimated one."""
    average = found.asked.average
    factor = (case.noise / average.new_run.relative_sd) ** 2
    true = replace(
        average, own=average.own * factor, shared=average.shared * factor,
        new_run=replace(average.new_run, relative_sd=case.noise, trend=0.0),
    )  # fmt: skip
    return replace(found, asked=replace(found.asked, average=true))


def _until(found: Gate) -> tuple[int, str]:
    for n in sorted({*range(1, 20), *range(20, MOST + 1, 5)}):
        at = points(found.at.params[:n], found.at.tokens[:n])
        seen = replace(found, at=at, log_loss=found.log_loss[:n], runs=found.runs[:n])
        if seen.decision != "undecided":
            return n, seen.decision
    return MOST, "undecided"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variants", type=int, default=400)
    variants = parser.parse_args().variants
    print("| noise | of a size | runs | 90% holds | equal promoted |\n| --- | --- | --- | --- | --- |")
    for case in CASES:
        coverage(case, variants)
    print("\n| noise | of a size | runs until decided | best possible | ratio | wrong |")
    print("| --- | --- | --- | --- | --- | --- |")
    for case in CASES:
        sample_sizes(case, variants // 4)


if __name__ == "__main__":
    main()
