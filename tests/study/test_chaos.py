"""Kills at random moments of three studies at once, with fits and recommendations beside their sweeps: afterwards one
more sweep of each completes it, and nothing of the kills is left, inside or outside.

CHAOS_KILLS sets how many (100), CHAOS_SEED the moments. `make chaos` prints what was done: docs/reliability.md.
"""

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scaling.records import read_records, record_path, recorded
from scaling.specs import read_plan
from scaling.stages.finish import forecast_held_out
from scaling.store import LEDGER_FILE, Forecast, read_forecasts
from tests.planted_study import planted_study
from tests.study.test_commands import ROOT, command
from tests.words import write_documents

KILLS, SEED = int(os.environ.get("CHAOS_KILLS", "100")), int(os.environ.get("CHAOS_SEED", "0"))
SIZES = "[{name: a, num_layers: 1, d_model: 8, num_heads: 1}, {name: b, num_layers: 1, d_model: 16, num_heads: 1}, "
SIZES += "{name: c, num_layers: 2, d_model: 16, num_heads: 1}]"
SHARED = (
    f"grid.sizes={SIZES}", "grid.replicates=[]", "grid.holdout_min=1", "runtime.workers=1",
    "runtime.checkpoint_every_seconds=0.2", "retry=1000",
)  # fmt: skip
STUDIES = {
    "tiny": ("grid.budgets=[8e+4,1.2e+5]",),
    "cosine": ("recipe=cosine", "recipe.warmup_min_steps=10", "grid.budgets=[4e+4,8e+4]"),
    "isoflop": ("grid.kind=isoflop", "grid.budgets=[1.5e+9,3e+9]"),
}
# A study of a planted law, which no sweep trains: fits and recommendations run on it beside each other.
PLANTED = "planted"
BESIDE = ("fit", "recommend")
VICTIMS = (
    ("worker",), ("worker",), ("warm",), ("sweep",), ("fit",), ("fit",), ("recommend",), ("sweep", "worker"),
    ("sweep", "warm"), ("sweep", "fit"),
)  # fmt: skip
# Stopped ones go on after a while, if they live.
NUMBERS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSTOP)


@pytest.fixture
def text_folder(tmp_path: Path) -> Path:
    """Enough that no point sees a word twice: of repeated text no law is fitted."""
    (tmp_path / "text").mkdir()
    return write_documents(tmp_path / "text", documents=120, words_each=300)


def processes(mark: str) -> dict[int, str]:
    """What was started with this mark in its environment and lives: warm, worker, sweep, fit ... by process id."""
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
        named = [kind for kind in ("sweep", *BESIDE) if f"scaling.{kind}" in words]
        if named:
            found[int(folder.name)] = named[0]
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


@dataclass
class Home:
    """A person's folder: studies in `runs`, a cache, and what is nobody else's business."""

    root: Path
    text: Path
    ledgers: dict[tuple[str, tuple[str, int, str]], Forecast] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("notes.txt", "pictures/a.png", "runs/notes.tmp", "runs/mine/analysis/x", "runs/mine/report/a.svg"):
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"mine: {name}")
        config, plan = planted_study(self.root, f"study={PLANTED}", "fit.bootstrap=0", "fit.figures=false")
        # Its ledger, which the fits beside each other complete: forecasts from before the held-out points were there.
        held = [record_path(config.folder / p.run_id, p.tokens) for p in plan.points if p.held_out]
        away = [path.rename(path.with_suffix(".away")) for path in held]
        forecast_held_out(config, plan)
        for path in away:
            path.rename(path.with_suffix(".json"))

    def folder(self, study: str) -> Path:
        return self.root / "runs" / study

    def sweep(self, study: str) -> list[str]:
        return command(self.root, self.text, *SHARED, *STUDIES[study], f"study={study}", "fit.figures=false")

    def beside(self, kind: str, generator: random.Random) -> list[str]:
        """A fit of any study, or a recommendation for a budget that was not asked for yet."""
        study = generator.choice([PLANTED, *STUDIES]) if kind == "fit" else PLANTED
        return self.on(
            kind,
            study,
            f"cache={self.root / 'cache'}" if kind == "fit" else f"flops={generator.uniform(1e13, 1e14):.3e}",
        )

    def on(self, kind: str, study: str, own: str) -> list[str]:
        return [sys.executable, "-m", f"scaling.{kind}", f"study={study}", f"runs={self.root / 'runs'}", own]

    def losses(self) -> dict[tuple[str, str, int], float | None]:
        return {
            (study, record.run_id, record.budget_tokens): record.final_loss_nats
            for study in STUDIES
            for record in read_records(self.folder(study))
        }

    def surroundings(self) -> dict[str, str]:
        """Every file outside the studies and the cache, by its digest."""
        ours = [self.root / "cache", *(self.folder(study) for study in (PLANTED, *STUDIES))]
        return {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.root.rglob("*")
            if path.is_file() and not any(path.is_relative_to(folder) for folder in ours)
        }

    @property
    def said(self) -> Path:
        return self.root.with_suffix(".err")

    def tracebacks(self) -> list[str]:
        """Of the commands' words and the workers' logs, but for those of an interrupt while a process still imports."""
        found = []
        for path in [self.said, *(self.root / "runs").rglob("log.txt")]:
            text = path.read_text(errors="replace") if path.exists() else ""
            if text.count("Traceback (most recent call last)") > text.count("\nKeyboardInterrupt"):
                found.append(f"{path}: {text[-3000:]}")
        return found

    def look_at_ledgers(self) -> None:
        """Every prediction that was ever seen on disk is there as it was made; what was measured stays measured."""
        for study in (PLANTED, *STUDIES):
            now = {forecast.key: forecast for forecast in read_forecasts(self.folder(study), pytest.fail)}
            for (seen_in, key), then in self.ledgers.items():
                if seen_in == study:
                    assert key in now, f"a line of {study}'s {LEDGER_FILE} is gone"
                    assert (now[key].predicted, now[key].made_at) == (then.predicted, then.made_at)
                    assert now[key].measured is not None or then.measured is None
            self.ledgers |= {(study, key): forecast for key, forecast in now.items()}


