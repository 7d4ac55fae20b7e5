"""Kills at random moments, of workers, of their warm parent and of the sweep, by -9 and by TERM: afterwards one more
sweep completes the study, and nothing of the kills is left in it.

CHAOS_KILLS sets how many (100), CHAOS_SEED the moments. `make chaos` prints what was done; docs/chaos.md has a run.
"""

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from scaling.records import read_record
from tests.study.test_commands import ROOT, command, losses, text_folder

__all__ = ["text_folder"]

KILLS, SEED = int(os.environ.get("CHAOS_KILLS", "100")), int(os.environ.get("CHAOS_SEED", "0"))
LONGER = ("grid.budgets=[8e+4,1.2e+5]", "grid.replicates=[]", "runtime.checkpoint_every_seconds=0.2", "retry=1000")


def processes(mark: str) -> dict[int, str]:
    """What was started with this mark in its environment and lives: warm, worker, sweep or other, by process id."""
    found: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            if f"CHAOS_MARK={mark}".encode() not in (folder / "environ").read_bytes():
                continue
            words = (folder / "cmdline").read_bytes().decode().split("\0")
            state, parent, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if state == "Z":
            continue
        if "scaling.sweep" in words:
            found[int(folder.name)] = "sweep"
        elif "--warm" in words:
            found[int(folder.name)] = "worker" if _is_fork(parent, words) else "warm"
        else:
            found[int(folder.name)] = "other"
    return found


def _is_fork(parent: str, words: list[str]) -> bool:
    """A fork has its parent's command line; where that parent was killed, the sweep is not its parent either."""
    try:
        above = Path(f"/proc/{parent}/cmdline").read_bytes().decode().split("\0")
    except FileNotFoundError:
        return True
    return above == words or "scaling.sweep" not in above


@pytest.mark.slow  # a hundred kills take minutes
def test_a_hundred_kills_change_nothing(tmp_path: Path, text_folder: Path) -> None:
    if not Path("/proc/self/environ").exists():
        pytest.skip("finds processes in /proc, which this system has not")
    calm = tmp_path / "calm"
    complete(calm, text_folder)
    expected = losses(calm)
    generator, told, rounds = random.Random(SEED), Counter[str](), 0
    started = time.monotonic()
    while sum(told.values()) < KILLS:
        rounds += 1
        folder = tmp_path / f"round{rounds}"
        mark = f"{os.getpid()}-{rounds}"
        kill_until_done(folder, text_folder, mark, generator, told)
        complete(folder, text_folder)
        assert losses(folder) == expected
        study = folder / "runs" / "tiny"
        assert [path for path in study.rglob("*") if path.name.endswith((".tmp", ".partial"))] == []
        for path in study.glob("*/record-*.json"):
            assert read_record(path).status == "done"
        assert (study / "points.csv").read_text().count("\n") == 1 + len(expected)
        assert are_gone(mark, 30), "an orphan is left"
    print(json.dumps({"kills": told, "studies": rounds, "seconds": round(time.monotonic() - started), "seed": SEED}))


def kill_until_done(folder: Path, text: Path, mark: str, generator: random.Random, told: Counter[str]) -> None:
    """Sweep after sweep until one ends well or enough was killed; what is left of it ends by itself."""
    environment = {**os.environ, "CHAOS_MARK": mark}
    while sum(told.values()) < KILLS:
        sweep = subprocess.Popen(
            command(folder, text, *LONGER),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env=environment,
        )
        while sweep.poll() is None and sum(told.values()) < KILLS:
            time.sleep(generator.expovariate(1 / 1.5))
            kill_somebody(mark, generator, told)
        if sweep.poll() == 0:
            return
        if sweep.poll() is None:
            sweep.wait()
    assert are_gone(mark, 300), "what a killed sweep left does not end"


def complete(folder: Path, text: Path) -> None:
    done = subprocess.run(command(folder, text, *LONGER), capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def are_gone(mark: str, seconds: float) -> bool:
    """Whether all processes with this mark end in so many seconds of this process, which may itself be paused."""
    for _ in range(round(seconds / 0.2)):
        if not processes(mark):
            return True
        time.sleep(0.2)
    return False


def kill_somebody(mark: str, generator: random.Random, told: Counter[str]) -> None:
    alive = processes(mark)
    kinds = generator.choice([("worker",), ("worker",), ("warm",), ("sweep",), ("sweep", "worker"), ("sweep", "warm")])
    if not all(of(alive, kind) for kind in kinds):
        return
    victims = [generator.choice(of(alive, kind)) for kind in kinds]
    number = generator.choice([signal.SIGKILL, signal.SIGTERM])
    for pid in victims:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
    told[f"{' and '.join(kinds)} by {number.name}"] += 1


def of(alive: dict[int, str], kind: str) -> list[int]:
    return sorted(pid for pid, what in alive.items() if what == kind)
