"""Whether this device computes what a CPU computes: kernels, accumulation, a trajectory, resuming, evaluation."""

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scaling.data.config import DataConfig, SourceConfig, TokenizerConfig
from scaling.data.prepare import prepare
from scaling.model.config import ModelConfig
from scaling.model.decoder import Decoder, initialise
from scaling.records import RunRecord, read_record, record_path
from scaling.specs import RunSpec
from scaling.stages.gpu_check import reference
from scaling.stages.gpu_check.finding import SIZES, Bench, Finding, at_most, model_of, run_of
from scaling.training.config import Job, Runtime
from scaling.training.device import matrix_products
from scaling.training.evaluate import evaluate
from scaling.training.optimizer import make_optimizer
from scaling.training.step import TrainState, accumulate_gradients, autocast
from scaling.training.trajectory import Interrupted, Trajectory
from scaling.values import write_json

# Of the norm of a loss or a gradient: rounding of sums in another order; 10 bits of mantissa; 7.
LIMITS = {"fp32": 1e-5, "tf32": 3e-3, "bf16": 2e-2, "fp16": 2e-2}
Z_LOSS = 1e-4


def kernels(bench: Bench) -> Iterator[Finding]:
    """Losses and gradients of random weights and tokens, against float64 on the CPU."""
    for name, model in _architectures(bench.quick):
        torch.manual_seed(0)
        ids = torch.randint(model.vocab_size, (3, model.context + 1))
        exact = _exact(model, ids)
        for precision in bench.precisions:
            off = _errors(bench, model, ids, precision, exact)
            worst = max(off, key=lambda key: off[key])
            feature = "tf32" if precision == "tf32" else None
            yield at_most("kernels", f"{name}, {precision}", off[worst], LIMITS[precision], worst, feature)


def _architectures(quick: bool) -> Iterator[tuple[str, ModelConfig]]:
    small: dict[str, Any] = {"vocab": 200, "context": 64, "mup_base_width": None}
    options: list[dict[str, Any]] = [{}, {"positions": "learned"}, {"positions": "sinusoidal"}, {"norm": "layernorm"}]
    options += [{"activation": "swiglu"}, {"activation": "relu2"}, {"qk_norm": False}, {"tied_embeddings": False}]
    for changes in options[:1] if quick else options:
        yield (
            " ".join(f"{key}={value}" for key, value in changes.items()) or "default",
            model_of(2, 64, 4, **small, **changes),
        )
    for width, heads, groups in ((20, 2, None), (48, 4, 2), (128, 2, 1), (256, 2, None)):
        shape = f"heads of {width // heads}" + (f", {heads // groups} to a group" if groups else "")
        yield shape, model_of(2, width, heads, **small, num_kv_heads=groups)


