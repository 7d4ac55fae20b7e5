"""A real Slurm of two nodes on this machine: what it does to a study, and what the study makes of it.

Notices are made to hit a known place: the worker is frozen there (SIGSTOP) until Slurm's signal waits for it.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.words import write_documents

ROOT = Path(__file__).parents[2]
PATIENCE = 150.0  # seconds for whatever Slurm does within a few on an idle machine

STEPS, COOLDOWN = 1500, 1200
SIX = (
    "recipe=cosine",
    "grid.sizes=[{name: a, num_layers: 1, d_model: 8, num_heads: 1}, {name: b, num_layers: 1, d_model: 16, "
    "num_heads: 1}, {name: c, num_layers: 2, d_model: 16, num_heads: 1}]",
    "grid.budgets=[16000,24000]",
    "grid.holdout_min=1",
    "recipe.warmup_min_steps=10",
)
ONE = (
    "grid.sizes=[{name: a, num_layers: 1, d_model: 8, num_heads: 1}]",
    f"grid.budgets=[{STEPS * 128}]",
    "grid.holdout_share=0",
    "recipe.warmup_min_steps=10",
    "runtime.log_every_steps=10",
)

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_documents(tmp_path_factory.mktemp("text"), documents=40, words_each=300)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


class Study:
    """One study's commands and folder."""

    def __init__(self, root: Path, text: Path, cache: Path, *grid: str) -> None:
        self.folder = root / "runs" / "tiny"
        self._overrides = [
            "experiment=tiny", "data=local", f"data.source.path={text}", "data.validation_fraction=0.1",
            "grid.replicates=[]", f"runs={root / 'runs'}", f"cache={cache}", "fit.bootstrap=20", "fit.figures=false",
            "runtime.tensorboard=false", "runtime.device=cpu",
            "force=[few_steps,unanswerable,unidentifiable_design,warmup_share,unusable_law]", *grid,
        ]  # fmt: skip

    def command(self, module: str, *overrides: str) -> list[str]:
        return [sys.executable, "-m", f"scaling.{module}", *self._overrides, *overrides]

    def run(self, module: str, *overrides: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(module, *overrides), capture_output=True, text=True, check=False, cwd=ROOT, timeout=300
        )

    def submit(self, *overrides: str) -> str:
        """Train the study on Slurm without waiting; the id of the one job."""
        done = self.run("train", "-m", "hydra/launcher=slurm", "hydra.launcher.partition=low", *overrides)
        assert done.returncode == 0, done.stderr
        (submission,) = (self.folder / "slurm").glob("*.json")
        return str(json.loads(submission.read_text())["job_id"])

    def status(self) -> dict[str, Any] | None:
        paths = list(self.folder.glob("*/status.json"))
        return json.loads(paths[0].read_text()) if paths else None

    def losses(self) -> list[float]:
        records = [json.loads(path.read_text()) for path in sorted(self.folder.glob("*/record-*.json"))]
        return [record["final_loss_nats"] for record in records]

    def freeze_at(self, step: int) -> int:
        """Stop the worker once it is past a step, before it is done; returns its process id."""
        until(lambda: (self.status() or {"step": 0})["step"] >= step)
        status = self.status()
        assert status is not None
        os.kill(status["pid"], signal.SIGSTOP)
        until(lambda: told_of(status["pid"])["State"][0] == "T")  # on a busy machine a moment later
        assert status["state"] == "running", "the run was over before it could be frozen"
        return int(status["pid"])


