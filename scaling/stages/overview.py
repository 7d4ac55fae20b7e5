"""Where a study stands, read from its folder and its queue: the state of each point, cost so far, time left.

Nothing is written, not even a lock file.
"""

import platform
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scaling.claims import BEATS_TO_WAIT_FOR, HEARTBEAT_SECONDS, is_claimed
from scaling.launching.slurm import QueuedTask, SlurmError, in_flight
from scaling.launching.tasks import last_status
from scaling.model.counting import count_training_flops
from scaling.records import JOB_FILE, RunRecord, RunStatus, branch_folder, own_record, record_path
from scaling.specs import Plan, PlannedPoint, RunSpec
from scaling.training.config import Runtime
from scaling.values import ValueMismatch, from_file, read_plain


@dataclass(frozen=True)
class PointState:
    """`state` is planned, queued, running, stale, interrupted, failed, unreadable (its record is), or how the point's
    record ended. `reason` is the record's or the worker's; `heartbeat_seconds` the age of a running worker's last
    word."""

    point: int
    run_id: str
    tokens: int
    state: str
    reason: str | None = None
    loss_nats: float | None = None
    heartbeat_seconds: float | None = None
    host: str | None = None
    queue_id: str | None = None
    attempt: int | None = None


@dataclass(frozen=True)
class Cost:
    """Of the steps that stand in the folders, each counted once: a step that a kill made a run repeat is not told.

    `seconds_left` is None where nothing was measured and the plan has no time model.
    """

    flops: int
    core_hours: float
    gpu_hours: float
    flops_left: int
    seconds_left: float | None


@dataclass(frozen=True)
class Overview:
    study: str
    counts: dict[str, int]
    cost: Cost
    points: tuple[PointState, ...]
    queue: str | None = None


def look_at(folder: Path, plan: Plan) -> Overview:
    """Of the study in `folder`. `queue` is None, or why Slurm's could not be asked."""
    queue: str | None = None
    try:
        flying = in_flight(folder)
    except (SlurmError, ValueMismatch) as error:
        flying, queue = {}, f"the queue was not asked: {error}"
    # The last words by the folder of a job: of runs, and of branches that are tasks of their own.
    jobs = {folder / run.id: run.id for run in plan.runs}
    jobs |= {
        branch_folder(folder / p.run_id, p.tokens): p.run_id for p in plan.points if plan.by_id[p.run_id].branching
    }
    statuses = {job: status for job in jobs if (status := last_status(job)) is not None or job.name in plan.by_id}
    alive = {job: _alive(job, status, flying.get(jobs[job])) for job, status in statuses.items()}
    damaged: dict[int, str] = {}
    records = {(p.run_id, p.tokens): _record(folder, p, damaged) for p in plan.points}

    def job_of(point: PlannedPoint) -> Path:
        run = folder / point.run_id
        own = branch_folder(run, point.tokens) if plan.by_id[point.run_id].branching else run
        return own if own in statuses else run

    points = tuple(
        PointState(p.index, p.run_id, p.tokens, "unreadable", damaged[p.index])
        if p.index in damaged and not alive[job_of(p)]
        else _point(p, records[p.run_id, p.tokens], statuses[job_of(p)], alive[job_of(p)], flying.get(p.run_id))
        for p in plan.points
    )
    cost = _cost(folder, plan, statuses, records, sum(alive.values()))
    return Overview(plan.study, dict(Counter(p.state for p in points)), cost, points, queue)


def _record(folder: Path, point: PlannedPoint, damaged: dict[int, str]) -> RunRecord | None:
    """None where there is none, or none that can be read: then why is in `damaged`, by the point's number."""
    try:
        return own_record(record_path(folder / point.run_id, point.tokens))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueMismatch, OSError) as error:
        damaged[point.index] = str(error)
        return None


def _alive(run_folder: Path, status: RunStatus | None, queued: QueuedTask | None) -> bool:
    """Held by a process here, running in the queue, or beating on a host whose locks are not seen here."""
    if is_claimed(run_folder):
        return True
    if status is None or status.state != "running" or status.host == platform.node():
        return False
    if queued is not None:
        return queued.state == "RUNNING"
    return abs(time.time() - status.updated_at) < BEATS_TO_WAIT_FOR * HEARTBEAT_SECONDS