def _exact(model: ModelConfig, ids: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    weights = {name: w.detach().double().requires_grad_() for name, w in _decoder(model).named_parameters()}
    loss = reference.loss(model, weights, ids[:, :-1], ids[:, 1:], Z_LOSS)
    torch.autograd.backward(loss)
    with torch.no_grad():  # what the decoder returns leaves the regulariser out
        value = reference.loss(model, weights, ids[:, :-1], ids[:, 1:], 0.0)
    return value, {name: w.grad for name, w in weights.items() if w.grad is not None}


def _decoder(model: ModelConfig) -> Decoder:
    decoder = Decoder(model, z_loss=Z_LOSS)
    initialise(decoder, 0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in decoder.named_parameters():
            if name.endswith("gain"):
                weight.normal_(1.0, 0.2, generator=generator)
    return decoder


def _errors(
    bench: Bench, model: ModelConfig, ids: Tensor, precision: str, exact: tuple[Tensor, dict[str, Tensor]]
) -> dict[str, float]:
    """Of the loss, of the whole gradient, and a third of that of each kind of weight: gains are few, and what their
    gradients sum cancels."""
    decoder = _decoder(model).to(bench.device)
    ids = ids.to(bench.device)
    scale = 2.0**8 if precision == "fp16" else 1.0
    with bench.forms(), matrix_products(precision):
        with autocast(bench.device, precision):
            loss = decoder(ids[:, :-1], ids[:, 1:])
        (loss * scale).backward()
    off = {"loss": float((loss.detach().cpu().double() - exact[0]).abs() / exact[0].abs())}
    kinds: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for name, weight in decoder.named_parameters():
        assert weight.grad is not None
        kind = ".".join(part for part in name.split(".") if not part.isdigit())
        kinds.setdefault(kind, []).append((weight.grad.cpu().double() / scale, exact[1][name]))
    squares = {
        kind: (sum(_square(a - b) for a, b in pairs), sum(_square(b) for _, b in pairs))
        for kind, pairs in kinds.items()
    }
    off["gradient"] = (sum(missed for missed, _ in squares.values()) / sum(all_ for _, all_ in squares.values())) ** 0.5
    off |= {f"a third of {kind}": (missed / max(1e-300, all_)) ** 0.5 / 3 for kind, (missed, all_) in squares.items()}
    return off


def _square(x: Tensor) -> float:
    return float(x.square().sum())


def accumulation(bench: Bench) -> Iterator[Finding]:
    """A batch in parts has the gradient of the whole."""
    model = model_of(2, 64, 4, vocab=200, context=64)
    torch.manual_seed(0)
    windows = torch.randint(200, (8, 65)).to(bench.device)
    for precision in [p for p in bench.precisions if p in ("fp32", "bf16")]:
        gradients = []
        for parts in (8, 1, 3, 4):
            decoder = _decoder(model).to(bench.device)
            scaler = torch.amp.GradScaler(bench.device.type, enabled=False)
            state = TrainState(decoder, decoder, make_optimizer(decoder, run_of(model, 512).optimizer), scaler)
            with bench.forms(), matrix_products(precision):
                accumulate_gradients(
                    state, windows, num_tokens=512, precision=precision, micro_sequences=parts, dropout_seed=0
                )
            gradients.append(torch.cat([w.grad.flatten() for w in decoder.parameters() if w.grad is not None]))
        whole = gradients[0]
        worst = max(float((part - whole).norm() / whole.norm()) for part in gradients[1:])
        yield at_most("accumulation", precision, worst, 1e-6 if precision == "fp32" else 1e-2)


def make_corpus(folder: Path) -> Path:
    """A few hundred kilobytes of words, prepared."""
    text = folder / "text"
    text.mkdir(parents=True, exist_ok=True)
    draw = random.Random(0)
    words = ["".join(draw.choice("abcdefgh") for _ in range(draw.randint(2, 7))) for _ in range(300)]
    for i in range(40):
        (text / f"{i}.txt").write_text(" ".join(draw.choice(words) for _ in range(1500)))
    source = SourceConfig(kind="local", path=str(text))
    config = DataConfig("check", source, TokenizerConfig("bytes"), "none", "random words", validation_fraction=0.1)
    return prepare(config, folder / "cache")


def make_run(root: Path, spec: RunSpec, corpus: Path, **runtime: object) -> tuple[Job, Path]:
    job = Job(spec, Runtime(**{"tensorboard": False, **runtime}), str(corpus))  # type: ignore[arg-type]
    folder = root / spec.id
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "job.json", job)
    return job, folder


def train(root: Path, spec: RunSpec, corpus: Path, **runtime: object) -> list[RunRecord]:
    job, folder = make_run(root, spec, corpus, **runtime)
    Trajectory(job, folder).run()
    return [read_record(record_path(folder, budget)) for budget in spec.budgets]


def trajectory(bench: Bench) -> Iterator[Finding]:
    """A run with two budgets, on the CPU and here: the same loss, and what a record should have."""
    corpus = make_corpus(bench.folder)
    steps = (20, 30) if bench.quick or not bench.on_gpu else (200, 300)
    spec = run_of(model_of(2, 20, 2, vocab=256, context=128), 512, steps=steps)
    exact = [record.final_loss_nats for record in train(bench.folder / "cpu", spec, corpus, device="cpu")]
    for precision in bench.precisions:
        began = time.perf_counter()
        device = bench.device.type
        records = train(
            bench.folder / precision, spec, corpus, device=device, precision=precision, profile=not bench.quick
        )
        took = time.perf_counter() - began
        pairs = zip(records, exact, strict=True)
        off = max(abs((r.final_loss_nats or 0.0) - (loss or 0.0)) / (loss or 1.0) for r, loss in pairs)
        yield at_most("trajectory", f"loss in {precision}", off, 1e-4 if precision == "fp32" else 5e-3, f"{took:.1f} s")
        if bench.on_gpu:
            record = records[-1]
            yield at_most("trajectory", f"peak memory in {precision}", float(record.peak_memory_bytes), 300e6, "bytes")
            yield Finding("trajectory", f"mfu in {precision}", 0 < (record.mfu or 0) < 1, record.mfu, 1.0)
            yield Finding("trajectory", f"energy in {precision}", None, record.energy_joules, words="joules, by NVML")


def resume(bench: Bench) -> Iterator[Finding]:
    """Stopped at steps 7 and 17 and gone on with: the bits of the run that was not, where sums have an order."""
    corpus = make_corpus(bench.folder)
    spec = run_of(model_of(2, 64, 4, vocab=256, context=128), 512, steps=(30,))
    precision = "bf16" if "bf16" in bench.precisions else "fp16"
    for deterministic in (True, False):
        options: dict[str, object] = {
            "device": bench.device.type,
            "precision": precision,
            "deterministic": deterministic,
        }
        losses = []
        for name in ("straight", "stopped"):
            root = bench.folder / f"{name}-{deterministic}"
            for stop in (7, 17) if name == "stopped" else ():
                job, folder = make_run(root, spec, corpus, **options)
                run = Trajectory(job, folder)
                run.should_stop = lambda at=stop, run=run: run.state.step >= at  # type: ignore[misc]
                try:
                    run.run()
                except Interrupted:
                    continue
            losses.append(train(root, spec, corpus, **options)[0].final_loss_nats or 0.0)
        off = abs(losses[0] - losses[1])
        if deterministic:
            yield at_most("resume", "deterministic", off, 0.0, "nats")
        else:
            yield Finding("resume", "as it comes", None, off, words="nats: the spread that atomic sums leave")


def evaluation(bench: Bench) -> Iterator[Finding]:
    """What an evaluated token costs in each precision of the products, and a large vocabulary's memory."""
    layers, width, heads = SIZES["7M" if bench.quick or not bench.on_gpu else "100M"]
    model = model_of(layers, width, heads, context=128 if not bench.on_gpu else 512)
    decoder = _decoder(model).to(bench.device)
    draw = np.random.default_rng(0)
    windows = draw.integers(model.vocab_size, size=(8 if not bench.on_gpu else 128, model.context + 1))
    inputs, targets = windows[:, :-1].copy(), windows[:, 1:].copy()
    for attempt in range(2):
        bench.synchronize()
        began = time.perf_counter()
        found = evaluate(decoder, inputs, targets, bench.device)
        took = time.perf_counter() - began
        if attempt:
            yield Finding(
                "evaluation", "tokens per second in fp32", None, inputs.size / took, words=f"{found.loss_nats}"
            )
    if bench.on_gpu:
        large = _decoder(replace(model, num_layers=2, vocab_size=50_000)).to(bench.device)
        torch.cuda.reset_peak_memory_stats(bench.device)
        evaluate(large, inputs % 50_000, targets % 50_000, bench.device)
        peak = torch.cuda.max_memory_allocated(bench.device)
        yield at_most("evaluation", "memory with 50,000 entries", float(peak), 6 * 2**30, "bytes")
