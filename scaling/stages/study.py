"""The stages of a study that the entries share: its plan, its cost, its corpus, its jobs, its forecasts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

from scaling.config import CONFIG_FILE, PLAN_FILE, ConfigError, StudyConfig, shipped_time_model
from scaling.data.fingerprint import fingerprint
from scaling.data.local import readable_files
from scaling.data.prepare import prepare
from scaling.datasheets import data_sheet
from scaling.folders import below, study_lock, take
from scaling.launching.gpus import gpu_names, visible_gpus
from scaling.launching.tasks import Task
from scaling.planning.config import TimeModel
from scaling.planning.corpus_facts import corpus_facts
from scaling.planning.cost import Cost
from scaling.planning.plan import join_plans, make_plan
from scaling.planning.time_models import time_model
from scaling.records import JOB_FILE, is_done, read_records, recorded
from scaling.sinks.config import require_installed
from scaling.sinks.publish import publish
from scaling.specs import Plan, PlannedPoint
from scaling.stages.calibrate import study_calibration
from scaling.stages.checkup import prepared_manifest
from scaling.stages.vocabularies import each_vocabulary
from scaling.terminal import PlainConsole
from scaling.training.config import Job
from scaling.values import write_json

AUTO = "auto"


def plan_study(config: StudyConfig) -> Plan:
    """Raises ConfigError, and DataError where there is no text of the user's to be prepared. Writes nothing and imports
    no torch; epochs are known once the corpus is prepared."""
    source = config.data.source
    if source.kind == "local" and prepared_manifest(config) is None:
        readable_files(Path(str(source.path)))
    try:
        return join_plans(
            [
                make_plan(
                    one.study,
                    grid=one.grid,
                    options=one.model,
                    recipe=one.recipe,
                    corpus=corpus_facts(one.data, prepared_manifest(one)),
                    cost=study_cost(one),
                )
                for one in each_vocabulary(config)
            ]
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None


def study_cost(config: StudyConfig) -> Cost:
    manifest = prepared_manifest(config)
    validation_tokens = 0 if manifest is None else manifest.validation.tokens
    validation_tokens = min(validation_tokens, config.recipe.evaluate_most_tokens or validation_tokens)
    return Cost(here(config), validation_tokens, study_calibration(config))


def here(config: StudyConfig) -> TimeModel:
    """The study's time model; `auto` on a GPU is by the data sheet of its kind, or of an A100 where that is not known.
    A number that was set by hand holds."""
    model, runtime = config.time_model, config.runtime
    if model.name != AUTO or runtime.device not in ("auto", "cuda") or not visible_gpus():
        return model
    sheets = [sheet for name in gpu_names() if (sheet := data_sheet(name)) is not None]
    kind = min(sheets, key=lambda sheet: sheet.fp16, default=data_sheet("A100"))
    assert kind is not None
    shipped = shipped_time_model(AUTO)
    by_hand = {f.name: value for f in fields(model) if (value := getattr(model, f.name)) != getattr(shipped, f.name)}
    return replace(time_model(kind, f"the data sheet of the {kind.name}"), **by_hand)


def prepare_study(config: StudyConfig, console: PlainConsole | None = None) -> dict[str, Path]:
    """The folder of each corpus of the study, by fingerprint; the study's own is `fingerprint(config.data)`.

    Raises ConfigError where a sink is not installed.
    """
    try:
        require_installed(config.sinks)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    console = console or PlainConsole(stderr=True)
    return {
        fingerprint(one.data): prepare(one.data, one.cache_folder, lambda stage: console.print(f"prepare: {stage}"))
        for one in each_vocabulary(config)
    }


def send_to_sinks(config: StudyConfig, plan: Plan) -> None:
    """What has ended goes to the sinks that the study names; a failure is told, and nothing more comes of it."""
    if config.sinks:
        console = PlainConsole(stderr=True)
        publish(
            config.sinks,
            plan,
            list(read_records(config.folder)),
            config.folder,
            tell=lambda words: console.print(f"warn: {words}", soft_wrap=True),
        )


def take_folder(config: StudyConfig) -> None:
    """The study's folder, made if need be. Raises FolderError where it is somebody else's, OSError."""
    take(config.folder, "study", key="study", overwrite=config.overwrite)


def write_plan(config: StudyConfig, plan: Plan) -> None:
    """Raises FolderError, OSError."""
    take_folder(config)
    with study_lock(config.folder):
        write_json(config.folder / CONFIG_FILE, replace(config, overwrite=False))
        write_json(config.folder / PLAN_FILE, plan)


def make_tasks(
    config: StudyConfig, plan: Plan, corpora: Mapping[str, Path], points: Sequence[PlannedPoint], *, wave: int
) -> list[Task]:
    """One for each run that lacks a record of `points`, its job written, the longest first."""
    take_folder(config)
    with study_lock(config.folder):
        write_jobs(config, plan, corpora, points)
    return list_tasks(config, plan, points, wave=wave)


def list_tasks(config: StudyConfig, plan: Plan, points: Sequence[PlannedPoint], *, wave: int) -> list[Task]:
    """As `make_tasks`, and nothing is written: the jobs are there, or will be when their time comes."""
    cost = study_cost(config)
    by_run: dict[str, list[int]] = {}
    for point in points:
        by_run.setdefault(point.run_id, []).append(point.tokens)
    tasks = []
    for run_id, wanted in by_run.items():
        folder = config.folder / run_id
        missing = tuple(tokens for tokens in wanted if recorded(folder, tokens) is None)
        if missing:
            seconds = wave_seconds(plan, cost, run_id, wave)
            tasks.append(Task(folder, seconds, missing, plan.by_id[run_id].size))
    return sorted(tasks, key=lambda task: -task.seconds)


def wave_seconds(plan: Plan, cost: Cost, run_id: str, wave: int) -> float:
    """Of one run in one wave, the trunk of an earlier wave being there."""
    points = plan.of_run[run_id]
    wanted = [point.tokens for point in points if point.wave == wave]
    there = [point.tokens for point in points if point.wave < wave]
    return cost.run_seconds(plan.by_id[run_id], wanted, there)


def write_jobs(
    config: StudyConfig, plan: Plan, corpora: Mapping[str, Path], points: Iterable[PlannedPoint]
) -> list[Path]:
    """Freeze a job into the folder of each run that lacks a record of `points`; returns those folders.

    `corpora` are the folders of prepared corpora by fingerprint.
    """
    budgets: dict[str, list[int]] = {}
    for point in points:
        budgets.setdefault(point.run_id, []).append(point.tokens)
    folders = []
    for run_id, wanted in budgets.items():
        folder = config.folder / run_id
        if is_done(folder, tuple(wanted)):
            continue
        # Budgets that are already there stay in the job: its progress counts them and the worker skips them.
        there = [b for b in plan.by_id[run_id].budgets if recorded(folder, b) is not None]
        spec = replace(plan.by_id[run_id], budgets=tuple(sorted({*wanted, *there})))
        job = below(config.folder, f"{run_id}/{JOB_FILE}")
        folder.mkdir(parents=True, exist_ok=True)
        write_json(job, Job(spec, config.runtime, str(corpora[spec.corpus].resolve())))
        folders.append(folder)
    return folders
