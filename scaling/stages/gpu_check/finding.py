"""What a stage of the check saw, and what all stages are told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from scaling.model.config import ModelConfig
from scaling.model.forms import gpu_forms
from scaling.specs import Optimizer, RunSpec, Schedule
from scaling.values import to_plain


@dataclass(frozen=True)
class Finding:
    """`ok` None reports and judges nothing. `value` is held against `limit` where there is one; `feature` names what it
    earns (`verdicts.Feature`), for which all of the feature's findings must be ok."""

    stage: str
    name: str
    ok: bool | None
    value: float | str | None = None
    limit: float | None = None
    words: str = ""
    feature: str | None = None

    @property
    def line(self) -> str:
        return json.dumps(to_plain(self))


def at_most(stage: str, name: str, value: float, limit: float, words: str = "", feature: str | None = None) -> Finding:
    return Finding(stage, name, value <= limit, value, limit, words, feature)


def at_least(stage: str, name: str, value: float, limit: float, words: str = "", feature: str | None = None) -> Finding:
    return Finding(stage, name, value >= limit, value, limit, words, feature)


@dataclass(frozen=True)
class Bench:
    """Where a stage works: the device, how much time it may take at most, a folder of its own."""

    device: torch.device
    seconds: float
    quick: bool
    folder: Path

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def seconds_a_measurement(self) -> float:
        return 0.5 if self.quick or not self.on_gpu else min(2.0, self.seconds / 30)

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those that the device has units for; a rehearsal shows the two that a CPU has."""
        if not self.on_gpu:
            return ("fp32", "bf16")
        recent = torch.cuda.get_device_capability(self.device) >= (8, 0)
        return ("fp32", "tf32", "bf16", "fp16") if recent else ("fp32", "fp16")

    @contextmanager
    def forms(self) -> Iterator[None]:
        """Those of a GPU, also where a CPU rehearses."""
        if self.on_gpu:
            yield
            return
        with gpu_forms():
            yield

    def synchronize(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize(self.device)


def model_of(
    layers: int, width: int, heads: int, *, vocab: int = 1024, context: int = 512, **options: object
) -> ModelConfig:
    fields: dict[str, object] = {
        "num_layers": layers, "d_model": width, "num_heads": heads, "vocab_size": vocab, "context": context,
        "d_ff": 4 * width, "positions": "rotary", "rope_base": 10_000.0, "norm": "rmsnorm", "activation": "gelu",
        "dropout": 0.0, "tied_embeddings": True, "qk_norm": True, "mup_base_width": 64,
    }  # fmt: skip
    return ModelConfig(**{**fields, **options})  # type: ignore[arg-type]


def run_of(model: ModelConfig, batch_tokens: int, *, steps: tuple[int, ...] = (100,), kind: str = "adamw") -> RunSpec:
    return RunSpec(
        size="check",
        model=model,
        optimizer=Optimizer(
            batch_tokens=batch_tokens, matrix_lr=0.003, embedding_lr=0.01, vector_lr=0.01, beta1=0.9, beta2=0.99,
            epsilon=1e-10, weight_decay=0.1, grad_clip=1.0, kind=kind,  # type: ignore[arg-type]
        ),
        schedule=Schedule("wsd", warmup_steps=1),
        corpus="check",
        unique_tokens=None,
        init_seed=0,
        data_seed=0,
        budgets=tuple(n * batch_tokens for n in steps),
    )  # fmt: skip


# The default study's 55k and 983k, and what one trains on a GPU: layers, width, heads.
SIZES = {"55k": (2, 48, 3), "983k": (5, 128, 8), "7M": (9, 256, 4), "28M": (9, 512, 8), "100M": (13, 832, 13)}
