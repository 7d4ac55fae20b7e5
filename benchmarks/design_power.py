"""Does the dry run promise what a study delivers? Expected standard deviations against those of simulated studies.

python -m benchmarks.design_power [studies]
"""

import sys

import numpy as np

from scaling.laws.design import Belief, Noise
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.observations import FloatArray, IntArray, Observations, points
from scaling.laws.power import expected_power
from scaling.laws.quantities import NAMES, quantity

# The default study's law, and that of Besiroglu et al. 2024 (arXiv 2404.10102): E, A, B, alpha, beta.
SMALL = np.array([0.925, 116.9, 1706.0, 0.581, 0.649])
LARGE = np.array([1.8172, 482.01, 2085.43, 0.3478, 0.3658])
NOISES = ((0.003, 0.0), (0.01, 0.0), (0.01, 0.8), (0.02, 0.5))


def designs() -> dict[str, tuple[FloatArray, FloatArray, FloatArray, IntArray]]:
    """Law, N, D and trajectory of each design; the points of one size share a trajectory."""
    found = {}
    for name, theta, sizes, tokens in (
        ("grid 6 x 5", SMALL, np.geomspace(1e4, 1e6, 6), np.geomspace(2.6e5, 3.1e6, 5)),
        ("grid 8 x 4", SMALL, np.geomspace(1e4, 1e6, 8), np.geomspace(2.6e5, 6.2e6, 4)),
        ("grid 10 x 6", LARGE, np.geomspace(3e7, 3e9, 10), np.geomspace(1e9, 1e11, 6)),
    ):
        N, D = np.meshgrid(sizes, tokens)
        found[name] = theta, N.ravel(), D.ravel(), np.tile(np.arange(len(sizes)), len(tokens))
    for name, theta, sizes, budgets in (
        ("isoFLOP 6 x 4", SMALL, np.geomspace(1e4, 1e6, 6), np.geomspace(1e11, 3e12, 4)),
        ("isoFLOP 7 x 5", LARGE, np.geomspace(5e7, 3e9, 7), np.geomspace(6e18, 3e20, 5)),
    ):
        N, C = np.meshgrid(sizes, budgets)
        found[name] = theta, N.ravel(), (C / 6 / N).ravel(), np.tile(np.arange(len(sizes)), len(budgets))
    return found


def simulate(
    theta: FloatArray, N: FloatArray, D: FloatArray, trajectory: IntArray, noise: Noise, target: float, studies: int
) -> FloatArray:
    """Standard deviation of each quantity over fitted studies; a fit without a finite N* counts as no study."""
    at, rng, seen = points(N, D), np.random.default_rng(0), []
    truth, asked = CHINCHILLA.predict(theta, at), [quantity(name, CHINCHILLA, target) for name in NAMES]
    for _ in range(studies):
        common, own = rng.standard_normal(trajectory.max() + 1)[trajectory], rng.standard_normal(len(N))
        scatter = np.sqrt(noise.shared) * common + np.sqrt(1 - noise.shared) * own
        losses = truth * np.exp(noise.relative_sd * scatter)
        fit = fit_law(CHINCHILLA, Observations(N, D, losses, trajectory=trajectory.astype(str)))
        seen.append([float(one.function(fit.theta[None])[0]) for one in asked])
    values = np.array(seen)
    return np.asarray(values[np.isfinite(values).all(axis=1)].std(axis=0, ddof=1))


def main() -> None:
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print("| design | noise | shared | sd of ln N*, expected | simulated | ratio | ln L* | alpha | beta |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    worst = 1.0
    for name, (theta, N, D, trajectory) in designs().items():
        target = 10 * float(np.max(6 * N * D))
        for sd, shared in NOISES:
            noise = Noise(sd, shared)
            belief = Belief(CHINCHILLA, theta, noise, "planted")
            power = expected_power(points(N, D), trajectory, belief, target)
            simulated = simulate(theta, N, D, trajectory, noise, target, studies)
            ratios = [power[quantity_].sd / value for quantity_, value in zip(NAMES, simulated, strict=True)]
            worst = max(worst, ratios[0], 1 / ratios[0])
            others = " | ".join(f"{ratio:.2f}" for ratio in ratios[1:])
            expected = power["ln N_opt"].sd
            print(
                f"| {name} | {sd:g} | {shared:g} | {expected:.3f} | {simulated[0]:.3f} | {ratios[0]:.2f} | {others} |"
            )
    print(f"\nExpected over simulated sd of ln N*: at most {worst - 1:.0%} off in {studies} studies a row.")


if __name__ == "__main__":
    main()
