"""A study from plan to report on any launcher. Every stage starts from what is on disk, so the same command goes on
wherever an earlier one stopped."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from scaling.claims import tidy
from scaling.config import ConfigError, StudyConfig
from scaling.exits import EXIT_BAD_CONFIG, EXIT_INTERRUPTED, EXIT_NO_ANSWER, EXIT_SOME_FAILED
from scaling.findings import refusals
from scaling.folders import require_ours, require_writable, study_lock
from scaling.launching.early import dismiss
from scaling.launching.slurm import in_flight
from scaling.launching.tasks import LaunchResult, Task
from scaling.laws.power import power_words
from scaling.laws.shape_power import shape_words
from scaling.planning.schedule import print_schedule, schedule
from scaling.planning.table import print_findings, print_plan
from scaling.records import STOP_FILE, recorded
from scaling.specs import Plan, PlannedPoint
from scaling.stages.calibrate import calibrate
from scaling.stages.checkup import Watch, check_plan, prepared_manifest
from scaling.stages.gpu import check_new_gpu, print_devices, settled_runtime
from scaling.stages.local import study_slots
from scaling.stages.outlook import question
from scaling.stages.parts import make_parts, parts_left
from scaling.stages.study import (
    list_tasks,
    make_tasks,
    plan_study,
    prepare_study,
    send_to_sinks,
    study_cost,
    write_plan,
)
from scaling.stages.vocabularies import each_vocabulary
from scaling.terminal import PlainConsole
from scaling.values import finite_or_null, to_plain


class Launch(Protocol):
    """Runs the folders, longest first, and says how each ended; raises for none of them. `meanwhile` is called often,
    where the launcher has time for it."""

    def __call__(self, tasks: list[Task], title: str, meanwhile: Callable[[], None]) -> LaunchResult: ...


class LaunchParts(Protocol):
    """Runs trunks and branches as their times come; `open_gate` is called before the first that is held back, and says
    whether those shall be run."""

    def __call__(
        self, tasks: list[Task], title: str, meanwhile: Callable[[], None], open_gate: Callable[[], bool]
    ) -> LaunchResult: ...


class Submit(Protocol):
    """Hands both waves to a cluster, and between them, where asked for, a job that forecasts. False: there was nothing
    to hand over, and nothing of this study is in the queue."""

    def __call__(self, waves: list[list[Task]], *, forecast: bool) -> bool: ...


def sweep_study(
    config: StudyConfig,
    launch: Launch,
    *,
    points: Collection[int] | None,
    finish: bool,
    submit: Submit | None = None,
    launch_parts: LaunchParts | None = None,
    told: dict[str, Any] | None = None,
) -> int:
    """Train what is not done of `points` (all: None) and return the exit code.

    Whole runs are launched in two waves, with the forecasts between; with `launch_parts` trunks go ahead of them.

    With `submit` the points are handed to a cluster and this returns; called again when they have ended, it finishes
    the study. With `finish` the laws are fitted and the report is written. Forecasts are made of a whole study alone:
    those of a few points would stand in the ledger for good. `told` is filled with what a program asks to know.
    """
    told = {} if told is None else told
    if config.dry_run:
        return dry_run(config)
    console = PlainConsole(stderr=True)
    require_ours(config.folder, "study", key="study", overwrite=config.overwrite)
    require_writable(config.folder)
    plan = plan_study(config)
    findings = check_plan(config, plan)
    print_findings(findings, console)
    told |= {"refused": [finding.name for finding in refusals(findings)], "findings": to_plain(findings)}
    if refusals(findings):
        return EXIT_BAD_CONFIG
    whole = not config.calibrate and all(map(prepared_manifest, each_vocabulary(config)))
    if config.calibrate:
        calibrate(config, plan, console)
    corpora = prepare_study(config, console)
    if not whole:
        plan = plan_study(config)  # now with epochs and evaluations
        known, findings = findings, check_plan(config, plan)
        # What was said is not said again with other points to add.
        said = {(finding.name, finding.level) for finding in known}
        print_findings(tuple(f for f in findings if (f.name, f.level) not in said), console)
        told |= {"refused": [finding.name for finding in refusals(findings)], "findings": to_plain(findings)}
        if refusals(findings):
            return EXIT_BAD_CONFIG
    chosen = choose_points(plan, points)
    write_plan(config, plan)
    (config.folder / STOP_FILE).unlink(missing_ok=True)
    if submit is not None and hand_over(config, plan, corpora, chosen, submit, whole=points is None):
        return 0
    jobs = config
    if launch_parts is not None:
        slots = study_slots(config.runtime, config.launch, config.cache_folder)
        check_new_gpu(config, slots, console)
        # For the jobs alone: the study's own config says what was asked for.
        jobs = replace(config, runtime=settled_runtime(config, plan, slots))
    watch = Watch(config, plan, console)
    failed: dict[str, str] = {}

    def open_gate() -> bool:
        """Before a held-out loss can be known: do the checks allow it, and what do the others say of it?"""
        if refusals(watch.look()):
            return False
        send_to_sinks(config, plan)
        if points is None:
            write_forecasts(config, plan, console)
        return True

    for result in _launched(jobs, plan, corpora, chosen, watch, open_gate, launch, launch_parts) if not submit else ():
        failed.update(result.failed)
        if result.interrupted:
            console.print("interrupted: every run is saved, and the same command goes on from here")
            return EXIT_INTERRUPTED
        if failed and config.fail_fast:
            break
    dismiss()
    failed.update(unfinished(config, chosen, failed))
    withheld = False
    told["failed"] = dict(failed)
    for name, reason in failed.items():
        console.print(f"failed: {name}: {reason}", style="red", soft_wrap=True)
    if finish and not (failed and config.fail_fast):
        from scaling.stages.ending import last_words, summary
        from scaling.stages.finish import finish_study

        with study_lock(config.folder):
            tidy(config.folder)
        finished = finish_study(config, plan, findings)
        withheld = finished.withheld
        told |= summary(finished)
        for line in last_words(config, finished):
            console.print(line, soft_wrap=True)
        if finished.unwritten is not None:
            raise finished.unwritten
    if failed:
        return EXIT_SOME_FAILED
    return EXIT_NO_ANSWER if withheld else 0


def _launched(
    config: StudyConfig,
    plan: Plan,
    corpora: Mapping[str, Path],
    points: list[PlannedPoint],
    watch: Watch,
    open_gate: Callable[[], bool],
    launch: Launch,
    launch_parts: LaunchParts | None,
) -> Iterator[LaunchResult]:
    if launch_parts is not None:
        if parts := make_parts(config, plan, corpora, points):
            yield launch_parts(parts, "points", watch.now_and_then, open_gate)
        return
    for wave in (1, 2):
        tasks = make_tasks(config, plan, corpora, [point for point in points if point.wave == wave], wave=wave)
        if not tasks:
            continue
        if wave == 2 and not open_gate():
            return
        yield launch(tasks, f"wave {wave} of 2", watch.now_and_then)


def hand_over(
    config: StudyConfig,
    plan: Plan,
    corpora: Mapping[str, Path],
    points: list[PlannedPoint],
    submit: Submit,
    *,
    whole: bool,
) -> bool:
    """False where all points have ended. Jobs of runs in the queue are not written anew: they may be read just now."""
    flying = in_flight(config.folder)
    mine = [point for point in points if point.run_id not in flying]
    if not whole:
        return submit([make_tasks(config, plan, corpora, mine, wave=1), []], forecast=False)
    first, second = ([point for point in mine if point.wave == wave] for wave in (1, 2))
    now = make_tasks(config, plan, corpora, first, wave=1)
    if now or flying:
        return submit([now, list_tasks(config, plan, second, wave=2)], forecast=True)
    if list_tasks(config, plan, second, wave=2):
        write_forecasts(config, plan, PlainConsole(stderr=True))
    return submit([[], make_tasks(config, plan, corpora, second, wave=2)], forecast=False)


def write_forecasts(config: StudyConfig, plan: Plan, console: PlainConsole) -> None:
    from scaling.stages.finish import forecast_held_out

    console.print(forecast_held_out(config, plan), soft_wrap=True)


def dry_run(config: StudyConfig) -> int:
    """Print the plan, its cost and what speaks against it; write nothing but what `calibrate=true` measures."""
    if config.calibrate:
        calibrate(config, plan_study(config), PlainConsole(stderr=True))
    plan = plan_study(config)
    findings = check_plan(config, plan)
    asked = question(config, plan)
    power, shapes = asked.power, asked.shapes
    if config.json:
        more = {"power": finite_or_null(to_plain(power)), "shapes": finite_or_null(to_plain(shapes))}
        PlainConsole().print_json(data=to_plain(plan) | more | {"findings": to_plain(findings)})
        print_findings(refusals(findings), PlainConsole(stderr=True))
    else:
        wide = PlainConsole()
        slots = study_slots(config.runtime, config.launch, config.cache_folder)
        workers = len(slots.free)
        print_plan(plan, study_cost(config), workers, wide, all_columns=config.columns == "all")
        print_devices(config, plan, slots, wide)
        if config.columns == "all" and (parts := parts_left(config, plan, plan.points)):
            print_schedule("what is left", schedule(parts, workers), wide)
        if power is not None and not asked.holds_size:
            wide.print(power_words(power), soft_wrap=True)
        if shapes is not None:
            wide.print(shape_words(shapes), soft_wrap=True)
        print_findings(findings, wide)
    return EXIT_BAD_CONFIG if refusals(findings) else 0


def choose_points(plan: Plan, indices: Collection[int] | None) -> list[PlannedPoint]:
    """Raises ConfigError for an index outside the plan."""
    for index in indices or ():
        if not 0 <= index < len(plan.points):
            raise ConfigError(
                f"point is {index}; it must be the number of a point of the plan, 0 to {len(plan.points) - 1}: "
                "`python -m scaling.sweep dry_run=true` lists them"
            )
    return [point for point in plan.points if indices is None or point.index in indices]


def unfinished(config: StudyConfig, points: list[PlannedPoint], failed: Collection[str]) -> dict[str, str]:
    """Points that have no loss, by run and tokens: with the reason of their record, or without any record."""
    ended = {}
    for point in points:
        record = recorded(config.folder / point.run_id, point.tokens)
        name = f"{point.run_id} at {point.tokens:,} tokens"
        if record is not None:
            if record.status not in ("done", "stopped_early"):
                ended[name] = f"{record.status}: {record.reason}"
        elif not {point.run_id, name} & set(failed):
            ended[name] = "it was not trained; the same command tries it again"
    return ended