def _point(
    point: PlannedPoint, record: RunRecord | None, status: RunStatus | None, alive: bool, queued: QueuedTask | None
) -> PointState:
    known = (point.index, point.run_id, point.tokens)
    if record is not None:
        return PointState(*known, record.status, record.reason, record.final_loss_nats)
    queue_id = None if queued is None else queued.id
    if status is None or (status.state == "done" and not alive):
        reason = None if status is None else "its trajectory is there up to an earlier budget"
        return PointState(*known, "planned" if queued is None else "queued", reason, queue_id=queue_id)
    if alive:
        age = max(0.0, time.time() - status.updated_at)
        words = f"step {status.step:,} of {status.total_steps:,}"
        return PointState(*known, "running", words, None, age, status.host, queue_id, status.attempt)
    if queued is not None:
        return PointState(*known, "queued", f"it was {status.state} before", queue_id=queue_id)
    state = "stale" if status.state == "running" else status.state
    words = status.error or f"step {status.step:,} of {status.total_steps:,}"
    if state == "stale":
        words += "; its process is gone, and the same sweep goes on from its checkpoint"
    return PointState(*known, state, words, host=status.host, attempt=status.attempt)


def _cost(
    folder: Path,
    plan: Plan,
    statuses: Mapping[Path, RunStatus | None],
    records: Mapping[tuple[str, int], RunRecord | None],
    workers: int,
) -> Cost:
    speeds = _speeds(records.values())
    flops = flops_left = 0
    core_hours = gpu_hours = 0.0
    seconds_left: float | None = 0.0
    for run in plan.runs:
        status = statuses[folder / run.id]
        jobs = folder / run.id, *(branch_folder(folder / run.id, budget) for budget in run.budgets)
        ended = all(records[run.id, budget] is not None for budget in run.budgets)
        steps = min(sum(word.step for job in jobs if (word := statuses.get(job)) is not None), run.total_steps)
        left = 0 if ended else run.total_steps - steps
        per_step = run.optimizer.batch_tokens * count_training_flops(run.model).total
        flops += steps * per_step
        flops_left += left * per_step
        pace = _seconds_per_step(plan, run, status, speeds)
        if pace is None:
            seconds_left = None if left else seconds_left
            continue
        if seconds_left is not None:
            seconds_left += left * pace / max(1, workers)
        hours = steps * pace / 3600
        if status is not None and status.gpu:
            # Of a GPU that several share each has used its part.
            gpu_hours += hours * len(status.gpu.split(",")) * status.gpu_share
        else:
            record = next((found for b in run.budgets if (found := records[run.id, b]) is not None), None)
            core_hours += hours * (_threads(folder / run.id) if record is None else record.provenance.threads)
    return Cost(flops, core_hours, gpu_hours, flops_left, seconds_left)


def _speeds(records: Iterable[RunRecord | None]) -> dict[str, float]:
    """The first measured tokens per second of each run, and of each size, by their names, which never meet."""
    speeds: dict[str, float] = {}
    for record in records:
        if record is not None and record.tokens_per_second > 0:
            speeds.setdefault(record.run_id, record.tokens_per_second)
            speeds.setdefault(record.size, record.tokens_per_second)
    return speeds


def _seconds_per_step(plan: Plan, run: RunSpec, status: RunStatus | None, speeds: Mapping[str, float]) -> float | None:
    """Measured on this run, or else on another of its size, or else by the plan's time model."""
    known = (speeds.get(run.id), None if status is None else status.tokens_per_second, speeds.get(run.size))
    measured = next((speed for speed in known if speed is not None and speed > 0), None)
    if measured is not None:
        return run.optimizer.batch_tokens / measured
    estimates = (p.estimated_seconds / p.steps for p in plan.of_run.get(run.id, ()) if p.estimated_seconds)
    return next(estimates, None)


def _threads(run_folder: Path) -> int:
    """Of a run's worker; its job is not read in full, since a study has as many as runs."""
    path = run_folder / JOB_FILE
    try:
        job = read_plain(path)
        return from_file(Runtime, job.get("runtime") if isinstance(job, dict) else None, path).threads
    except (FileNotFoundError, ValueMismatch):
        return 1
