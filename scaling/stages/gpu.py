"""What a study meets on a GPU, before anything runs there: the device, what has been checked, how runs share it."""

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from rich.table import Table

from scaling.config import ConfigError, StudyConfig
from scaling.launching.gpus import visible_gpus
from scaling.launching.slots import Slot, Slots, gpu_environment, room
from scaling.launching.tasks import Task
from scaling.model.counting import count_parameters
from scaling.numbers import plural
from scaling.planning.memory import run_bytes
from scaling.records import read_records
from scaling.specs import Plan, RunSpec
from scaling.speeds import processor_name, shape_of
from scaling.stages.calibrate import study_calibration
from scaling.terminal import PlainConsole
from scaling.training.config import Runtime
from scaling.verdicts import Verdict, read_verdict

SECONDS_TO_DESCRIBE = 120
SECONDS_TO_CHECK = 300
SECONDS_BETWEEN_READINGS = 5.0
# A step of a smaller decoder waits for launches, not for products: their bits cost nothing there, and bf16's casts do.
LAUNCH_BOUND_PARAMS = 2_000_000


@dataclass(frozen=True)
class GpuFacts:
    """As `training.describe` tells them."""

    name: str
    words: str
    torch: str
    precision: str
    memory_bytes: int


def gpu_facts(runtime: Runtime, gpu: str | None = None) -> GpuFacts:
    """Of one GPU (None: the first that is visible). Raises ConfigError, in one line, where torch finds none there."""
    return _described(gpu or visible_gpus()[0], runtime.device, runtime.precision)


