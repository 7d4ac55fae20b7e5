"""Several processes: sharing one GPU, one team on it, and a whole study beside a plain script for each of its cells."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from scaling.launching.gpus import visible_gpus
from scaling.launching.mps import serving
from scaling.launching.slots import cpu_environment, gpu_environment
from scaling.machine import GPU_SHARE
from scaling.records import read_records
from scaling.stages.gpu_check.finding import Bench, Finding, at_least, at_most, model_of, run_of
from scaling.stages.gpu_check.numbers import make_corpus, make_run, train

SPIN = "scaling.stages.gpu_check.spin"
# So much faster must eight workers be than one for sharing to be worth its risks.
WORTH_SHARING = 2.0


def sharing(bench: Bench) -> Iterator[Finding]:
    """Tokens per second of 1, 2, 4 and 8 workers at 983k, with the service and without."""
    size = "983k" if bench.on_gpu else "55k"
    counts = (1, 2, 4, 8) if bench.on_gpu else (1, 2)
    alone = _together(bench, 1, size, {})
    yield Finding("sharing", f"one worker at {size}", None, alone, words="tokens per second")
    for count in counts[1:]:
        yield Finding("sharing", f"{count} workers in turns", None, _together(bench, count, size, {}) / alone)
    if not bench.on_gpu:
        yield at_least("sharing", f"{counts[-1]} workers", _together(bench, counts[-1], size, {}) / alone, 0.0)
        return
    with serving(visible_gpus()[:1]) as service:
        if service is None:
            yield Finding("sharing", "the service", False, words="MPS does not start here", feature="sharing")
            return
        for count in counts[1:]:
            faster = _together(bench, count, size, dict(service)) / alone
            limit = WORTH_SHARING if count == counts[-1] else 0.0
            yield at_least("sharing", f"{count} workers under MPS", faster, limit, feature="sharing")


def _together(bench: Bench, count: int, size: str, service: dict[str, str]) -> float:
    """Tokens per second of all, each counted while all are at work; 0 where one did not come so far."""
    place = gpu_environment("1") if bench.on_gpu else cpu_environment("1")
    environment = {**os.environ, **place, **service, GPU_SHARE: f"{1 / count:.4f}"}
    begin = time.time() + (8.0 if bench.on_gpu else 6.0) + 0.5 * count
    seconds = 3.0 if bench.on_gpu else 1.0
    command = [sys.executable, "-m", SPIN, bench.device.type, size, str(begin), str(seconds)]
    spinning = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(count)
    ]
    told = [process.communicate()[0] for process in spinning]
    speeds = [
        float(words) if process.returncode == 0 and words else 0.0
        for process, words in zip(spinning, told, strict=True)
    ]
    return sum(speeds) if all(speeds) else 0.0


def teams(bench: Bench) -> Iterator[Finding]:
    """One process under torchrun, by NCCL where there is a GPU: the curve of a process alone; it saves, and leaves."""
    corpus = make_corpus(bench.folder)
    spec = run_of(model_of(2, 20, 2, vocab=256, context=128), 512, steps=(20,))
    options: dict[str, object] = {"device": bench.device.type, "precision": "fp32"}
    (alone,) = train(bench.folder / "alone", spec, corpus, **options)
    _, folder = make_run(bench.folder / "team", spec, corpus, **options)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m"]
    if bench.on_gpu and torch.cuda.device_count() < 2:
        command[4] = "--nproc_per_node=1"
    command += ["scaling.train", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=bench.seconds)
    record = next(read_records(folder.parent), None)
    off = float("inf") if record is None else abs((record.final_loss_nats or 0) / (alone.final_loss_nats or 1) - 1)
    words = f"{command[4]}, exit code {ended.returncode}"
    yield at_most("teams", "loss of a team", off, 1e-5, words)


def tests(bench: Bench) -> Iterator[Finding]:
    """The fast tests of model and training, where this is a checkout that has them."""
    folder = Path(__file__).parents[3] / "tests"
    if not folder.exists():
        yield Finding("tests", "model and training", None, words="an installed package has no tests")
        return
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(folder / "model")]
    command += [str(folder / "training"), str(folder / "training/test_gpu.py")] if bench.on_gpu else []
    command += ["-m", "not slow"]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder.parent, timeout=bench.seconds
    )
    last = (ended.stdout.strip().splitlines() or ["(nothing)"])[-1]
    yield Finding("tests", "model and training", ended.returncode == 0, words=last)


def study(bench: Bench) -> Iterator[Finding]:
    """Nine cells by a plain script each, from its start to its loss, and by one sweep to its report."""
    corpus = make_corpus(bench.folder)
    cells = _cells(bench)
    device = bench.device.type
    began, losses = time.perf_counter(), []
    for layers, width, heads, tokens, batch, context in cells:
        numbers = [str(n) for n in (layers, width, heads, tokens, batch, context)]
        command = [sys.executable, "-m", "scaling.stages.gpu_check.plain", device, str(corpus), *numbers]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=bench.seconds)
        losses.append(json.loads(ended.stdout or '{"loss": null}')["loss"])
    plain = time.perf_counter() - began
    began = time.perf_counter()
    code = subprocess.run(_sweep(bench, cells), capture_output=True, check=False, timeout=bench.seconds).returncode
    ours = time.perf_counter() - began
    mine = [r.final_loss_nats for r in read_records(bench.folder / "runs" / "check") if r.final_loss_nats is not None]
    whole = code in (0, 3) and len(mine) == len(cells) and None not in losses
    yield Finding(
        "study", "all cells were trained", whole, words=f"exit code {code}, {len(mine)} of {len(cells)} losses"
    )
    if whole:
        theirs = sum(losses) / len(losses)
        worse = sum(mine) / len(mine) / theirs - 1
        yield at_most("study", "mean loss above the plain script's", worse, 0.005 if bench.on_gpu else 0.5)
        yield at_least("study", "times a plain script's speed", plain / ours, 3.0 if bench.on_gpu else 0.0)


def _cells(bench: Bench) -> list[tuple[int, int, int, int, int, int]]:
    """Layers, width, heads, tokens, batch, context."""
    if not bench.on_gpu:
        return [(2, 16, 1, tokens, 512, 64) for tokens in (51_200, 76_800)]
    shapes = ((4, 128, 2), (6, 256, 4), (7, 384, 6))
    return [(*shape, tokens, 16384, 512) for shape in shapes for tokens in (4 << 20, 8 << 20, 16 << 20)]


def _sweep(bench: Bench, cells: list[tuple[int, int, int, int, int, int]]) -> list[str]:
    shapes = list(dict.fromkeys(cell[:3] for cell in cells))
    sizes = ", ".join(
        f"{{name: s{i}, num_layers: {n}, d_model: {d}, num_heads: {h}}}" for i, (n, d, h) in enumerate(shapes)
    )
    budgets = sorted({cell[3] for cell in cells})
    return [
        *(sys.executable, "-m", "scaling.sweep", "study=check", f"runs={bench.folder / 'runs'}"),
        *(
            f"cache={bench.folder / 'cache'}",
            "data=local",
            "data.name=check",
            f"data.source.path={bench.folder / 'text'}",
        ),
        *("data.description=random words", "data.licence=none", "data.validation_fraction=0.1"),
        *(f"grid.sizes=[{sizes}]", f"grid.budgets={budgets}", "grid.replicates=[]", "grid.holdout_share=0"),
        *(f"recipe.batch_tokens={cells[0][4]}", f"model.context={cells[0][5]}", "recipe.warmup_min_steps=10"),
        *(f"runtime.device={bench.device.type}", "runtime.gpu_check=false", "power.quantity=null", "fit.figures=false"),
        *(
            "force=[few_steps,repeated_data,head_flops,embedding_params,attention_flops,warmup_share,unusable_law]",
            "runtime.tensorboard=false",
        ),
    ]
