"""What launching costs: points a second with nothing to train, and seconds from the command to the first step.

python benchmarks/launching.py            # on an idle machine; needs a prepared corpus for the second figure
"""

import os
import shutil
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
TINY = [
    "experiment=tiny",
    "study=launching",
    "data=python_sources",
    "runtime.log_every_steps=1",
    "runtime.device=cpu",
    "force=[few_steps,unanswerable]",
]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        first = seconds_to_first_step(root)
        print(f"from the command to the first training step: {first:.2f} s")
        rate, cpu = points_a_second(root)
        print(f"{POINTS} points with nothing to train: {rate:.1f} a second, {cpu * 1000:.0f} ms of CPU each")


def seconds_to_first_step(root: Path) -> float:
    """The second of two studies on one corpus: the first prepares it and warms the disk's cache."""
    for study in ("first", "second"):
        command = [sys.executable, "-m", "scaling.sweep", *TINY, f"runs={root / study}", "cache=cache"]
        started = time.time()
        sweep = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (rows := [p for p in (root / study).glob("launching/*/curve-trunk.jsonl") if p.stat().st_size]):
            assert sweep.poll() is None, f"the sweep ended with {sweep.returncode} before its first step"
            time.sleep(0.005)
        seconds = time.time() - started
        if study == "first":
            sweep.wait()
        else:
            sweep.terminate()
            sweep.wait()
    assert rows
    return seconds


def points_a_second(root: Path) -> tuple[float, float]:
    """Runs whose records are there: a process, a lock, a job, a model, two statuses, and no step."""
    done = next(path.parent for path in (root / "first" / "launching").glob("*/record-*.json"))
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
