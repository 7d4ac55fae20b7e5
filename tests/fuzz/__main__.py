"""make fuzz: configs, tables and the files of a study for so many seconds, from a seed; every finding is printed, and
the exit code is 1 where there is one.

python -m tests.fuzz --seconds 600 --seed 0
python -m tests.fuzz --only studies --seed 0 --first 17 --cases 1    # one finding again
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from tests.fuzz import configs, studies, tables
from tests.fuzz.process import import_all

BATCH = 25  # configs in one child


def config_runs(root: Path, seed: int, first: int) -> Iterator[tuple[int, list[str]]]:
    composed = configs.Composed(root)
    number = first
    while True:
        batch = [composed.draw(Random(f"{seed} config {number + i}")) for i in range(BATCH)]
        yield BATCH, configs.run(composed, batch)[1]
        number += BATCH


def table_runs(root: Path, seed: int, first: int) -> Iterator[tuple[int, list[str]]]:
    number = first
    while True:
        with tempfile.TemporaryDirectory(dir=root) as folder:
            words, faults = tables.run(Random(f"{seed} table {number}"), Path(folder))
        yield 1, [f"{words}: {fault}" for fault in faults]
        number += 1


def study_runs(root: Path, seed: int, first: int) -> Iterator[tuple[int, list[str]]]:
    _, plan = studies.whole_study(root / "whole")
    every = studies.cases(root / "whole/runs/default", Random(f"{seed} studies"))
    for number, (file, harm) in enumerate(every):
        if number >= first:
            words, faults = studies.run(root / "whole", plan, file, harm, Random(f"{seed} study {number}"), root)
            yield 1, [f"{words}: {fault}" for fault in faults]


RUNS: dict[str, Callable[[Path, int, int], Iterator[tuple[int, list[str]]]]] = {
    "configs": config_runs,
    "tables": table_runs,
    "studies": study_runs,
}


def fuzz(kind: str, seed: int, *, first: int = 0, seconds: float | None = None, cases: int | None = None) -> list[str]:
    """Findings of one kind, each with its number, which `first` takes."""
    found: list[str] = []
    done, began = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for count, faults in RUNS[kind](Path(folder), seed, first):
            found += [f"{kind}, seed {seed}, {first + done}: {fault}" for fault in faults]
            for fault in found[len(found) - len(faults) :]:
                print(fault, flush=True)
            done += count
            over = seconds is not None and time.monotonic() - began > seconds
            if over or (cases is not None and done >= cases):
                break
    print(f"{kind}: {done} cases in {time.monotonic() - began:.0f} s, {len(found)} findings", flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(RUNS))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--cases", type=int)
    asked = parser.parse_args()
    import_all()
    kinds = [asked.only] if asked.only else list(RUNS)
    share = asked.seconds / len(kinds)
    found = [f for kind in kinds for f in fuzz(kind, asked.seed, first=asked.first, seconds=share, cases=asked.cases)]
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
