"""How fast a step is in each of its ways, and whether the faster ones compute what the plain one does."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from scaling.model.counting import count_training_flops
from scaling.stages.gpu_check.finding import SIZES, Bench, Finding, at_least, at_most, model_of, run_of
from scaling.training import parallel
from scaling.training.config import Runtime
from scaling.training.device import matrix_products
from scaling.training.peak import datasheet_peak
from scaling.training.probe import Stepper

COMPARED_STEPS = 20
# What bf16 or another fusion may part two losses by after so many steps.
SAME_LOSS = 2e-3


@dataclass(frozen=True)
class Way:
    """How a step is taken."""

    name: str
    precision: str
    captured: bool = False
    compiled: bool = False


@dataclass(frozen=True)
class Measured:
    seconds: float
    loss: float
    captured: bool
    reasons: str


def measure(bench: Bench, size: str, batch_tokens: int, way: Way, seconds: float) -> Measured:
    """The median of blocks of steps, and the loss after the first of them."""
    layers, width, heads = SIZES[size]
    run = run_of(model_of(layers, width, heads, context=128 if batch_tokens < 8192 else 512), batch_tokens)
    runtime = Runtime(
        device=bench.device.type,  # type: ignore[arg-type]
        precision=way.precision,  # type: ignore[arg-type]
        capture=way.captured,
        compile=way.compiled,
    )
    with bench.forms(), matrix_products(way.precision):
        stepper = Stepper(run, runtime, bench.folder)
        loss = 0.0
        for _ in range(COMPARED_STEPS):
            loss = float(stepper.step().loss)
        times: list[float] = []
        until = time.perf_counter() + seconds
        while len(times) < 3 or time.perf_counter() < until:
            bench.synchronize()
            began = time.perf_counter()
            for _ in range(10 if bench.on_gpu else 1):
                stepper.step()
            bench.synchronize()
            times.append((time.perf_counter() - began) / (10 if bench.on_gpu else 1))
    return Measured(statistics.median(times), loss, stepper.choices.captured, stepper.choices.reasons)


def capture(bench: Bench) -> Iterator[Finding]:
    """The captured step at sizes that wait for launches: same losses as the eager one, and sooner."""
    half = "bf16" if "bf16" in bench.precisions else "fp32"
    for size in ("55k",) if not bench.on_gpu else ("55k", "983k"):
        eager = measure(bench, size, 512, Way("eager", half), bench.seconds_a_measurement)
        graph = measure(bench, size, 512, Way("captured", half, captured=True), bench.seconds_a_measurement)
        off = abs(graph.loss - eager.loss) / eager.loss
        yield at_most("capture", f"loss at {size}", off, SAME_LOSS, graph.reasons, "capture")
        least = 1.0 if bench.on_gpu else 0.0  # a rehearsal launches as much
        yield at_least("capture", f"times the speed at {size}", eager.seconds / graph.seconds, least, feature="capture")
        if "tf32" in bench.precisions:
            exact = measure(bench, size, 512, Way("tf32", "tf32"), bench.seconds_a_measurement)
            yield at_least("tf32", f"times bf16's speed at {size}", eager.seconds / exact.seconds, 1.0, feature="tf32")
            off = abs(exact.loss - eager.loss) / eager.loss
            yield at_most("tf32", f"loss at {size}", off, SAME_LOSS, feature="tf32")


def compile_(bench: Bench) -> Iterator[Finding]:
    """Blocks compiled one by one: same losses, sooner, and how long it takes."""
    if not bench.on_gpu:
        parallel.COMPILER = "aot_eager"  # which needs no compiler of C
    half = "bf16" if "bf16" in bench.precisions else "fp32"
    for size, tokens in (("55k", 512),) if not bench.on_gpu else (("983k", 512), ("28M", 16384)):
        eager = measure(bench, size, tokens, Way("eager", half), bench.seconds_a_measurement)
        began = time.perf_counter()
        compiled = measure(bench, size, tokens, Way("compiled", half, compiled=True), bench.seconds_a_measurement)
        took = time.perf_counter() - began
        off = abs(compiled.loss - eager.loss) / eager.loss
        yield at_most("compile", f"loss at {size}", off, SAME_LOSS, f"{took:.0f} s with compiling", "compile")
        least = 1.0 if bench.on_gpu else 0.0
        faster = eager.seconds / compiled.seconds
        yield at_least("compile", f"times the speed at {size}", faster, least, feature="compile")
        both = measure(
            bench, size, tokens, Way("both", half, captured=True, compiled=True), bench.seconds_a_measurement
        )
        off = abs(both.loss - eager.loss) / eager.loss
        yield at_most("compile", f"loss at {size}, captured too", off, SAME_LOSS, both.reasons, "compile")
        yield Finding("compile", f"times the speed at {size}, captured too", None, eager.seconds / both.seconds)


def speed(bench: Bench) -> Iterator[Finding]:
    """MFU of the data sheet at five sizes, in each way; Muon; what a checkpoint of the largest takes."""
    half = "bf16" if "bf16" in bench.precisions else "fp32"
    sizes = {"55k": 512} if not bench.on_gpu else {"55k": 512, "983k": 8192, "7M": 16384, "28M": 32768, "100M": 65536}
    ways = [Way("eager", half), Way("captured", half, captured=True)]
    ways += [Way("compiled and captured", half, captured=True, compiled=True)] if bench.on_gpu else []
    peak = datasheet_peak(bench.device, half)
    for size, tokens in sizes.items():
        layers, width, heads = SIZES[size]
        flops = count_training_flops(model_of(layers, width, heads, context=128 if tokens < 8192 else 512)).total
        for way in ways:
            found = measure(bench, size, tokens, way, bench.seconds_a_measurement)
            mfu = "" if peak is None else f"MFU {flops * tokens / found.seconds / peak:.1%} of the data sheet"
            yield Finding("speed", f"{size}, {tokens} a step, {way.name}", None, tokens / found.seconds, words=mfu)
    yield _saving(bench)


def _saving(bench: Bench) -> Finding:
    from scaling.training.progress import Progress
    from scaling.training.saving import Saver
    from scaling.training.team import Team

    size = "100M" if bench.on_gpu else "983k"
    layers, width, heads = SIZES[size]
    run = run_of(model_of(layers, width, heads), 512)
    stepper = Stepper(run, Runtime(device=bench.device.type), Path(bench.folder))  # type: ignore[arg-type]
    stepper.step()
    began = time.perf_counter()
    with Saver(run.id, Team(), bench.device, "fp32") as saver:
        for _ in range(2):  # the first makes the host's memory
            began = time.perf_counter()
            saver.save(bench.folder / "trunk.pt", stepper.state, Progress(), budget=None)
            stalled = time.perf_counter() - began
            saver.wait()
    words = f"{stalled:.2f} s of them hold the training up; {torch.get_num_threads()} threads"
    return Finding("speed", f"seconds to save {size}", None, time.perf_counter() - began, words=words)
