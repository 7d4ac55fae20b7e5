"""Do the intervals hold the truth, and do the checks warn, on tables whose truth is known?

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.laws_truth [--studies 400] [--only clean coupled] [--isoflop 5]

Each table goes through the whole analysis of `scaling.fit`. holds: share of studies whose 95% interval holds N* at 10
and 100 times the largest budget, and a new loss at 10; width: of that of N* over that of plain Chinchilla's delta
method, medians; error: of the loss at 10 times over plain Chinchilla's, mean absolute; warned: any finding at warn or
refuse but `extrapolation`; named: all spoilt rows, and none. `--isoflop K`: K clean studies of each design of 3 to 6
budgets, 4 to 12 sizes, 1 to 3 decades, and how many have no forecast.
"""

import argparse
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import product

import numpy as np

from benchmarks.laws_scenarios import NOISE, SCENARIOS, base, best, draw, isoflop
from scaling.analysis.law_report import Rows, law_report
from scaling.checks.catalogue import FIT
from scaling.laws.backtest import forecaster
from scaling.laws.fit import fit_law
from scaling.laws.form_report import optimum_intervals
from scaling.laws.forms import CHINCHILLA
from scaling.laws.noise import row_noise
from scaling.laws.observations import Observations, points

FAR = (10.0, 100.0)
Result = dict[str, float]


def study(name: str, seed: int) -> tuple[Result, tuple[str, ...]]:
    """Measures of one study, and the findings that warn."""
    warnings.simplefilter("ignore")
    scenario = draw(name, seed)
    rows = scenario.rows
    largest = float(np.max(6 * rows.params * rows.tokens))
    targets = tuple(times * largest for times in FAR)
    report = law_report(
        Rows("simulation", rows, None, None, {"as given": rows}, {}), targets=targets, resamples=0, level=0.95, seed=0
    )
    fit, asked = report.surface.fit, report.analysis.forecaster
    found: Result = {"converged": float(fit.usable)}
    grave = tuple(
        finding.name
        for check in FIT
        for finding in check(report)
        if finding.level != "info" and finding.name != "extrapolation"
    )
    found["warned"] = float(bool(grave))
    noise = row_noise(fit.residuals, rows.flops, len(fit.parameters)) if fit.parameters else None
    if noise is not None and scenario.odd.any():
        found["named"] = float(noise.odd[scenario.odd].all())
    if asked is None:
        return found, grave
    rng = np.random.default_rng([seed, 1])
    for times, flops in zip(FAR, targets, strict=True):
        params, loss = scenario.best(flops)
        chosen = asked.best(flops)
        if chosen is not None:
            held = chosen.params_interval
            found[f"N* {times:g}"] = float(held.low <= params <= held.high)
            plain, _, _ = optimum_intervals(fit, rows, flops)
            found[f"width {times:g}"] = float(np.log(held.high / held.low) / np.log(plain.high / plain.low))
        at = points(params, flops / 6 / params)
        told = asked.predict(at)
        new = loss * np.exp(scenario.noise * rng.standard_normal())
        found[f"loss {times:g}"] = float(told.low[0] <= new <= told.high[0])
        found[f"error {times:g}"] = abs(float(told.loss[0]) / loss - 1)
        found[f"plain {times:g}"] = abs(float(CHINCHILLA.predict(fit.theta, at)[0]) / loss - 1)
    return found, grave


def profile(budgets: int, sizes: int, decades: float, seed: int) -> tuple[bool, bool | None, bool | None]:
    """Whether the law converged on a clean isoFLOP study, and what holds N* and a new loss at ten times its compute."""
    warnings.simplefilter("ignore")
    rng = np.random.default_rng([budgets, sizes, int(10 * decades), seed])
    N, D = isoflop(rng, budgets, sizes, decades)
    rows = Observations(N, D, base(N, D) * np.exp(NOISE * rng.standard_normal(len(N))))
    usable = fit_law(CHINCHILLA, rows).usable
    try:
        asked = forecaster(rows)
    except ValueError:
        return usable, None, None
    flops = 10 * float(np.max(6 * N * D))
    params, loss = best(base, flops)
    chosen, told = asked.best(flops), asked.predict(points(params, flops / 6 / params))
    if chosen is None:
        return usable, None, None
    new = loss * np.exp(NOISE * rng.standard_normal())
    held = chosen.params_interval
    return usable, held.low <= params <= held.high, bool(told.low[0] <= new <= told.high[0])


def line(name: str, results: list[tuple[Result, tuple[str, ...]]]) -> str:
    found = [result for result, _ in results]

    def mean(key: str) -> float:
        values = [one[key] for one in found if key in one]
        return float(np.mean(values)) if values else float("nan")

    def median(key: str) -> float:
        values = [one[key] for one in found if key in one]
        return float(np.median(values)) if values else float("nan")

    by_check = Counter(check for _, checks in results for check in set(checks))
    told = ", ".join(f"{check} {count / len(found):.0%}" for check, count in by_check.most_common(3))
    named = "" if np.isnan(mean("named")) else f"{mean('named'):.0%}"
    error = mean("error 10") / mean("plain 10")
    return (
        f"| {name} | {mean('converged'):.0%} | {mean('N* 10'):.0%} | {mean('N* 100'):.0%} | {median('width 10'):.2f} "
        f"| {mean('loss 10'):.0%} | {error:.2f} | {named} | {mean('warned'):.0%} | {told} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--only", nargs="*", default=list(SCENARIOS))
    parser.add_argument("--isoflop", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    with ProcessPoolExecutor(arguments.processes) as pool:
        print("| scenario | law | holds N* at 10 | at 100 | width | holds a loss | error | named | warned | by |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        for name in arguments.only:
            seeds = range(arguments.studies)
            print(line(name, list(pool.map(study, [name] * len(seeds), seeds, chunksize=5))), flush=True)
        jobs = list(product((3, 4, 5, 6), (4, 6, 7, 8, 12), (1.0, 1.5, 2.0, 3.0), range(arguments.isoflop)))
        if jobs:
            found = list(pool.map(profile, *zip(*jobs, strict=True), chunksize=5))
            usable = [one for one in found if one[0]]
            print(
                f"\nclean isoFLOP studies: {len(usable)} of {len(found)} laws converged, "
                f"{sum(one[1] is None for one in usable)} without a forecast; 95% intervals hold N* in "
                f"{np.mean([bool(one[1]) for one in usable]):.1%} and a loss in "
                f"{np.mean([bool(one[2]) for one in usable]):.1%}"
            )


if __name__ == "__main__":
    main()
