"""`python -m scaling.sweep`: prepare, plan, train, predict the held-out points, train those, fit, report.

Every stage starts from what is on disk, so the same command goes on wherever an earlier one stopped.

Example: python -m scaling.sweep study=mine data=local data.source.path=my/texts dry_run=true
"""

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from scaling.checkup import Watch, check_plan, prepared_manifest
from scaling.command import EXIT_BAD_CONFIG, run_hydra
from scaling.config import CONFIG_FILE, PLAN_FILE, ConfigError, StudyConfig, study_config
from scaling.data.prepare import prepare
from scaling.findings import refusals
from scaling.fit import finish_study, forecast_held_out
from scaling.launching.pool import PoolResult, PoolState, Task, make_slots, run_pool
from scaling.launching.progress import ProgressLine
from scaling.laws.power import power_words
from scaling.outlook import question
from scaling.planning.corpus_facts import corpus_facts
from scaling.planning.cost import Cost
from scaling.planning.plan import make_plan
from scaling.planning.table import print_findings, print_plan
from scaling.records import JOB_FILE, is_done, read_record, record_path
from scaling.specs import Plan, PlannedPoint
from scaling.training.config import Job
from scaling.values import finite_or_null, to_plain, write_json

EXIT_SOME_FAILED, EXIT_INTERRUPTED = 1, 130


def task(composed: DictConfig) -> int:
    config = study_config(composed)
    console = Console(stderr=True)
    plan = plan_study(config)
    slots = make_slots(
        workers=config.runtime.workers, threads=config.runtime.threads, use_gpus=config.runtime.device != "cpu"
    )
    findings = check_plan(config, plan)
    refused = bool(refusals(findings))
    if config.dry_run:
        if config.json:
            power = finite_or_null(to_plain(question(config, plan).power))
            Console().print_json(data=to_plain(plan) | {"power": power})
        else:
            wide = Console(width=None if sys.stdout.isatty() else 220)
            print_plan(plan, study_cost(config), len(slots), wide)
            if (power := question(config, plan).power) is not None:
                wide.print(power_words(power), highlight=False, soft_wrap=True)
            print_findings(findings, wide)
        return EXIT_BAD_CONFIG if refused else 0
    print_findings(findings, console)
    if refused:
        return EXIT_BAD_CONFIG
    corpus = prepare_study(config, console)
    plan, cost = plan_study(config), study_cost(config)  # now with epochs and evaluations
    known, findings = findings, check_plan(config, plan)
    print_findings(tuple(finding for finding in findings if finding not in known), console)
    if refusals(findings):
        return EXIT_BAD_CONFIG
    config.folder.mkdir(parents=True, exist_ok=True)
    write_json(config.folder / CONFIG_FILE, config)
    write_json(config.folder / PLAN_FILE, plan)
    watch = Watch(config, plan, console)
    failed: dict[str, str] = {}
    for wave in (1, 2):
        points = [point for point in plan.points if point.wave == wave]
        folders = write_jobs(config, plan, corpus, points)
        tasks = [Task(folder, wave_seconds(plan, cost, folder.name, wave)) for folder in folders]
        if not tasks:
            continue
        if wave == 2 and refusals(watch.look()):
            break
        if wave == 2:
            console.print(forecast_held_out(config, plan), highlight=False, soft_wrap=True)
        with ProgressLine(f"wave {wave} of 2", tasks, len(slots), console) as line:

            def show(state: PoolState, line: ProgressLine = line) -> None:
                line.show(state)
                watch.now_and_then()

            result: PoolResult = run_pool(tasks, slots, on_change=show)
        failed.update(result.failed)
        if result.interrupted:
            console.print("interrupted: every run is saved, and the same command goes on from here")
            return EXIT_INTERRUPTED
    page, verdict = finish_study(config, plan, findings)
    failed.update(unfinished(config, plan))
    for run_id, reason in failed.items():
        console.print(f"failed: {run_id}: {reason}", style="red", highlight=False, markup=False, soft_wrap=True)
    console.print(verdict, highlight=False, markup=False, soft_wrap=True)
    console.print(f"report: {page}", highlight=False, soft_wrap=True)
    return EXIT_SOME_FAILED if failed else 0


def wave_seconds(plan: Plan, cost: Cost, run_id: str, wave: int) -> float:
    """Of one run in one wave, the trunk of an earlier wave being there."""
    points = [point for point in plan.points if point.run_id == run_id]
    wanted = [point.tokens for point in points if point.wave == wave]
    there = [point.tokens for point in points if point.wave < wave]
    return cost.run_seconds(plan.by_id[run_id], wanted, there)


def unfinished(config: StudyConfig, plan: Plan) -> dict[str, str]:
    """Points that ended without a loss, by run and tokens, with the reason in their record."""
    ended = {}
    for point in plan.points:
        path = record_path(config.folder / point.run_id, point.tokens)
        record = read_record(path) if path.exists() else None
        if record is not None and record.status not in ("done", "stopped_early"):
            ended[f"{point.run_id} at {point.tokens:,} tokens"] = f"{record.status}: {record.reason}"
    return ended


def plan_study(config: StudyConfig) -> Plan:
    """Raises ConfigError. Writes nothing and imports no torch; epochs are known once the corpus is prepared."""
    manifest = prepared_manifest(config)
    facts = corpus_facts(config.data, manifest)
    try:
        return make_plan(
            config.study,
            grid=config.grid,
            options=config.model,
            recipe=config.recipe,
            corpus=facts,
            cost=study_cost(config),
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None


def study_cost(config: StudyConfig) -> Cost:
    manifest = prepared_manifest(config)
    return Cost(config.time_model, validation_tokens=0 if manifest is None else manifest.validation.tokens)


def prepare_study(config: StudyConfig, console: Console | None = None) -> Path:
    console = console or Console(stderr=True)
    return prepare(config.data, config.cache_folder, lambda stage: console.print(f"prepare: {stage}", highlight=False))


def write_jobs(config: StudyConfig, plan: Plan, corpus: Path, points: Iterable[PlannedPoint]) -> list[Path]:
    """Freeze a job into the folder of each run that lacks a record of `points`; returns those folders."""
    budgets: dict[str, list[int]] = {}
    for point in points:
        budgets.setdefault(point.run_id, []).append(point.tokens)
    folders = []
    for run_id, wanted in budgets.items():
        folder = config.folder / run_id
        if is_done(folder, tuple(wanted)):
            continue
        # Budgets that are already there stay in the job: its progress counts them and the worker skips them.
        there = [b for b in plan.by_id[run_id].budgets if record_path(folder, b).exists()]
        spec = replace(plan.by_id[run_id], budgets=tuple(sorted({*wanted, *there})))
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / JOB_FILE, Job(spec, config.runtime, str(corpus.resolve())))
        folders.append(folder)
    return folders


def main() -> None:
    run_hydra(task, "sweep", about=__doc__)


if __name__ == "__main__":
    main()
