"""What a Slurm job does, and how one that is told to go comes back."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from scaling.claims import queue_id
from scaling.config import config_here, stored_plan
from scaling.exits import EXIT_DONE, EXIT_FAILED, EXIT_NO_ANSWER, EXIT_REQUEUE
from scaling.launching import slurm
from scaling.launching.pool import PoolOptions, run_pool
from scaling.launching.slots import Slot, Slots, cpu_environment, gpu_environment
from scaling.launching.slurm import Submission
from scaling.launching.tasks import LaunchResult, Task
from scaling.launching.workers import FreshWorkers, WarmWorkers
from scaling.machine import SLOT
from scaling.records import JOB_FILE, LOG_FILE, STOP_FILE, recorded
from scaling.stages.study import make_tasks, prepare_study
from scaling.training.config import Job
from scaling.values import ValueMismatch, open_to_append, read_json, write_json

FRUITLESS_COMEBACKS = 5  # in a row


def do_job(path: Path, early: list[int]) -> int:
    """What the submission at `path` says, and the exit code. `early` gets the signals until somebody else listens."""
    submission = read_json(Submission, path)
    study_folder = path.parent.parent
    if submission.kind == "runs":
        index = int(os.environ.get("SLURM_ARRAY_TASK_ID", "0"))
        return run_group(study_folder, submission, submission.groups[index], early)
    config = config_here(study_folder)
    plan = stored_plan(config)
    if submission.kind == "forecast":
        from scaling.stages.finish import forecast_held_out

        print(forecast_held_out(config, plan), flush=True)
        make_tasks(config, plan, prepare_study(config), [p for p in plan.points if p.wave == 2], wave=2)
        return 0
    from scaling.stages.checkup import check_plan
    from scaling.stages.finish import finish_study

    finished = finish_study(config, plan, check_plan(config, plan))
    print(finished.verdict, flush=True)
    if finished.unwritten is not None:
        raise finished.unwritten
    print(finished.page, flush=True)
    return EXIT_NO_ANSWER if finished.withheld else 0


def run_group(study_folder: Path, submission: Submission, run_ids: Sequence[str], early: list[int]) -> int:
    """Train the runs of one job, and bring the job back where a notice ended it.

    One run is this very process, several are forks of a warm one or fresh ones, one after the other.
    """
    if (study_folder / STOP_FILE).exists():
        print(f"{study_folder / STOP_FILE} is there: nothing starts", flush=True)
        return EXIT_REQUEUE
    comeback = Comeback(study_folder, run_ids)
    failed: dict[str, str] = {}
    in_this_process = len(run_ids) == 1 and submission.gpus <= 1
    environment = job_environment(submission.gpus)
    if in_this_process:
        os.environ.update(environment)
        # Seconds of imports, in which a notice may come as well.
        from scaling.training.worker import run_folder
    if early:  # told before anything was begun
        comeback.notice(early[0])
        code = EXIT_REQUEUE
    elif in_this_process:
        log_to(study_folder / run_ids[0] / LOG_FILE)
        code = run_folder(study_folder / run_ids[0], comeback.notice, early)
        if code not in (EXIT_DONE, EXIT_REQUEUE):
            failed = {run_ids[0]: f"exit code {code}"}
    else:
        result = _pool(study_folder, submission, run_ids, environment, comeback)
        code = EXIT_REQUEUE if result.interrupted else EXIT_FAILED if result.failed else EXIT_DONE
        failed = result.failed
    if failed and submission.fail_fast:
        (study_folder / STOP_FILE).touch()
    if code == EXIT_REQUEUE and not comeback.requeue_if_wanted():
        return EXIT_FAILED
    return code


def job_environment(gpus: int) -> dict[str, str]:
    """Of a job with so many GPUs asked for; those of the user's own sbatch options count as well."""
    threads = os.environ.get("SLURM_CPUS_PER_TASK", "1")
    given = gpus or os.environ.get("SLURM_JOB_GPUS") or os.environ.get("SLURM_STEP_GPUS")
    return gpu_environment(threads) if given else cpu_environment(threads)


def _pool(
    study_folder: Path,
    submission: Submission,
    run_ids: Sequence[str],
    environment: dict[str, str],
    comeback: "Comeback",
) -> LaunchResult:
    tasks = []
    for order, run_id in enumerate(run_ids):
        folder = study_folder / run_id
        budgets = read_json(Job, folder / JOB_FILE).spec.budgets
        missing = tuple(budget for budget in budgets if recorded(folder, budget) is None)
        if missing:
            tasks.append(Task(folder, float(-order), missing))
    gpus = tuple(gpu for gpu in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu)
    slots = Slots([Slot("job", gpus if submission.gpus > 1 else (), environment)])
    workers = FreshWorkers() if environment[SLOT] == "gpu" else WarmWorkers(environment)
    options = PoolOptions(fail_fast=submission.fail_fast, retry=submission.retry)
    try:
        return run_pool(tasks, slots, workers, options=options, on_signal=comeback.notice)
    finally:
        workers.close()


@dataclass(frozen=True)
class Comebacks:
    """How often in a row a job came back without having saved anything new."""

    fruitless: int = 0


class Comeback:
    """Whether a job that is told to go shall come back: asked when it is told, for a moment later all look alike.

    A running job that gets its notice is about to be preempted or to meet its limit, and nobody requeues it: leaving
    would count as completed. One that is completing was cancelled, or is requeued by an administrator: to requeue it
    would make it impossible to cancel. One that never gets to save anything would come back for ever: it stays away
    after a few times.
    """

    def __init__(self, study_folder: Path, run_ids: Sequence[str]) -> None:
        self._job_id, self._wanted, self._told = os.environ.get("SLURM_JOB_ID", ""), False, False
        self._folders = [study_folder / run_id for run_id in run_ids]
        self._count = study_folder / slurm.SLURM_FOLDER / "comebacks" / f"{queue_id()}.json"
        self._saved_before = self._saved()

    def notice(self, number: int) -> None:
        if self._told:
            return
        self._told = True
        state = slurm.job_state(self._job_id) if self._job_id else ""
        self._wanted = state == "RUNNING"
        name = signal.Signals(number).name
        print(f"{name} while Slurm calls this job {state or 'unknown'}: it saves and leaves", flush=True)

    def requeue_if_wanted(self) -> bool:
        """False where it should come back and has done so in vain too often."""
        if not self._wanted:
            return True
        before = 0
        with suppress(FileNotFoundError, ValueMismatch):  # a count that cannot be read begins anew
            before = read_json(Comebacks, self._count).fruitless
        fruitless = 0 if self._saved() != self._saved_before else before + 1
        if fruitless > FRUITLESS_COMEBACKS:
            print(
                f"told to go {fruitless} times in a row before anything was saved: it stays away. Give it more time "
                "than its notice and its start take: raise hydra.launcher.time_limit, or lower "
                "hydra.launcher.notice_seconds",
                flush=True,
            )
            return False
        self._count.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._count, Comebacks(fruitless))
        slurm.requeue(self._job_id)
        return True

    def _saved(self) -> set[tuple[Path, int]]:
        """The checkpoints and records of its runs, with the time of their writing."""
        patterns = ("*.pt", "record-*.json")
        paths = [path for folder in self._folders for pattern in patterns for path in folder.rglob(pattern)]
        return {(path, path.stat().st_mtime_ns) for path in paths}


def log_to(path: Path) -> None:
    """From here on this process' words go to the run's own log."""
    sys.stdout.flush()
    sys.stderr.flush()
    with open_to_append(path) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
