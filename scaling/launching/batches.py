"""Runs into jobs: small ones share a job until it is worth queueing, jobs of like needs share an array."""

import shlex
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scaling.launching.tasks import Task

# A job is asked for thrice its predicted time and some for starting, rounded up to one of these: short limits start
# sooner, and a job that meets its limit saves, requeues itself and goes on.
TIME_LIMITS_MINUTES = (15, 60, 240, 720, 1440)
TIME_SLACK, MINUTES_FOR_STARTING = 3.0, 5.0


@dataclass(frozen=True)
class SlurmOptions:
    """What every job asks Slurm for; None leaves it to the cluster.

    cpus_per_task, gpus   None: the workers' threads; launch.gpus_per_point where runtime.device is cuda, else none
    time_limit            Slurm's notation; None: by the time model, in classes from 15 minutes to a day
    notice_seconds        so long before its limit or its preemption a job is told, saves and requeues itself
    max_at_once           tasks of one array that run at a time
    setup                 lines of shell before the training, such as `module load cuda`
    sbatch                further options for sbatch, verbatim
    poll_seconds          between looks at the queue, when waiting
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    cpus_per_task: int | None = None
    gpus: int | None = None
    mem: int | str | None = None
    time_limit: int | str | None = None
    notice_seconds: int = 120
    max_at_once: int | None = None
    setup: tuple[str, ...] = ()
    sbatch: tuple[str, ...] = ()
    poll_seconds: float = 5.0

    def __post_init__(self) -> None:
        if self.notice_seconds < 1:
            raise ValueError(f"hydra.launcher.notice_seconds is {self.notice_seconds}; it must be at least 1")
        limit = TIME_LIMITS_MINUTES[0] if self.time_limit is None else self.time_limit
        if str(limit).isdecimal() and self.notice_seconds >= int(limit) * 60:
            raise ValueError(
                f"hydra.launcher.notice_seconds is {self.notice_seconds} and a job may be limited to {limit} minutes: "
                "it would be told to go before it begins, and come back for ever; lower it, or raise "
                "hydra.launcher.time_limit"
            )


@dataclass(frozen=True)
class JobGroup:
    """The runs of one job, one after the other."""

    run_ids: tuple[str, ...]
    seconds: float

    @property
    def limit_minutes(self) -> int:
        wanted = self.seconds * TIME_SLACK / 60 + MINUTES_FOR_STARTING
        return next((limit for limit in TIME_LIMITS_MINUTES if limit >= wanted), TIME_LIMITS_MINUTES[-1])


def group_tasks(tasks: Sequence[Task], min_seconds: float) -> list[JobGroup]:
    """Longest first; a run that is shorter than `min_seconds` takes others along until the job is not."""
    groups: list[JobGroup] = []
    open_ids: list[str] = []
    open_seconds = 0.0
    for task in sorted(tasks, key=lambda task: -task.seconds):
        open_ids.append(task.folder.name)
        open_seconds += task.seconds
        if open_seconds >= min_seconds:
            groups.append(JobGroup(tuple(open_ids), open_seconds))
            open_ids, open_seconds = [], 0.0
    if open_ids:
        groups.append(JobGroup(tuple(open_ids), open_seconds))
    return groups


def arrays(groups: Sequence[JobGroup], max_array_size: int, time_limit: int | str | None) -> Iterator[list[JobGroup]]:
    """One array for each resource class, in pieces that Slurm takes. All jobs of a study ask for the same cores and
    GPUs, so that a class is a time limit."""
    classes: dict[int, list[JobGroup]] = defaultdict(list)
    for group in groups:
        classes[0 if time_limit is not None else group.limit_minutes].append(group)
    for _, members in sorted(classes.items(), reverse=True):
        for start in range(0, len(members), max_array_size):
            yield members[start : start + max_array_size]


def sbatch_arguments(
    options: SlurmOptions,
    *,
    output: Path,
    tasks: int | None,
    limit_minutes: int,
    cpus: int,
    gpus: int,
    after: Sequence[str] = (),
    only_if_ok: bool = False,
) -> list[str]:
    """`tasks` is the array's length, None for a single job; `after` are jobs that must have ended, one way or
    another, or well (`only_if_ok`)."""
    arguments = [
        "--requeue",
        "--open-mode=append",
        f"--signal=USR1@{options.notice_seconds}",
        f"--output={output}/{'%A_%a' if tasks is not None else '%j'}.out",
        f"--time={options.time_limit or limit_minutes}",
        "--ntasks=1",
        f"--cpus-per-task={cpus}",
    ]
    if tasks is not None:
        at_once = "" if options.max_at_once is None else f"%{options.max_at_once}"
        arguments.append(f"--array=0-{tasks - 1}{at_once}")
    if gpus:
        arguments.append(f"--gres=gpu:{gpus}")
    for name in ("partition", "account", "qos", "constraint", "mem"):
        value = getattr(options, name)
        if value is not None:
            arguments.append(f"--{name}={value}")
    if after:
        kind = "afterok" if only_if_ok else "afterany"
        arguments += [f"--dependency={kind}:{':'.join(after)}", "--kill-on-invalid-dep=yes"]
    return [*arguments, *options.sbatch]


def script(options: SlurmOptions, command: Sequence[str], *, cpus: int) -> str:
    """A batch script. Slurm's notice reaches the steps of a job, not its shell: so the shell becomes srun, which does
    not know of --cpus-per-task by itself (Slurm 22.05 and later)."""
    package = Path(__file__).parents[2]
    lines = [
        "#!/bin/bash",
        *options.setup,
        # For a checkout that is not installed.
        f"export PYTHONPATH={shlex.quote(str(package))}${{PYTHONPATH:+:$PYTHONPATH}}",
        f"exec srun --ntasks=1 --cpus-per-task={cpus} {shlex.join([sys.executable, *command])}",
    ]
    return "\n".join(lines) + "\n"
