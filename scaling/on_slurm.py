"""A study on Slurm: what it submits, what its jobs do there, and how one that is told to go comes back."""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from scaling.config import StudyConfig, stored_config, stored_plan
from scaling.launching import slurm
from scaling.launching.batches import JobGroup, SlurmOptions, arrays, group_tasks, sbatch_arguments, script
from scaling.launching.pool import PoolOptions, run_pool
from scaling.launching.slots import Slot, Slots, cpu_environment
from scaling.launching.slurm import Kind, Submission
from scaling.launching.tasks import LaunchResult, Task, outcome
from scaling.launching.workers import FreshWorkers, WarmWorkers
from scaling.records import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, JOB_FILE, LOG_FILE, STOP_FILE, record_path
from scaling.study import make_tasks, prepare_study, written_by_one
from scaling.training.config import Job
from scaling.values import read_json


class Cluster:
    """Submits parts of a study; every job's command is this module with its submission's file."""

    def __init__(self, config: StudyConfig, options: SlurmOptions) -> None:
        self.config, self.options = config, options
        self.folder = config.folder.absolute()
        on_gpus = config.launch.gpus_per_point if config.runtime.device == "cuda" else 0
        self.gpus = on_gpus if options.gpus is None else options.gpus
        self.cpus = config.runtime.threads if options.cpus_per_task is None else options.cpus_per_task

    def submit_runs(self, tasks: Sequence[Task], wave: int, after: Sequence[str] = ()) -> list[str]:
        """Job ids of one array for each class of time limit. Raises SlurmError."""
        groups = group_tasks(tasks, self.config.launch.min_seconds_per_job)
        pieces = arrays(groups, slurm.max_array_size(), self.options.time_limit)
        return [self._submit("runs", wave, piece, after, only_if_ok=wave == 2 and bool(after)) for piece in pieces]

    def submit_between(self, kind: Kind, after: Sequence[str]) -> str:
        """A job that forecasts or fits when others have ended."""
        return self._submit(kind, 2, [JobGroup((), 60.0)], after)

    def _submit(
        self, kind: Kind, wave: int, groups: Sequence[JobGroup], after: Sequence[str], only_if_ok: bool = False
    ) -> str:
        is_array = kind == "runs"
        cpus, gpus = (self.cpus, self.gpus) if is_array else (1, 0)
        number = 1 + max((s.number for s in slurm.read_submissions(self.folder)), default=0)
        submission = Submission(
            number=number,
            kind=kind,
            wave=wave,
            groups=tuple(group.run_ids for group in groups),
            seconds=sum(group.seconds for group in groups),
            fail_fast=self.config.fail_fast,
            retry=self.config.retry,
            gpus=gpus,
        )
        command = ["-m", "scaling.cluster", str(slurm.submission_path(self.folder, number))]
        arguments = sbatch_arguments(
            self.options,
            output=self.folder / slurm.SLURM_FOLDER,
            tasks=len(groups) if is_array else None,
            limit_minutes=max(group.limit_minutes for group in groups),
            cpus=cpus,
            gpus=gpus,
            after=after,
            only_if_ok=only_if_ok,
        )
        submitted = slurm.submit(self.folder, submission, script(self.options, command, cpus=cpus), arguments)
        assert submitted.job_id is not None
        return submitted.job_id

    def wait_for(self, tasks: Sequence[Task], meanwhile: Callable[[], None]) -> LaunchResult:
        """Until none of them is in the queue. An interrupt ends the waiting, not the jobs."""
        result = LaunchResult()
        names = {task.folder.name for task in tasks}
        try:
            while names & slurm.in_flight(self.folder).keys():
                meanwhile()
                time.sleep(self.options.poll_seconds)
        except KeyboardInterrupt:
            return LaunchResult(interrupted=True)
        for task in tasks:
            ended = outcome(task, None)
            if ended.kind == "done":
                result.done.append(task.folder.name)
            else:
                result.failed[task.folder.name] = ended.reason or ended.kind
        return result


def launch_and_wait(
    config: StudyConfig, options: SlurmOptions, tasks: Sequence[Task], meanwhile: Callable[[], None]
) -> LaunchResult:
    """Submit what is not in the queue yet, wait for all of it; what was lost is submitted again, `retry` times."""
    cluster = Cluster(config, options)
    result = LaunchResult()
    left = list(tasks)
    for _ in range(1 + config.retry):
        flying = slurm.in_flight(cluster.folder)
        new = [task for task in left if task.folder.name not in flying]
        if new:
            cluster.submit_runs(new, wave=1)
        seen = cluster.wait_for(left, meanwhile)
        result.done += seen.done
        result.failed = seen.failed
        if seen.interrupted:
            Console(stderr=True).print("the jobs go on without this process; scaling.status shows them")
            result.interrupted = True
            break
        left = [task for task in left if outcome(task, None).kind in ("lost", "interrupted")]
        if not left:
            break
    return result


