"""Does asking for the next points pay? Adaptive rounds against a fixed isoFLOP grid of 24 points, on noisy studies.

    python -m benchmarks.design_adaptive [studies]

Every run is counted alone, 6 N D, on both sides: no trunk is shared. The isoFLOP grid is given the true optimum of each
budget for its centre; the adaptive study begins with nine cheap points and knows nothing but their losses.
"""

import sys

import numpy as np

from scaling.laws.design import Noise, knowledge, linear, weak_prior
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.intervals import delta_interval, linearise_fit
from scaling.laws.observations import FloatArray, Observations, points
from scaling.laws.quantities import log_optimal_params

LAWS = {
    "default study": (np.array([0.925, 116.9, 1706.0, 0.581, 0.649]), 3e12),
    "Besiroglu et al.": (np.array([1.8172, 482.01, 2085.43, 0.3478, 0.3658]), 3e20),
}
SHARE = 0.5  # of the isoFLOP grid's FLOPs
ROUNDS = 4
FIRST_SHARE = 0.05
MAX_POINTS = 24


def isoflop_grid(theta: FloatArray, largest: float) -> tuple[FloatArray, FloatArray]:
    """Four budgets over a factor of 30, six sizes over a factor of 16 around the best of each."""
    N, D = [], []
    for budget in largest * np.array([1 / 27, 1 / 9, 1 / 3, 1.0]):
        best = float(CHINCHILLA.optimal_params(theta[None], np.array([budget]))[0])
        sizes = best * np.geomspace(0.25, 4, 6)
        N.append(sizes)
        D.append(budget / 6 / sizes)
    return np.concatenate(N), np.concatenate(D)


def candidates(largest: float, first: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Sizes and tokens half an octave apart around the first points, up to the largest budget of the grid."""
    low_n, low_d = first[0].min(), first[1].min()
    N, D = np.meshgrid(low_n * 2 ** np.arange(0, 12, 0.5), low_d * 2 ** np.arange(0, 12, 0.5))
    good = largest >= 6 * N * D
    return N[good], D[good]


def measure(rng: np.random.Generator, theta: FloatArray, N: FloatArray, D: FloatArray, sd: float) -> FloatArray:
    return np.asarray(CHINCHILLA.predict(theta, points(N, D)) * np.exp(sd * rng.standard_normal(len(N))))


def half_width(N: FloatArray, D: FloatArray, L: FloatArray, target: float) -> tuple[float, float]:
    """Half the 90% interval of ln N*, as the program states it, and ln N* itself."""
    rows = Observations(N, D, L)
    fit = fit_law(CHINCHILLA, rows)

    def params(theta: FloatArray) -> FloatArray:
        return np.exp(log_optimal_params(CHINCHILLA, target)(theta))

    with np.errstate(all="ignore"):
        found = delta_interval(fit, rows, params, level=0.9, log=True)
    return float(np.log(found.high / found.low) / 2), float(np.log(params(fit.theta[None])[0]))


def adaptive(
    rng: np.random.Generator, theta: FloatArray, sd: float, largest: float, target: float, flops: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Rounds of c-optimal points until the FLOPs are spent."""
    best = float(CHINCHILLA.optimal_params(theta[None], np.array([largest / 27]))[0])
    # A guess of the right decade is all it starts from: off by a factor of three.
    N, D = (x.ravel() for x in np.meshgrid(3 * best * np.array([1 / 16, 1 / 4, 1.0]), np.array([0.0, 0.0, 0.0])))
    tokens = largest / 27 / 6 / (3 * best)
    D = np.repeat(tokens * np.array([1 / 8, 1 / 2, 2.0]), 3)
    scale = FIRST_SHARE * flops / float(np.sum(6 * N * D))
    N, D = N * scale**0.25, D * scale**0.75
    L = measure(rng, theta, N, D, sd)
    pool = candidates(largest, (N, D))
    for round_ in range(ROUNDS):
        rows = Observations(N, D, L)
        fit = fit_law(CHINCHILLA, rows)
        usable = bool(fit.parameters) and min(fit.parameters["alpha"], fit.parameters["beta"]) > 0.05
        belief = fit.theta if usable else np.array([0.5 * L.min(), 400.0, 2000.0, 0.35, 0.35])
        noise = Noise(min(max(linearise_fit(fit, rows).noise, 1e-4), 0.1)) if usable else Noise(0.01)
        spent = float(np.sum(6 * N * D))
        allowed = (flops - spent) / (ROUNDS - round_)
        more = greedy(belief, N, D, pool, noise, target, allowed, max(2, (MAX_POINTS - 9) // ROUNDS))
        N, D = np.append(N, more[0]), np.append(D, more[1])
        L = np.append(L, measure(rng, theta, more[0], more[1], sd))
    return N, D, L


def greedy(
    belief: FloatArray, N: FloatArray, D: FloatArray, pool: tuple[FloatArray, FloatArray], noise: Noise,
    target: float, flops: float, count: int,
) -> tuple[FloatArray, FloatArray]:  # fmt: skip
    """At most `count` points, each with the largest fall of the log variance for its cost."""
    local = linear(CHINCHILLA, belief, points(np.append(N, pool[0]), np.append(D, pool[1])))
    slope = local.slope(log_optimal_params(CHINCHILLA, target))
    own, others = local.slopes[: len(N)], local.slopes[len(N) :]
    known = knowledge(own, np.arange(len(N)), noise, prior=weak_prior(CHINCHILLA))
    costs, spent, chosen = 6 * pool[0] * pool[1], 0.0, []
    for _ in range(count):
        least = (flops - spent) / (count - len(chosen))
        now = known.sd(slope) ** 2
        after = known.variances_with(others, np.full(len(costs), -1), slope)
        gain = np.where(costs <= flops - spent, np.log(now / after) / np.maximum(costs, least), -np.inf)
        at = int(np.argmax(gain))
        if not np.isfinite(gain[at]):
            break
        chosen.append(at)
        spent += float(costs[at])
        known = known.plus(others[at], -1)
    return pool[0][chosen], pool[1][chosen]


def main() -> None:
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    print(
        "| law | noise | isoFLOP: half width of ln N* | sd of its error | at half the FLOPs, adaptive: half width | "
        "sd of its error | FLOPs | points | width ratio |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, (theta, largest) in LAWS.items():
        target = 10 * largest
        N, D = isoflop_grid(theta, largest)
        full = float(np.sum(6 * N * D))
        for sd in (0.003, 0.01):
            fixed, moving, shares, counts = [], [], [], []
            for seed in range(studies):
                rng = np.random.default_rng(seed)
                fixed.append(half_width(N, D, measure(rng, theta, N, D, sd), target))
                n, d, losses = adaptive(rng, theta, sd, largest, target, SHARE * full)
                moving.append(half_width(n, d, losses, target))
                shares.append(float(np.sum(6 * n * d)) / full)
                counts.append(len(n))
            a, b = np.array(fixed), np.array(moving)
            widths = np.median(a[:, 0]), np.median(b[:, 0])
            errors = [1.4826 * float(np.median(np.abs(x[:, 1] - np.median(x[:, 1])))) for x in (a, b)]
            print(
                f"| {name} | {sd:g} | {widths[0]:.3f} | {errors[0]:.3f} | {widths[1]:.3f} | {errors[1]:.3f} | "
                f"{np.mean(shares):.0%} | {np.mean(counts):.0f} | {widths[1] / widths[0]:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
