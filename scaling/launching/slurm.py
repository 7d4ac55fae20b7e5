"""Slurm's commands, and what this study has in its queue. Job ids are on disk; the queue says which of them live.

runs/<study>/slurm/<number>.json    a submission: written before sbatch, and again with the job's id
                   <job>_<task>.out what Slurm itself has to say
"""

import getpass
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from scaling.folders import below
from scaling.values import read_json, require_name, write_json

SLURM_FOLDER = "slurm"
SECONDS_BETWEEN_TRIES = 2.0
TRIES = 5
# A job that has left or is about to leave; everything else that squeue lists will still do something.
OVER = frozenset({"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY"})

Kind = Literal["runs", "forecast", "fit"]


class SlurmError(RuntimeError):
    """A command of Slurm's failed, repeatedly where that may help; the message is its own."""


@dataclass(frozen=True)
class Submission:
    """One sbatch: an array with a group of runs for each task, or a job that forecasts or fits in between.

    `number` names it before it has an id; `job_id` is None until sbatch has answered.
    """

    number: int
    kind: Kind
    wave: int
    groups: tuple[tuple[str, ...], ...]
    seconds: float
    fail_fast: bool = False
    retry: int = 0
    gpus: int = 0
    job_id: str | None = None

    def __post_init__(self) -> None:
        for run_id in (run_id for group in self.groups for run_id in group):
            require_name("a run", run_id)
        if not self.groups:
            raise ValueError("it has no group of runs")


@dataclass(frozen=True)
class QueuedTask:
    """`state` is Slurm's word, such as PENDING; `index` the array's, None outside one."""

    job_id: str
    index: int | None
    state: str
    name: str

    @property
    def id(self) -> str:
        return self.job_id if self.index is None else f"{self.job_id}_{self.index}"


def job_name(study: str, number: int) -> str:
    return f"scaling:{study}:{number}"


def submission_path(study_folder: Path, number: int) -> Path:
    return study_folder / SLURM_FOLDER / f"{number}.json"


def read_submissions(study_folder: Path) -> list[Submission]:
    paths = (study_folder / SLURM_FOLDER).glob("*.json")
    return sorted((read_json(Submission, path) for path in paths), key=lambda submission: submission.number)


def write_submission(study_folder: Path, submission: Submission) -> None:
    path = below(study_folder, f"{SLURM_FOLDER}/{submission.number}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, submission)


def submit(study_folder: Path, submission: Submission, script: str, arguments: Sequence[str]) -> Submission:
    """Hand a script to sbatch, with the submission on disk before and its id after. Raises SlurmError."""
    name = job_name(study_folder.name, submission.number)
    try:
        answer = _run(["sbatch", "--parsable", f"--job-name={name}", *arguments], script, tries=1)
    except SlurmError:
        submission_path(study_folder, submission.number).unlink()
        raise
    submitted = replace(submission, job_id=answer.strip().split(";")[0])
    write_submission(study_folder, submitted)
    return submitted


def queue() -> list[QueuedTask]:
    """This user's jobs, arrays by their tasks. Raises SlurmError where the controller does not answer."""
    listing = _run(["squeue", "--noheader", "--array", f"--user={getpass.getuser()}", "--format=%F|%K|%T|%j"])
    tasks = []
    for line in listing.splitlines():
        job_id, index, state, name = line.strip().split("|", 3)
        if state not in OVER:
            tasks.append(QueuedTask(job_id, int(index) if index.isdecimal() else None, state, name))
    return tasks


def in_flight(study_folder: Path) -> dict[str, QueuedTask]:
    """The runs of a study that a queued job will train, or trains, by run id. Asks no queue where none was used."""
    submissions = [s for s in read_submissions(study_folder) if s.kind == "runs"]
    if not submissions:
        return {}
    by_id = {s.job_id: s for s in submissions if s.job_id is not None}
    by_name = {job_name(study_folder.name, s.number): s for s in submissions if s.job_id is None}
    found: dict[str, QueuedTask] = {}
    for task in queue():
        submission = by_id.get(task.job_id) or by_name.get(task.name)
        if submission is not None and (task.index or 0) < len(submission.groups):
            found |= dict.fromkeys(submission.groups[task.index or 0], task)
    return found


def live_jobs(study_folder: Path, kind: Kind) -> list[str]:
    """Ids of queued jobs of a kind, each once."""
    wanted = {s.job_id for s in read_submissions(study_folder) if s.kind == kind and s.job_id is not None}
    return sorted(wanted & {task.job_id for task in queue()}) if wanted else []


def max_array_size() -> int:
    """Tasks that one array may have; Slurm's default where it does not tell."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _run(["scontrol", "show", "config"]), re.MULTILINE)
    return int(found[1]) if found else 1001


def job_state(job_id: str) -> str:
    """Slurm's word for a job, such as RUNNING; empty where it knows none."""
    try:
        told = _run(["scontrol", "--oneliner", "show", "job", job_id], tries=2)
    except SlurmError:
        return ""
    found = re.search(r"\bJobState=(\S+)", told)
    return found[1] if found else ""


def requeue(job_id: str) -> None:
    _run(["scontrol", "requeue", job_id])


def _run(command: list[str], text: str | None = None, tries: int = TRIES) -> str:
    """A controller that is busy or restarts answers a little later."""
    said = ""
    for attempt in range(tries):
        if attempt:
            time.sleep(SECONDS_BETWEEN_TRIES)
        try:
            done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
        except FileNotFoundError:
            raise SlurmError(
                f"{command[0]} is not found: hydra/launcher=slurm wants Slurm's commands on the PATH; use "
                "hydra/launcher=pool on a machine of your own"
            ) from None
        except subprocess.TimeoutExpired:
            said = "no answer in 60 s"
            continue
        if done.returncode == 0:
            return done.stdout
        said = done.stderr.strip() or f"exit code {done.returncode}"
    raise SlurmError(f"{' '.join(command[:2])}: {said}")