def submit_study(
    config: StudyConfig, options: SlurmOptions, waves: Sequence[Sequence[Task]], *, forecast: bool
) -> bool:
    """Everything at once: wave 1, then (`forecast`) a job that forecasts, then wave 2, then (`launch.then_fit`) one
    that fits. Runs that are in the queue already are left alone. False where there was and is nothing.
    """
    console = Console(stderr=True)
    cluster = Cluster(config, options)
    flying = slurm.in_flight(cluster.folder)
    first, second = ([task for task in wave if task.folder.name not in flying] for wave in waves)
    jobs: list[str] = []
    before = slurm.live_jobs(cluster.folder, "runs")
    if first:
        jobs += cluster.submit_runs(first, wave=1)
    if second:
        between = [cluster.submit_between("forecast", [*before, *jobs])] if forecast else []
        jobs += [*between, *cluster.submit_runs(second, wave=2, after=between)]
    if jobs and config.launch.then_fit:
        jobs.append(cluster.submit_between("fit", [*before, *jobs]))
    runs = len({task.folder.name for task in (*first, *second)})
    if jobs:
        console.print(f"submitted {runs} runs in the jobs {', '.join(jobs)}", highlight=False, soft_wrap=True)
    if flying:
        ids = ", ".join(sorted({task.job_id for task in flying.values()}))
        console.print(f"{len(flying)} runs were in the queue already (jobs {ids})", highlight=False, soft_wrap=True)
    return bool(jobs or flying)


def do_job(path: Path, early: Sequence[int]) -> int:
    """What the submission at `path` says, and the exit code. `early` has the signals received so far."""
    submission = read_json(Submission, path)
    study_folder = path.parent.parent
    if submission.kind == "runs":
        index = int(os.environ.get("SLURM_ARRAY_TASK_ID", "0"))
        return run_group(study_folder, submission, submission.groups[index], early)
    stored = stored_config(study_folder)
    config = replace(stored, runs=str(study_folder.parent))
    plan = stored_plan(config)
    if submission.kind == "forecast":
        from scaling.fit import forecast_held_out

        with written_by_one(config):
            print(forecast_held_out(config, plan), flush=True)
        make_tasks(config, plan, prepare_study(config), [p for p in plan.points if p.wave == 2], wave=2)
        return 0
    from scaling.checkup import check_plan
    from scaling.fit import finish_study

    with written_by_one(config):
        page, verdict = finish_study(config, plan, check_plan(config, plan))
    print(verdict, page, sep="\n", flush=True)
    return 0


def run_group(study_folder: Path, submission: Submission, run_ids: Sequence[str], early: Sequence[int]) -> int:
    """Train the runs of one job, and bring the job back where a notice ended it.

    One run is this very process, several are forks of a warm one or fresh ones, one after the other.
    """
    if (study_folder / STOP_FILE).exists():
        print(f"{study_folder / STOP_FILE} is there: nothing starts", flush=True)
        return EXIT_INTERRUPTED
    comeback = Comeback(os.environ.get("SLURM_JOB_ID", ""))
    if len(run_ids) == 1 and submission.gpus <= 1:
        from scaling.training.worker import run_folder

        if early:
            return comeback.at_once(early[0])
        log_to(study_folder / run_ids[0] / LOG_FILE)
        code = run_folder(study_folder / run_ids[0], comeback.notice)
        failed = {} if code in (EXIT_DONE, EXIT_INTERRUPTED) else {run_ids[0]: f"exit code {code}"}
    else:
        if early:
            return comeback.at_once(early[0])
        result = _pool(study_folder, submission, run_ids, comeback)
        code = EXIT_INTERRUPTED if result.interrupted else EXIT_FAILED if result.failed else EXIT_DONE
        failed = result.failed
    if failed and submission.fail_fast:
        (study_folder / STOP_FILE).touch()
    if code == EXIT_INTERRUPTED:
        comeback.requeue_if_wanted()
    return code


def _pool(study_folder: Path, submission: Submission, run_ids: Sequence[str], comeback: "Comeback") -> LaunchResult:
    tasks = []
    for order, run_id in enumerate(run_ids):
        folder = study_folder / run_id
        budgets = read_json(Job, folder / JOB_FILE).spec.budgets
        missing = tuple(budget for budget in budgets if not record_path(folder, budget).exists())
        if missing:
            tasks.append(Task(folder, float(-order), missing))
    gpus = tuple(gpu for gpu in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu)
    environment = dict(cpu_environment(os.environ.get("SLURM_CPUS_PER_TASK", "1")))
    slots = Slots([Slot("job", gpus if submission.gpus > 1 else (), environment)])
    workers = FreshWorkers() if submission.gpus else WarmWorkers(environment)
    options = PoolOptions(fail_fast=submission.fail_fast, retry=submission.retry)
    try:
        return run_pool(tasks, slots, workers, options=options, on_signal=comeback.notice)
    finally:
        workers.close()


class Comeback:
    """Whether a job that is told to go shall come back: asked when it is told, for a moment later all look alike.

    A running job that gets its notice is about to be preempted or to meet its limit, and nobody requeues it: leaving
    would count as completed. One that is completing was cancelled, or is requeued by an administrator: to requeue it
    would make it impossible to cancel.
    """

    def __init__(self, job_id: str) -> None:
        self._job_id, self._wanted, self._told = job_id, False, False

    def notice(self, number: int) -> None:
        if self._told:
            return
        self._told = True
        state = slurm.job_state(self._job_id) if self._job_id else ""
        self._wanted = state == "RUNNING"
        name = signal.Signals(number).name
        print(f"{name} while Slurm calls this job {state or 'unknown'}: it saves and leaves", flush=True)

    def at_once(self, number: int) -> int:
        """Told before anything was begun."""
        self.notice(number)
        self.requeue_if_wanted()
        return EXIT_INTERRUPTED

    def requeue_if_wanted(self) -> None:
        if self._wanted:
            slurm.requeue(self._job_id)


def log_to(path: Path) -> None:
    """From here on this process' words go to the run's own log."""
    sys.stdout.flush()
    sys.stderr.flush()
    with path.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
