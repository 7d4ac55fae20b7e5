"""A study on Slurm: what it submits, and how it waits for it. What the jobs do is in `slurm_job`."""

import time
from collections.abc import Callable, Sequence

from scaling.config import StudyConfig
from scaling.folders import study_lock
from scaling.launching import slurm
from scaling.launching.batches import JobGroup, SlurmOptions, arrays, group_tasks, sbatch_arguments, script
from scaling.launching.slurm import Kind, Submission
from scaling.launching.tasks import LaunchResult, Task, outcome
from scaling.numbers import plural
from scaling.terminal import PlainConsole


def asks_for_no_gpu(config: StudyConfig, options: SlurmOptions) -> str | None:
    """A line for who may have expected GPUs: on one's own machine `auto` finds them, in a queue it must ask."""
    if config.runtime.device != "auto" or options.gpus is not None:
        return None
    return (
        "warn: runtime.device is auto and hydra.launcher.gpus is not set, so the jobs ask Slurm for no GPU and train "
        "on CPUs: set runtime.device=cuda for GPUs, runtime.device=cpu to hear no more of this"
    )


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
        with study_lock(self.folder):  # two commands that submit take two numbers
            submission = Submission(
                number=1 + max((s.number for s in slurm.read_submissions(self.folder)), default=0),
                kind=kind,
                wave=wave,
                groups=tuple(group.run_ids for group in groups),
                seconds=sum(group.seconds for group in groups),
                fail_fast=self.config.fail_fast,
                retry=self.config.retry,
                gpus=gpus,
            )
            slurm.write_submission(self.folder, submission)
        command = ["-m", "scaling.cluster", str(slurm.submission_path(self.folder, submission.number))]
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
            PlainConsole(stderr=True).print("the jobs go on without this process; scaling.status shows them")
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
    console = PlainConsole(stderr=True)
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
        console.print(f"submitted {runs} runs in the jobs {', '.join(jobs)}", soft_wrap=True)
    if flying:
        ids = ", ".join(sorted({task.job_id for task in flying.values()}))
        console.print(
            f"{plural(len(flying), 'run was', 'runs were')} in the queue already (jobs {ids})", soft_wrap=True
        )
    return bool(jobs or flying)