@functools.cache
def _described(gpu: str, device: str, precision: str) -> GpuFacts:
    asked = json.dumps({"device": device, "precision": precision})
    try:
        told = subprocess.run(
            [sys.executable, "-m", "scaling.training.describe", asked],
            env={**os.environ, **gpu_environment("1", (gpu,))}, capture_output=True, text=True, check=False,
            timeout=SECONDS_TO_DESCRIBE,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ConfigError(
            f"torch does not say within {SECONDS_TO_DESCRIBE} s what the GPU {gpu} is: look at `nvidia-smi`, or set "
            "runtime.device=cpu"
        ) from None
    if told.returncode:
        last = told.stderr.strip().splitlines()[-1:] or ["it ended without a word"]
        raise ConfigError(f"GPU {gpu}: {last[0]}")
    return GpuFacts(**json.loads(told.stdout))


def verdict_of(config: StudyConfig, facts: GpuFacts) -> Verdict:
    return read_verdict(config.cache_folder, facts.name, facts.torch)


def check_new_gpu(config: StudyConfig, slots: Slots, console: PlainConsole) -> None:
    """Print what runs will run on; on a GPU that nobody has checked, run the quick check first."""
    if not slots.on_gpus:
        return
    facts = gpu_facts(config.runtime, slots.free[0].gpus[0])
    console.print(f"device: {facts.words}", soft_wrap=True)
    if verdict_of(config, facts).features or not config.runtime.gpu_check:
        return
    console.print("no check of this GPU, driver and torch is known: python -m scaling.gpu_check --quick")
    command = [sys.executable, "-m", "scaling.gpu_check", "--quick", f"--cache={config.cache_folder}"]
    environment = {**os.environ, **slots.free[0].environment}
    try:
        code = subprocess.run(command, env=environment, check=False, timeout=SECONDS_TO_CHECK).returncode
    except subprocess.TimeoutExpired:
        code = -1
    if code:
        console.print("warn: the check did not pass; what it did not see pass is not used")


def settled_runtime(config: StudyConfig, plan: Plan, slots: Slots) -> Runtime:
    """With a precision that holds for the whole study: that of its records, where a GPU made some, else TensorFloat-32
    where every model is small and this GPU's check of it has passed."""
    runtime = config.runtime
    if runtime.precision != "auto" or not slots.on_gpus:
        return runtime
    made_in = {r.provenance.precision for r in read_records(config.folder) if r.provenance.slot == "gpu"}
    if len(made_in) == 1:
        return replace(runtime, precision=made_in.pop())  # type: ignore[arg-type]  # a record's word is one of them
    small = all(count_parameters(run.model).non_embedding < LAUNCH_BOUND_PARAMS for run in plan.runs)
    if not made_in and small and verdict_of(config, gpu_facts(runtime, slots.free[0].gpus[0])).on("tf32").passed:
        return replace(runtime, precision="tf32")
    return runtime


def memory_of_sizes(config: StudyConfig, runs: dict[str, RunSpec], precision: str) -> Callable[[str], tuple[int, bool]]:
    """Bytes that a run of a size takes of a GPU, and whether they were measured: by finished runs of this study, or by
    the probe, else predicted. Records are read anew now and then."""
    speeds = study_calibration(config).by_shape
    micro = config.runtime.micro_batch_tokens
    micro_tokens = micro if isinstance(micro, int) else None
    seen: dict[str, int] = {}
    read_at = [float("-inf")]

    def memory_of(size: str) -> tuple[int, bool]:
        if time.monotonic() - read_at[0] >= SECONDS_BETWEEN_READINGS:
            read_at[0] = time.monotonic()
            for record in read_records(config.folder):
                taken = record.peak_reserved_bytes or 0
                seen[record.size] = max(seen.get(record.size, 0), taken)
        if seen.get(size):
            return seen[size], True
        probed = speeds.get(shape_of(runs[size]))
        if probed is not None and probed.peak_reserved_bytes:
            return probed.peak_reserved_bytes, True
        return run_bytes(runs[size], precision, micro_tokens), False

    return memory_of


def memory_of_tasks(config: StudyConfig, plan: Plan, precision: str) -> Callable[[Task], int | None]:
    by_size = memory_of_sizes(config, {run.size: run for run in plan.runs}, precision)
    return lambda task: by_size(task.size)[0]


def print_devices(config: StudyConfig, plan: Plan, slots: Slots, console: PlainConsole) -> None:
    """What each size takes where it will run: the part of a dry run that a GPU box is asked for first."""
    if not slots.on_gpus:
        asked = config.runtime.precision
        precision = "fp32" if asked in ("auto", "tf32") else asked
        workers = f"{plural(len(slots.free), 'worker')} of {plural(config.runtime.threads, 'thread')}"
        console.print(f"device: {processor_name()}, {precision}, {workers}", soft_wrap=True)
        return
    facts = gpu_facts(config.runtime, slots.free[0].gpus[0])
    runtime = settled_runtime(config, plan, slots)
    settled = facts.precision if runtime.precision == "auto" else runtime.precision
    console.print(f"device: {facts.words.rsplit(', ', 1)[0]}, {settled}", soft_wrap=True)
    for feature, earned in verdict_of(config, facts).features.items():
        console.print(f"  {feature}: {'used' if earned.passed else 'not used'}, {earned.words}")
    runs = {run.size: run for run in plan.runs}
    memory_of = memory_of_sizes(config, runs, settled)
    table = Table(title="memory and workers on each GPU", title_justify="left")
    for column in ("size", "GiB", "", "workers"):
        table.add_column(column, justify="left" if column in ("size", "") else "right")
    for size in runs:
        taken, measured = memory_of(size)
        total = facts.memory_bytes
        most = len([slot for slot in slots.free if slot.gpus == slots.free[0].gpus])
        fit = min(most, int(total // room(taken, total))) if slots.by_memory else most
        words = "measured" if measured else "predicted"
        table.add_row(size, f"{taken / 2**30:.1f}", words if taken < total else f"{words}: it does not fit", str(fit))
    console.print(table)


def shares_gpus(slots: list[Slot]) -> bool:
    return len({slot.gpus for slot in slots}) < len(slots) and any(slot.gpus for slot in slots)
