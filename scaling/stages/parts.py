"""The tasks of a pool: the trunk of each run, and its branches, with their jobs on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from scaling.config import StudyConfig
from scaling.folders import below, study_lock
from scaling.launching.tasks import Task
from scaling.planning.parts import Part, is_one_task, parts_of
from scaling.records import BRANCH_FILE, JOB_FILE, TRUNK_FILE, branch_folder, has_ended
from scaling.specs import Plan, PlannedPoint
from scaling.stages.study import make_job, study_cost, take_folder
from scaling.values import write_json


def make_parts(
    config: StudyConfig, plan: Plan, corpora: Mapping[str, Path], points: Sequence[PlannedPoint]
) -> list[Task]:
    """What leads to the records that `points` lack, each job written; that on which most hangs first."""
    take_folder(config)
    tasks = list_parts(config, plan, points)
    wanted: dict[str, set[int]] = {}
    for task in tasks:
        wanted.setdefault(task.run_folder.name, set()).update(task.budgets)
    with study_lock(config.folder):
        for task in tasks:
            spec = plan.by_id[task.run_folder.name]
            # Budgets that are already there stay in the job: it says all that its run is for.
            there = [b for b in spec.budgets if has_ended(task.run_folder, b)]
            job = make_job(
                config,
                replace(spec, budgets=tuple(sorted({*wanted[spec.id], *there}))),
                corpora,
                task.part,
                task.budgets[0] if task.part == "branch" else None,
            )
            path = below(config.folder, str(task.folder.relative_to(config.folder) / JOB_FILE))
            task.folder.mkdir(parents=True, exist_ok=True)
            write_json(path, job)
    return tasks


def list_parts(config: StudyConfig, plan: Plan, points: Sequence[PlannedPoint]) -> list[Task]:
    """As `make_parts`, and nothing is written."""
    missing = _by_run(_missing(config, points))
    return [_task(config, plan, missing[part.run_id], part) for part in _parts(config, plan, missing)]


def parts_left(config: StudyConfig, plan: Plan, points: Sequence[PlannedPoint]) -> list[Part]:
    """By what lies on disk: budgets without a record, and those of them whose branch may begin."""
    return _parts(config, plan, _by_run(_missing(config, points)))


def _missing(config: StudyConfig, points: Sequence[PlannedPoint]) -> list[PlannedPoint]:
    return [p for p in points if not has_ended(config.folder / p.run_id, p.tokens)]


def _by_run(points: Sequence[PlannedPoint]) -> dict[str, list[PlannedPoint]]:
    found: dict[str, list[PlannedPoint]] = {}
    for point in points:
        found.setdefault(point.run_id, []).append(point)
    return found


def _parts(config: StudyConfig, plan: Plan, missing: Mapping[str, Sequence[PlannedPoint]]) -> list[Part]:
    reached: dict[str, list[int]] = {}
    for run_id, points in missing.items():
        for point in points:
            own = branch_folder(config.folder / run_id, point.tokens)
            if any((own / name).exists() for name in (TRUNK_FILE, BRANCH_FILE)):
                reached.setdefault(run_id, []).append(point.tokens)
    held_back = {(point.run_id, point.tokens) for points in missing.values() for point in points if point.held_out}
    budgets = {run_id: [point.tokens for point in points] for run_id, points in missing.items()}
    return parts_of(plan, study_cost(config), budgets, held_back, reached)


def _task(config: StudyConfig, plan: Plan, missing: Sequence[PlannedPoint], part: Part) -> Task:
    folder, spec = config.folder / part.run_id, plan.by_id[part.run_id]
    wanted = tuple(point.tokens for point in missing)
    if part.budget is None:
        return Task(folder, part.seconds, wanted, spec.size, "trunk", part.chain_seconds)
    if is_one_task(spec, wanted, [point.tokens for point in missing if point.held_out]):
        return Task(folder, part.seconds, (part.budget,), spec.size, "whole", part.chain_seconds, part.held_back)
    own = branch_folder(folder, part.budget)
    return Task(own, part.seconds, (part.budget,), spec.size, "branch", part.chain_seconds, part.held_back)
