"""The tasks of a pool: the trunk of each run, and its branches, with their jobs on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from scaling.config import StudyConfig
from scaling.launching.tasks import Task
from scaling.planning.parts import Part, is_one_task, parts_of
from scaling.records import BRANCH_FILE, JOB_FILE, TRUNK_FILE, branch_folder, record_path
from scaling.specs import Plan, PlannedPoint
from scaling.stages.study import study_cost, written_by_one
from scaling.training.config import Job
from scaling.values import write_json


def make_parts(
    config: StudyConfig, plan: Plan, corpora: Mapping[str, Path], points: Sequence[PlannedPoint]
) -> list[Task]:
    """What leads to the records that `points` lack, each job written; that on which most hangs first."""
    tasks = list_parts(config, plan, points)
    with written_by_one(config):
        for task in tasks:
            spec = plan.by_id[task.run_folder.name]
            # Budgets that are already there stay in the job: it says all that its run is for.
            there = [b for b in spec.budgets if record_path(task.run_folder, b).exists()]
            wanted = {b for other in tasks if other.run_folder == task.run_folder for b in other.budgets}
            job = Job(
                replace(spec, budgets=tuple(sorted({*wanted, *there}))),
                config.runtime,
                str(corpora[spec.corpus].resolve()),
                task.part,
                task.budgets[0] if task.part == "branch" else None,
            )
            task.folder.mkdir(parents=True, exist_ok=True)
            write_json(task.folder / JOB_FILE, job)
    return tasks


def list_parts(config: StudyConfig, plan: Plan, points: Sequence[PlannedPoint]) -> list[Task]:
    """As `make_parts`, and nothing is written."""
    return [_task(config, plan, points, part) for part in parts_left(config, plan, points)]


def parts_left(config: StudyConfig, plan: Plan, points: Sequence[PlannedPoint]) -> list[Part]:
    """By what lies on disk: budgets without a record, and those of them whose branch may begin."""
    missing = [p for p in points if not record_path(config.folder / p.run_id, p.tokens).exists()]
    budgets: dict[str, list[int]] = {}
    reached: dict[str, list[int]] = {}
    for point in missing:
        budgets.setdefault(point.run_id, []).append(point.tokens)
        own = branch_folder(config.folder / point.run_id, point.tokens)
        if any((own / name).exists() for name in (TRUNK_FILE, BRANCH_FILE)):
            reached.setdefault(point.run_id, []).append(point.tokens)
    held_back = {(point.run_id, point.tokens) for point in missing if point.held_out}
    return parts_of(plan, study_cost(config), budgets, held_back, reached)


def _task(config: StudyConfig, plan: Plan, points: Sequence[PlannedPoint], part: Part) -> Task:
    folder, spec = config.folder / part.run_id, plan.by_id[part.run_id]
    mine = [point for point in points if point.run_id == part.run_id]
    wanted = tuple(point.tokens for point in mine if not record_path(folder, point.tokens).exists())
    if part.budget is None:
        return Task(folder, part.seconds, wanted, spec.size, "trunk", part.chain_seconds)
    if is_one_task(spec, wanted, [point.tokens for point in mine if point.held_out]):
        return Task(folder, part.seconds, (part.budget,), spec.size, "whole", part.chain_seconds, part.held_back)
    own = branch_folder(folder, part.budget)
    return Task(own, part.seconds, (part.budget,), spec.size, "branch", part.chain_seconds, part.held_back)
