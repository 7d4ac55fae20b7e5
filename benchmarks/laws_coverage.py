"""Do nominal 90% intervals hold the truth 90% of the time? Simulated studies of 24 points, and of six trunks.

python -m benchmarks.laws_coverage [--studies 400] [--resamples 400]
"""

import argparse

import numpy as np

from benchmarks.laws_data import TRUTH, study
from scaling.laws.bootstrap import bootstrap
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.intervals import delta_interval, parameter_intervals, percentiles
from scaling.laws.observations import FloatArray

TARGET = 1e22  # FLOPs, 100 times the largest budget of the isoFLOP design
LEVEL = 0.9


def log_optimum(theta: FloatArray) -> FloatArray:
    """Give log N* at the target."""
    return np.asarray(np.log(CHINCHILLA.optimal_params(theta, np.array(TARGET))))


def main() -> None:
    """Print one line a design, noise and method."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--resamples", type=int, default=400)
    parser.add_argument("--designs", nargs="*", default=("grid", "isoflop", "trunks"))
    arguments = parser.parse_args()
    truth = np.array([TRUTH[3], TRUTH[4], TRUTH[0], float(log_optimum(TRUTH))])
    print("| design | noise | method | alpha | beta | E | N* |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for design in arguments.designs:
        for noise in (0.003, 0.01, 0.02):
            covered = {"delta-t": np.zeros(4), "bootstrap": np.zeros(4)}
            for seed in range(arguments.studies):
                rows = study(design, noise, seed)
                fit = fit_law(CHINCHILLA, rows)
                intervals = parameter_intervals(fit, rows, level=LEVEL)
                four = [intervals[name] for name in ("alpha", "beta", "E")]
                four.append(delta_interval(fit, rows, log_optimum, level=LEVEL))
                covered["delta-t"] += [i.low <= t <= i.high for i, t in zip(four, truth, strict=True)]
                if arguments.resamples:
                    draws = bootstrap(fit, rows, resamples=arguments.resamples, seed=seed).parameters
                    with np.errstate(all="ignore"):
                        values = np.column_stack([draws[:, [3, 4, 0]], log_optimum(draws)])
                    low, high = percentiles(values, LEVEL)
                    covered["bootstrap"] += (low <= truth) & (truth <= high)
            for method, count in covered.items():
                if method == "delta-t" or arguments.resamples:
                    shares = " | ".join(f"{share:.3f}" for share in count / arguments.studies)
                    print(f"| {design} | {noise} | {method} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
