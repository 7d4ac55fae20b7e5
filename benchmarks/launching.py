"""What launching costs: points a second with nothing to train, and seconds from the command to the first step.

python benchmarks/launching.py            # on an idle Linux machine

CPU seconds beside the others tell what an idle machine would take: the sweep's own process plans on one core while
another imports torch, so that the first step waits for the slower of the two and then for the worker.
"""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scaling.launching.pool import run_pool
from scaling.launching.slots import cpu_environment, make_slots
from scaling.launching.tasks import Task
from scaling.launching.workers import WarmWorkers
from scaling.records import LOCK_FILE, STATUS_FILE

POINTS = 200
STARTS = 7
TINY = [
    "experiment=tiny",
    "study=launching",
    "data=python_sources",
    "runtime.log_every_steps=1",
    "runtime.device=cpu",
    "force=[few_steps,unanswerable,unusable_law]",
]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        subprocess.run(sweep(root, "whole"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        measured = [seconds_to_first_step(root, f"study{i}") for i in range(STARTS)]
        seconds = sorted(each for each, _ in measured)
        print(
            f"from the command to the end of the first training step, {STARTS} starts: median "
            f"{statistics.median(seconds):.2f} s, {seconds[0]:.2f} to {seconds[-1]:.2f} s"
        )
        print(f"CPU of the quickest: {min(measured)[1]}")
        rate, each = points_a_second(root)
        print(
            f"{POINTS} points with nothing to train: {rate:.1f} a second, {each * 1000:.0f} ms of CPU each with torch"
        )


def sweep(root: Path, study: str) -> list[str]:
    return [sys.executable, "-m", "scaling.sweep", *TINY, f"runs={root / study}", "cache=cache"]


def seconds_to_first_step(root: Path, study: str) -> tuple[float, str]:
    """Of a study on a prepared corpus, until a worker has written the loss of its first step."""
    started = time.time()
    process = subprocess.Popen(sweep(root, study), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not [p for p in (root / study).glob("launching/*/curve-trunk.jsonl") if p.stat().st_size]:
        assert process.poll() is None, f"the sweep ended with {process.returncode} before its first step"
        time.sleep(0.005)
    seconds, cpu = time.time() - started, cpu_of_family(process.pid)
    process.terminate()
    process.wait()
    return seconds, ", ".join(cpu)


def cpu_of_family(root: int) -> list[str]:
    """CPU seconds so far of a process and of those that it and they started."""
    parents, seconds = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = stat.read_text().rpartition(")")[2].split()
            pid = int(stat.parent.name)
            parents[pid] = int(fields[1])
            seconds[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    children = [pid for pid, parent in parents.items() if parent == root]
    workers = [seconds[pid] for pid, parent in parents.items() if parent in children]
    return [
        f"sweep {seconds[root]:.2f} s",
        f"warm process {sum(seconds[pid] for pid in children):.2f} s",
        f"each worker {max(workers, default=0.0):.2f} s",
    ]


def points_a_second(root: Path) -> tuple[float, float]:
    """Runs whose records are there: a process, a lock, a job, a model, two statuses, and no step."""
    done = next(path.parent for path in (root / "whole" / "launching").glob("*/record-*.json"))
    tasks = []
    for i in range(POINTS):
        copy = root / f"study{i}" / done.name
        shutil.copytree(done, copy, ignore=shutil.ignore_patterns(LOCK_FILE, STATUS_FILE, "*.pt", "trunk", "budget-*"))
        tasks.append(Task(copy, 1.0, ()))
    slots = make_slots(workers=None, threads=1, use_gpus=False)
    workers = WarmWorkers(cpu_environment("1"))
    run_pool(tasks[:2], slots, workers)  # torch is imported
    started, before = time.monotonic(), os.times()
    result = run_pool(tasks[2:], slots, workers)
    seconds = time.monotonic() - started
    workers.close()
    after = os.times()
    assert len(result.done) == POINTS - 2, result
    return (POINTS - 2) / seconds, (after.children_user - before.children_user) / POINTS


if __name__ == "__main__":
    main()