def until(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def slurm(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout


def job_state(job_id: str) -> str:
    told = slurm("scontrol", "--oneliner", "show", "job", job_id)
    return told.partition("JobState=")[2].split(" ")[0]


def told_of(pid: int) -> dict[str, str]:
    """The fields of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def is_told(pid: int) -> bool:
    """Whether Slurm's signal waits for a frozen process, or has woken it."""
    try:
        told = told_of(pid)
    except FileNotFoundError:
        return True
    waiting = int(told["SigPnd"], 16) | int(told["ShdPnd"], 16)
    return told["State"][0] != "T" or any(waiting >> (number - 1) & 1 for number in (signal.SIGTERM, signal.SIGUSR1))


def wake(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def go_on(job_id: str) -> None:
    """A requeued job is held for two minutes: this one is not."""
    until(lambda: job_state(job_id) == "PENDING")
    slurm("scontrol", "update", f"JobId={job_id}", "StartTime=now+4")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, lab: Path, text: Path, cache: Path) -> list[float]:
    study = Study(tmp_path_factory.mktemp("undisturbed"), text, cache, *ONE)
    done = study.run("train", "point=0")
    assert done.returncode == 0, done.stderr
    return study.losses()


def test_six_points_on_two_nodes_without_a_local_process(tmp_path: Path, lab: Path, text: Path, cache: Path) -> None:
    """Everything is submitted at once, the fit behind it; status sees it, and the command collects and fits as well."""
    study = Study(tmp_path, text, cache, *SIX)
    options = ("hydra/launcher=slurm", "hydra.launcher.cpus_per_task=2", "launch.min_seconds_per_job=0")
    submitted = study.run("sweep", *options, "launch.then_fit=true")
    assert submitted.returncode == 0, submitted.stderr
    assert "submitted 6 runs" in submitted.stderr
    told = json.loads(study.run("status", "json=true").stdout)
    assert sum(told["counts"].get(state, 0) for state in ("queued", "running", "done", "stale")) == 6
    again = study.run("sweep", *options)
    assert again.returncode == 0, again.stderr
    assert "submitted" not in again.stderr or "runs were in the queue already" in again.stderr
    until(lambda: not slurm("squeue", "--noheader"))
    jobs = [line for line in slurm("scontrol", "--oneliner", "show", "job").splitlines() if "ArrayTaskId=" in line]
    assert {line.partition(" NodeList=")[2].split(" ")[0] for line in jobs} == {"n1", "n2"}
    assert len(study.losses()) == 6
    assert any("no forecast: " in path.read_text() for path in (study.folder / "slurm").glob("*.out")), (
        "four points fit"
    )
    page = study.folder / "report" / "index.html"
    assert any(str(page) in path.read_text() for path in (study.folder / "slurm").glob("*.out")), "no job fitted"
    page.unlink()
    collected = study.run("sweep", *options)
    assert collected.returncode == 0, collected.stderr
    assert page.exists()
    for log in study.folder.glob("*/log.txt"):
        assert "Traceback" not in log.read_text()


def preempt(job_id: str) -> None:
    slurm("sbatch", "--partition=high", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 2")


def requeue(job_id: str) -> None:
    slurm("scontrol", "requeue", job_id)


@pytest.mark.parametrize(("disturb", "word"), [(preempt, "RUNNING"), (requeue, "COMPLETING")])
def test_a_cooldown_that_is_taken_away_goes_on_to_the_same_loss(
    disturb: Callable[[str], None],
    word: str,
    tmp_path: Path,
    lab: Path,
    text: Path,
    cache: Path,
    undisturbed: list[float],
) -> None:
    """Preemption by a higher partition, and an administrator's requeue: saved, queued again, bit for bit. Of a
    preemption Slurm tells by the notice asked for or by TERM; only what it calls the job then sets the two apart."""
    study = Study(tmp_path, text, cache, *ONE)
    job = study.submit()
    pid = study.freeze_at(COOLDOWN + 20)
    disturb(job)
    until(lambda: is_told(pid))
    wake(pid)
    go_on(job)
    until(study.losses)
    until(lambda: not slurm("squeue", "--noheader", "--jobs", job))
    assert study.losses() == undisturbed
    status = study.status()
    assert status is not None
    assert (status["state"], status["attempt"]) == ("done", 2)
    assert any(f"while Slurm calls this job {word}" in path.read_text() for path in study.folder.glob("*/log.txt"))


def test_a_cancelled_job_saves_and_stays_away(tmp_path: Path, lab: Path, text: Path, cache: Path) -> None:
    study = Study(tmp_path, text, cache, *ONE)
    job = study.submit()
    pid = study.freeze_at(300)
    slurm("scancel", job)
    until(lambda: is_told(pid))
    wake(pid)
    until(lambda: job_state(job) == "CANCELLED")
    status = study.status()
    assert status is not None
    assert status["state"] == "interrupted"
    time.sleep(3)
    assert job_state(job) == "CANCELLED"
    points = json.loads(study.run("status", "json=true").stdout)["points"]
    assert [point["state"] for point in points] == ["interrupted"]


def test_a_job_at_its_time_limit_saves_and_comes_back(tmp_path: Path, lab: Path, text: Path, cache: Path) -> None:
    study = Study(tmp_path, text, cache, *ONE)
    # Slurm gives notice up to a minute early: one to two minutes after the job began.
    job = study.submit("hydra.launcher.time_limit=3", "hydra.launcher.notice_seconds=60")
    pid = study.freeze_at(300)
    until(lambda: is_told(pid))
    wake(pid)
    until(lambda: job_state(job) == "PENDING")
    status = study.status()
    assert status is not None
    assert status["state"] == "interrupted"
    slurm("scontrol", "update", f"JobId={job}", "TimeLimit=30", "StartTime=now+4")
    until(study.losses)
    status = study.status()
    assert status is not None
    assert status["attempt"] == 2


def test_a_node_that_dies_gives_its_run_to_another(
    tmp_path: Path, lab: Path, text: Path, cache: Path, undisturbed: list[float]
) -> None:
    study = Study(tmp_path, text, cache, *ONE, "runtime.checkpoint_every_seconds=0.1")
    job = study.submit()
    pid = study.freeze_at(300)
    node = slurm("squeue", "--noheader", "--format=%N", "--jobs", job).strip()
    for stepd in slurm("pgrep", "--full", f"^slurmstepd: \\[{job}").split():
        os.kill(int(stepd), signal.SIGKILL)
    os.kill(int((lab / f"slurmd.{node}.pid").read_text()), signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    slurm("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=dead")
    go_on(job)
    until(study.losses)
    assert study.losses() == undisturbed
    until(lambda: not slurm("squeue", "--noheader", "--jobs", job))
    subprocess.run(["slurmd", "-c", "-N", node], check=True, timeout=60)
    slurm("scontrol", "update", f"NodeName={node}", "State=RESUME")
    until(lambda: slurm("sinfo", "--noheader", "--Node", "--partition=low", "--states=idle", "--format=%N").split())


def test_the_jobs_outlive_the_shell_that_waits_for_them(tmp_path: Path, lab: Path, text: Path, cache: Path) -> None:
    study = Study(tmp_path, text, cache, *ONE)
    options = ("-m", "hydra/launcher=slurm", "launch.wait=true", "hydra.launcher.poll_seconds=0.5")
    shell = subprocess.Popen(study.command("train", *options), stderr=subprocess.DEVNULL, cwd=ROOT)
    pid = study.freeze_at(300)
    shell.kill()
    shell.wait()
    (point,) = json.loads(study.run("status", "json=true").stdout)["points"]
    assert point["state"] == "running"
    assert point["queue_id"] is not None
    os.kill(pid, signal.SIGCONT)
    done = study.run("train", *options)
    assert done.returncode == 0, done.stderr
    assert len(study.losses()) == 1
    assert len(list((study.folder / "slurm").glob("*.json"))) == 1, "nothing was submitted twice"