@pytest.mark.slow  # a hundred kills take minutes
def test_a_hundred_kills_change_nothing(tmp_path: Path, text_folder: Path) -> None:
    if not Path("/proc/self/environ").exists():
        pytest.skip("finds processes in /proc, which this system has not")
    calm = Home(tmp_path / "calm", text_folder)
    complete(calm)
    expected = calm.losses()
    assert {study for study, _, _ in expected} == set(STUDIES)
    generator, told, rounds = random.Random(SEED), Counter[str](), 0
    started, lines = time.monotonic(), 0
    while told.total() < KILLS:
        rounds += 1
        home = Home(tmp_path / f"round{rounds}", text_folder)
        before = home.surroundings()
        mark = f"{os.getpid()}-{rounds}"
        kill_until_done(home, mark, generator, told)
        complete(home)
        assert home.losses() == expected
        home.look_at_ledgers()
        assert any(forecast.measured is not None for forecast in home.ledgers.values())
        assert home.surroundings() == before
        assert home.tracebacks() == []
        assert [path for path in home.root.rglob("*") if path.name.endswith((".partial", ".damaged", ".corrupt"))] == []
        assert list(home.root.rglob(".*.tmp")) == []
        for study in STUDIES:
            plan = read_plan(home.folder(study) / "plan.json")
            for point in plan.points:
                record = recorded(home.folder(study) / point.run_id, point.tokens)
                assert record is not None
                assert record.status == "done"
            assert (home.folder(study) / "points.csv").read_text().count("\n") == 1 + len(plan.points)
        assert are_gone(mark, 30), "an orphan is left"
        lines += len(home.ledgers)
    seconds = round(time.monotonic() - started)
    print(json.dumps({"kills": told, "rounds": rounds, "ledger lines": lines, "seconds": seconds, "seed": SEED}))


def kill_until_done(home: Home, mark: str, generator: random.Random, told: Counter[str]) -> None:
    """Sweeps of all studies, again and again, until all have ended well or enough was killed; beside them one fit or
    recommendation after the other. What is left ends by itself."""
    waiting, sweeps = list(STUDIES), dict[str, subprocess.Popen[bytes]]()
    others: list[subprocess.Popen[bytes]] = []
    stopped: list[tuple[float, int]] = []

    def start(words: list[str]) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "CHAOS_MARK": mark}
        with home.said.open("ab") as said:
            return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=said, cwd=ROOT, env=environment)

    while told.total() < KILLS and (waiting or sweeps):
        while waiting and len(sweeps) < 2:  # at a time, or a small machine does nothing but start
            study = waiting.pop(generator.randrange(len(waiting)))
            sweeps[study] = start(home.sweep(study))
        others = [process for process in others if process.poll() is None]
        if len(others) < 2:
            others.append(start(home.beside(generator.choice(BESIDE), generator)))
        time.sleep(generator.expovariate(1 / 1.5))
        stopped = [(until, pid) for until, pid in stopped if not wake(until, pid)]
        kill_somebody(mark, generator, told, stopped)
        home.look_at_ledgers()
        for study, sweep in list(sweeps.items()):
            if sweep.poll() is not None:
                del sweeps[study]
                waiting += [study] if sweep.returncode not in (0, 3) else []
    for _, pid in stopped:
        wake(0.0, pid)
    for process in [*sweeps.values(), *others]:
        process.wait()
    assert are_gone(mark, 300), "what a killed sweep left does not end"


def wake(until: float, pid: int) -> bool:
    """Let a stopped process go on when its time is over; whether it was."""
    if time.monotonic() < until:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    return True


def complete(home: Home) -> None:
    beside = home.beside("recommend", random.Random(0)), home.on("fit", PLANTED, f"cache={home.root / 'cache'}")
    for words in [*(home.sweep(study) for study in STUDIES), *beside]:
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode in (0, 3), done.stderr
        assert "Traceback" not in done.stderr, done.stderr


def are_gone(mark: str, seconds: float) -> bool:
    """Whether all processes with this mark end in so many seconds of this process, which may itself be paused."""
    for _ in range(round(seconds / 0.2)):
        if not processes(mark):
            return True
        time.sleep(0.2)
    return False


def kill_somebody(mark: str, generator: random.Random, told: Counter[str], stopped: list[tuple[float, int]]) -> None:
    alive = processes(mark)
    kinds = generator.choice(VICTIMS)
    if not all(of(alive, kind) for kind in kinds):
        return
    number = generator.choice(NUMBERS)
    for pid in [generator.choice(of(alive, kind)) for kind in kinds]:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
        if number == signal.SIGSTOP:
            stopped.append((time.monotonic() + generator.uniform(0.5, 6.0), pid))
    told[f"{' and '.join(kinds)} by {number.name}"] += 1


def of(alive: dict[int, str], kind: str) -> list[int]:
    return sorted(pid for pid, what in alive.items() if what == kind)
