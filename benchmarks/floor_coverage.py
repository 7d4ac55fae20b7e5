"""How often the interval for the floor E holds the truth: simulated studies whose law and noise are known.

python -m benchmarks.floor_coverage [--studies 40]

The designs are the shipped ones: sizes, budgets and seeds of the default study and of `experiment=truth`. Some of the
laws are Chinchilla's or one that the interval knows, and some are not: an exponent that shrinks on the way, a loss that
meets its floor faster than any power. The noise is independent in every point, or in part shared by a trajectory, or
wanders along it in proportion to what is above the floor.
"""

import argparse
from collections.abc import Callable
from itertools import product

import numpy as np

from scaling.laws.floor import floor_interval
from scaling.laws.observations import FloatArray, Observations

E = 0.7  # nats per token
NOISE = 0.005  # standard deviation of the log loss
WANDER = 0.08  # standard deviation of the log of the excess, for each doubling of D

# What stands above the floor at n = N / 100,000 and d = D / 1,000,000: about .12 in the middle of a design.
LAWS: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "power laws": lambda n, d: 0.06 * n**-0.6 + 0.06 * d**-0.6,
    "one exponent": lambda n, d: 0.06 * n**-0.5 + 0.06 * d**-0.5,
    "interaction 0.6": lambda n, d: (0.015 * n**-1.0 + 0.015 * d**-1.0) ** 0.6,
    "interaction 1.6": lambda n, d: (0.13 * n**-0.4 + 0.13 * d**-0.4) ** 1.6,
    "exponents that grow": lambda n, d: 0.12 * (n + 0.5) ** -1.2 + 0.15 * (d + 0.8) ** -1.2,
    "exponents that shrink": lambda n, d: 0.06 * n**-0.6 + 0.03 * d**-1.0 + 0.03 * d**-0.3,
    "faster than a power": lambda n, d: 0.06 * n**-0.4 * np.exp(-n / 4) + 0.07 * d**-0.4 * np.exp(-d / 4),
}
NOISES = ("independent", "half shared", "wandering")

Size = tuple[float, tuple[float, ...], int]  # N, budgets, seeds
DESIGNS: dict[str, tuple[Size, ...]] = {
    "default": (
        (1.5e4, (2.6e5, 5.2e5, 1.0e6, 2.1e6, 3.1e6), 3),
        (3.3e4, (2.6e5, 5.2e5, 1.0e6, 2.1e6, 3.1e6), 3),
        (6.8e4, (2.6e5, 5.2e5, 1.0e6, 2.1e6, 3.1e6), 1),
        (1.6e5, (2.6e5, 5.2e5, 1.0e6, 1.6e6, 2.1e6), 1),
        (3.6e5, (2.6e5, 5.2e5, 7.9e5, 1.0e6, 1.6e6), 1),
        (1.0e6, (2.6e5, 3.9e5, 5.2e5, 6.6e5, 7.9e5), 1),
    ),
    "truth": (
        (1.5e4, (2.6e5, 3.9e5, 5.2e5, 1.0e6, 2.1e6), 3),
        (3.3e4, (2.6e5, 3.9e5, 5.2e5, 1.0e6, 2.1e6), 3),
        (6.8e4, (2.6e5, 3.9e5, 5.2e5, 1.0e6, 2.1e6), 1),
        (1.2e5, (2.6e5, 3.9e5, 5.2e5, 1.0e6, 2.1e6), 1),
        (2.5e5, (2.6e5, 3.9e5, 5.2e5, 1.0e6), 1),
    ),
    "truth, further": (
        (2.0e4, (5.2e5, 7.9e5, 1.0e6, 2.1e6, 4.2e6, 8.4e6), 2),
        (3.3e4, (5.2e5, 7.9e5, 1.0e6, 2.1e6, 4.2e6, 8.4e6), 2),
        (6.8e4, (5.2e5, 7.9e5, 1.0e6, 2.1e6, 4.2e6, 8.4e6), 1),
        (1.2e5, (5.2e5, 7.9e5, 1.0e6, 2.1e6, 4.2e6), 1),
        (2.5e5, (5.2e5, 7.9e5, 1.0e6, 2.1e6), 1),
    ),
}


def study(design: str, law: str, noise: str, seed: int) -> Observations:
    """One simulated study; the second and third seed of a size have its first three budgets."""
    source = np.random.default_rng(seed)
    params, tokens, logs, runs = [], [], [], []
    for size, budgets, seeds in DESIGNS[design]:
        for number in range(seeds):
            at = np.array(budgets if number == 0 else budgets[:3])
            excess = LAWS[law](np.full(len(at), size / 1e5), at / 1e6)
            drawn = source.standard_normal(len(at))
            if noise == "wandering":
                steps = np.sqrt(np.log2(at / np.append(at[0] / 2, at[:-1])))
                logs.append(np.log(E + excess * np.exp(WANDER * np.cumsum(steps * drawn))))
            else:
                shared = source.standard_normal() if noise == "half shared" else None
                mixed = drawn if shared is None else np.sqrt(0.5) * (drawn + shared)
                logs.append(np.log(E + excess) + NOISE * mixed)
            params.append(np.full(len(at), size))
            tokens.append(at)
            runs += [f"{size:g} {number}"] * len(at)
    return Observations(
        np.concatenate(params), np.concatenate(tokens), np.exp(np.concatenate(logs)), trajectory=np.array(runs)
    )


def main() -> None:
    """Print one line a design, law and noise."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=40)
    studies = parser.parse_args().studies
    print("| design | law | noise | holds E | too low | too high | median width / E |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for design, law, noise in product(DESIGNS, LAWS, NOISES):
        found = [floor_interval(study(design, law, noise, seed)) for seed in range(studies)]
        known = [each for each in found if each is not None]
        low, high = (np.array([getattr(each, end) for each in known]) for end in ("low", "high"))
        inside, too_low, too_high = ((low <= E) & (high >= E)).mean(), (high < E).mean(), (low > E).mean()
        width = np.median((high - low) / E)
        print(
            f"| {design} | {law} | {noise} | {inside:.0%} | {too_low:.0%} | {too_high:.0%} | {width:.0%} |", flush=True
        )


if __name__ == "__main__":
    main()
