"""Does the multiplier's interval hold what it says, and are identical recipes told apart?

OPENBLAS_NUM_THREADS=1 nice python -m benchmarks.design_compare [--pairs 400] [--processes 2]

Simulated pairs of studies, small and large, analysed as `scaling.compare` does. The multiplier is read at a fourth of
the largest point's compute.
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat

import numpy as np

from scaling.laws.forms import CHINCHILLA
from scaling.laws.multiplier import Pairs, log_multiplier, multiplier
from scaling.laws.observations import FloatArray, IntArray, Observations, points

A = np.array([0.92, 117.0, 1700.0, 0.58, 0.65])
OTHERS = {
    "identical": A,
    "1.3 times the compute": np.array([0.92, 117.0 * 1.3**-0.25, 1700.0 * 1.3**-0.4, 0.58, 0.65]),
    "closing": np.array([0.93, 105.0, 1550.0, 0.58, 0.65]),
}
LEVEL = 0.9
LARGEST_N, LARGEST_D = 1e6, 3.1e6
REFERENCE = 6 * LARGEST_N * LARGEST_D / 4


@dataclass(frozen=True)
class Case:
    """`sd` of a log loss; `trunk` is its correlation within a size, `shared` that between the two of a pair."""

    other: str
    sizes: int
    budgets: int
    sd: float
    trunk: float
    shared: float
    paired: bool

    @property
    def trajectories(self) -> IntArray:
        return np.tile(np.arange(self.sizes), self.budgets)


@dataclass(frozen=True)
class Found:
    held: bool
    told_apart: bool
    sd: float


def cases() -> Iterator[Case]:
    for sizes, budgets in ((4, 4), (6, 5)):
        for other in OTHERS:
            alone = Case(other, sizes, budgets, 0.005, 0.0, 0.0, paired=False)
            branches = replace(alone, sd=0.01, trunk=0.7)
            seeds = replace(branches, shared=0.7)
            yield from (alone, branches, replace(seeds, paired=True))
            if other == "identical":
                yield seeds  # what it costs to leave the pairs out


def study(case: Case, theta: FloatArray, noise: FloatArray) -> Observations:
    """Every size at every budget, the points of one size on one trajectory."""
    N, D = np.meshgrid(np.geomspace(1e4, LARGEST_N, case.sizes), np.geomspace(2.6e5, LARGEST_D, case.budgets))
    N, D = N.ravel(), D.ravel()
    losses = CHINCHILLA.predict(theta, points(N, D)) * np.exp(noise)
    return Observations(N, D, losses, trajectory=case.trajectories.astype(str))


def draw(rng: np.random.Generator, case: Case) -> FloatArray:
    common = rng.standard_normal(case.sizes)[case.trajectories]
    own = rng.standard_normal(len(common))
    return np.asarray(case.sd * (np.sqrt(case.trunk) * common + np.sqrt(1 - case.trunk) * own))


def simulate(case: Case, seed: int) -> Found | None:
    """None: a law that may not be used, which gives no interval."""
    rng, theta, runs = np.random.default_rng(seed), OTHERS[case.other], case.trajectories
    both = draw(rng, case)
    noise = [np.sqrt(case.shared) * both + np.sqrt(1 - case.shared) * draw(rng, case) for _ in "ab"]
    pairs = Pairs(np.stack([np.arange(len(runs))] * 2, axis=1), runs, runs) if case.paired else None
    try:
        found = multiplier(study(case, A, noise[0]), study(case, theta, noise[1]), np.array([]), REFERENCE, pairs)
    except ValueError:
        return None
    low, high = found.interval(found.reference, LEVEL)
    truth = float(np.exp(log_multiplier(A[None], theta[None], np.array([REFERENCE]))[0]))
    return Found(low <= truth <= high, found.told_apart, found.reference.sd)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    seeds = range(arguments.pairs)
    print("| points | B | noise | of a trunk | of a pair | analysed | 90% holds | sd of ln m | told apart | usable |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    with ProcessPoolExecutor(arguments.processes) as pool:
        for case in cases():
            found = [one for one in pool.map(simulate, repeat(case), seeds, chunksize=20) if one is not None]
            print(
                f"| {case.sizes * case.budgets} | {case.other} | {case.sd:g} | {case.trunk:g} | {case.shared:g} | "
                f"{'paired' if case.paired else 'apart'} | {np.mean([one.held for one in found]):.1%} | "
                f"{np.median([one.sd for one in found]):.3f} | {np.mean([one.told_apart for one in found]):.1%} | "
                f"{len(found)} of {len(seeds)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
