"""Does the multiplier's interval hold what it says, and are identical recipes told apart?

python -m benchmarks.design_compare [pairs]
"""

import sys

import numpy as np

from scaling.laws.forms import CHINCHILLA
from scaling.laws.multiplier import Pairs, log_multiplier, multiplier
from scaling.laws.observations import FloatArray, Observations, points

A = np.array([0.92, 117.0, 1700.0, 0.58, 0.65])
OTHERS = {
    "identical": A,
    "1.3 times the compute": np.array([0.92, 117.0 * 1.3**-0.25, 1700.0 * 1.3**-0.4, 0.58, 0.65]),
    "closing": np.array([0.93, 105.0, 1550.0, 0.58, 0.65]),
    "better exponents": np.array([0.92, 160.0, 1700.0, 0.61, 0.65]),
}
LEVEL = 0.9


def study(theta: FloatArray, noise: FloatArray) -> Observations:
    """Six sizes at five budgets, the points of one size on one trajectory."""
    N, D = np.meshgrid(np.geomspace(1e4, 1e6, 6), np.geomspace(2.6e5, 3.1e6, 5))
    N, D = N.ravel(), D.ravel()
    runs = np.tile(np.arange(6), 5).astype(str)
    return Observations(N, D, CHINCHILLA.predict(theta, points(N, D)) * np.exp(noise), trajectory=runs)


def noise(rng: np.random.Generator, sd: float, trunk: float) -> FloatArray:
    """Of 30 points, correlated by `trunk` within a size."""
    common = np.tile(rng.standard_normal(6), 5)
    return np.asarray(sd * (np.sqrt(trunk) * common + np.sqrt(1 - trunk) * rng.standard_normal(30)))


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    runs = np.tile(np.arange(6), 5)
    pairs = Pairs(np.stack([np.arange(30)] * 2, axis=1), runs, runs)
    reference = 6 * 1e6 * 3.1e6 / 4
    print("| B | noise | shared by trunk | by pair | analysed as | 90% covers | sd of ln m | told apart | pairs |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, theta in OTHERS.items():
        truth = float(log_multiplier(A[None], theta[None], np.array([reference]))[0])
        for sd, trunk, shared in ((0.005, 0.0, 0.0), (0.01, 0.7, 0.0), (0.01, 0.7, 0.7), (0.01, 0.0, 0.7)):
            for how in ("paired", "apart") if shared else ("apart",):
                rng, held, apart, sds, used = np.random.default_rng(0), 0, 0, [], 0
                for _ in range(count):
                    both = noise(rng, sd, trunk)
                    own = [np.sqrt(shared) * both + np.sqrt(1 - shared) * noise(rng, sd, trunk) for _ in "ab"]
                    a, b = study(A, own[0]), study(theta, own[1])
                    try:
                        found = multiplier(a, b, np.array([]), reference, pairs if how == "paired" else None)
                    except ValueError:  # a law that may not be used gives no interval
                        continue
                    used += 1
                    low, high = found.interval(found.reference, LEVEL)
                    held += low <= np.exp(truth) <= high
                    apart += found.told_apart
                    sds.append(found.reference.sd)
                print(
                    f"| {name} | {sd:g} | {trunk:g} | {shared:g} | {how} | {held / used:.1%} | {np.median(sds):.3f} | "
                    f"{apart / used:.1%} | {used} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
