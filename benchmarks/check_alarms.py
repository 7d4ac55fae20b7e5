"""False alarms on simulated clean studies, and how often each check fires on its sin.

OPENBLAS_NUM_THREADS=1 nice python -m benchmarks.check_alarms [--studies 200] [--sins 20] [--processes 2]

A clean study is the default grid (or seven sizes about the best N at each of four budgets), a planted law and the noise
of the default recipe, through the real plan, records, observations and fits. A false alarm is a study with any finding
at warn or refuse, from dry run to report.
"""

import argparse
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import cache

from benchmarks.check_sins import SINS, clean
from benchmarks.check_studies import OVERRIDES, config, findings, template
from scaling.config import StudyConfig
from scaling.results import StudyReport
from scaling.stages.study import plan_study


@cache
def design(name: str) -> tuple[StudyConfig, StudyReport]:
    study = config(*OVERRIDES[name])
    return study, template(plan_study(study))


def alarms(name: str, seed: int) -> frozenset[str]:
    """Checks at warn or refuse on a clean study."""
    study, whole = design(name)
    return _grave(study, clean(whole, name, seed).report())


def caught(check: str, seed: int) -> frozenset[str]:
    """Checks at warn or refuse on a study with the sin of `check`."""
    name, sin = SINS[check]
    study, whole = design(name)
    return _grave(study, sin(clean(whole, name, seed)).report())


def _grave(study: StudyConfig, report: StudyReport) -> frozenset[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # laws of spoilt points divide by zero on the way
        return frozenset(finding.name for finding in findings(study, report) if finding.level != "info")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--sins", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    seeds = range(arguments.studies)
    with ProcessPoolExecutor(arguments.processes) as pool:
        print("| design | clean studies | with a false alarm | by check |\n| --- | --- | --- | --- |")
        for name in OVERRIDES:
            found = list(pool.map(alarms, [name] * len(seeds), seeds, chunksize=5))
            by_check = Counter(check for names in found for check in names)
            words = ", ".join(f"{check} {count}" for check, count in by_check.most_common()) or "none"
            print(f"| {name} | {len(seeds)} | {sum(map(bool, found)) / len(seeds):.1%} | {words} |", flush=True)
        print("\n| check | sins caught |\n| --- | --- |")
        for check in SINS if arguments.sins else ():
            found = list(pool.map(caught, [check] * arguments.sins, range(arguments.sins), chunksize=5))
            print(f"| {check} | {sum(check in names for names in found)} of {arguments.sins} |", flush=True)


if __name__ == "__main__":
    main()
