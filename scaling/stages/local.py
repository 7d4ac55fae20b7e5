"""The runs of a study on this machine: its slots, its workers, its progress on the terminal."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from scaling.config import PLAN_FILE, ConfigError, StudyConfig
from scaling.launching.config import LaunchConfig
from scaling.launching.early import take_warm
from scaling.launching.gpus import visible_gpus
from scaling.launching.kept import KeptWorkers
from scaling.launching.mps import serving
from scaling.launching.pool import PoolOptions, PoolState, run_pool
from scaling.launching.progress import Progress
from scaling.launching.slots import Slots, make_slots
from scaling.launching.tasks import LaunchResult, Task
from scaling.launching.workers import FreshWorkers, Workers
from scaling.specs import Plan
from scaling.terminal import PlainConsole
from scaling.training.config import Runtime
from scaling.values import read_json
from scaling.verdicts import read_verdict


def run_here(
    config: StudyConfig,
    tasks: Sequence[Task],
    title: str,
    meanwhile: Callable[[], None] = lambda: None,
    open_gate: Callable[[], bool] = lambda: True,
) -> LaunchResult:
    from scaling.stages.gpu import gpu_facts, memory_of_tasks

    console = PlainConsole(stderr=True)
    with shared_slots(config, console) as slots:
        workers = make_workers(slots) if config.trainer is None else FreshWorkers(one_process=True)
        options = PoolOptions(fail_fast=config.fail_fast, retry=config.retry, open_gate=open_gate)
        if slots.by_memory:
            plan = read_json(Plan, config.folder / PLAN_FILE)
            precision = gpu_facts(config.runtime, slots.free[0].gpus[0]).precision
            options = replace(options, memory_of=memory_of_tasks(config, plan, precision))
        try:
            with Progress(title, tasks, len(slots.free), console) as progress:

                def look(state: PoolState) -> None:
                    progress.show(state)
                    meanwhile()

                return run_pool(tasks, slots, workers, options=options, on_change=look, on_outcome=progress.tell)
        finally:
            workers.close()


def launch_options(config: StudyConfig) -> LaunchConfig:
    """With as many GPUs for each point as its program takes."""
    if config.trainer is None or config.trainer.gpus <= 1 or not visible_gpus():
        return config.launch
    return replace(config.launch, gpus_per_point=config.trainer.gpus)


def study_slots(runtime: Runtime, launch: LaunchConfig, cache: Path = Path("cache")) -> Slots:
    """Raises ConfigError where the machine has not what is asked for."""
    try:
        return make_slots(
            workers=runtime.workers,
            threads=runtime.threads,
            use_gpus=None if runtime.device == "auto" else runtime.device == "cuda",
            workers_per_gpu="auto" if may_share(runtime, launch, cache) else _fixed(launch),
            gpus_per_point=launch.gpus_per_point,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _fixed(launch: LaunchConfig) -> int:
    return launch.workers_per_gpu if isinstance(launch.workers_per_gpu, int) else 1


def may_share(runtime: Runtime, launch: LaunchConfig, cache: Path) -> bool:
    """Whether several runs may be on one GPU by themselves: asked for, and seen to work there."""
    from scaling.stages.gpu import gpu_facts

    on_gpus = runtime.device in ("auto", "cuda") and bool(visible_gpus())
    if launch.workers_per_gpu != "auto" or launch.gpus_per_point > 1 or not on_gpus:
        return False
    facts = gpu_facts(runtime)
    return read_verdict(cache, facts.name, facts.torch).on("sharing").passed


@contextmanager
def shared_slots(config: StudyConfig, console: PlainConsole) -> Iterator[Slots]:
    """The study's slots, with the service that lets processes share a GPU where they do; without it, where it was not
    asked for in so many words, each GPU has one worker."""
    from scaling.stages.gpu import shares_gpus

    slots = study_slots(config.runtime, launch_options(config), config.cache_folder)
    if config.trainer is not None or not shares_gpus(slots.free):
        yield slots
        return
    with serving(sorted({gpu for slot in slots.free for gpu in slot.gpus})) as service:
        if service is None and slots.by_memory:
            console.print("each GPU takes one run at a time: the service that shares it does not start")
            alone = replace(config.launch, workers_per_gpu=1)
            slots = study_slots(config.runtime, alone, config.cache_folder)
        yield _served(slots, service or {})


def _served(slots: Slots, service: Mapping[str, str]) -> Slots:
    free = [replace(slot, environment={**slot.environment, **service}) for slot in slots.free]
    return Slots(free, slots.by_memory)


def make_workers(slots: Slots) -> Workers:
    """Forks of a warm process on the cores of a Linux machine; processes that take one run after the other on a GPU;
    fresh ones where several GPUs share a run, and where a fork of a process that has loaded the system's libraries is
    not safe (macOS)."""
    if slots.on_gpus:
        return KeptWorkers() if all(len(slot.gpus) == 1 for slot in slots.free) else FreshWorkers()
    return take_warm(slots.free[0].environment) if sys.platform.startswith("linux") else FreshWorkers()
