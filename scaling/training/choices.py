"""How this machine takes a step where `runtime` leaves it to it. What was never run on a GPU of its kind is taken only
where the check of that very feature has passed (`scaling.gpu_check`), and the record says which, and why not."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from scaling.model.config import ModelConfig
from scaling.specs import RunSpec
from scaling.training.config import Runtime
from scaling.training.device import device_name
from scaling.training.team import Team
from scaling.verdicts import Feature, Verdict, read_verdict

# cuDNN makes a plan for each shape, and a call of it takes the host some 70 us: worth it for long contexts alone.
CUDNN_FROM_CHANNELS, CUDNN_FROM_CONTEXT = 64, 1024


@dataclass(frozen=True)
class Choices:
    """`attention` is the kernel of the training passes; `reasons` say what was not chosen, and why."""

    attention: str
    compiled: bool
    captured: bool
    reasons: str

    def attending(self) -> AbstractContextManager[object]:
        """Around a forward pass, so that the kernel that a record names is the one that ran."""
        backend = BACKENDS.get(self.attention)
        return nullcontext() if backend is None else sdpa_kernel([backend])


BACKENDS = {
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}


def choose(spec: RunSpec, runtime: Runtime, device: torch.device, precision: str, team: Team, cache: Path) -> Choices:
    reasons: list[str] = []
    verdict = read_verdict(cache, device_name(device), torch.__version__) if device.type == "cuda" else None
    compiled = _take(runtime.compile, "compile", verdict, None, reasons)
    captured = _take(runtime.capture, "capture", verdict, _not_capturable(spec, device, precision, team), reasons)
    attention = choose_attention(spec.model, device, precision, deterministic=runtime.deterministic)
    return Choices(attention, compiled, captured, "; ".join(reasons))


def _take(
    asked: bool | str, feature: Feature, verdict: Verdict | None, obstacle: str | None, reasons: list[str]
) -> bool:
    if asked is False or (asked == "auto" and verdict is None):
        return False
    if obstacle is not None:
        reasons.append(f"{feature}: {obstacle}")
        return False
    if asked is True:
        return True
    assert verdict is not None
    earned = verdict.on(feature)
    if not earned.passed:
        reasons.append(f"{feature}: {earned.words}")
    return earned.passed


def _not_capturable(spec: RunSpec, device: torch.device, precision: str, team: Team) -> str | None:
    if team.size > 1:
        return "several processes share the step"
    if precision == "fp16":
        return "the scaler of fp16 decides on the host whether a step counts"
    if spec.model.dropout > 0:
        return "dropout is seeded on the host, step by step"
    return None if device.type != "mps" else "the device has no graphs"


def choose_attention(model: ModelConfig, device: torch.device, precision: str, *, deterministic: bool) -> str:
    """The first of torch's kernels that takes these shapes: torch's own order changed with its releases."""
    if device.type != "cuda":
        return "explicit" if precision == "bf16" and device.type == "cpu" else "torch"
    large = model.head_dim >= CUDNN_FROM_CHANNELS and model.context >= CUDNN_FROM_CONTEXT
    order = ["flash", "efficient", "math"] if not large else ["cudnn", "flash", "efficient", "math"]
    if deterministic:
        order = ["flash", "math"]  # the others add gradients up in whatever order they come
    return next(name for name in order if name == "math" or _is_usable(name, model, device, precision))


def _is_usable(name: str, model: ModelConfig, device: torch.device, precision: str) -> bool:
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    q, k = (
        torch.empty(1, heads, model.context, model.head_dim, dtype=dtype, device=device)
        for heads in (model.num_heads, model.kv_heads)
    )
    grouped = model.kv_heads < model.num_heads
    params = torch.backends.cuda.SDPAParams(q, k, k, None, model.dropout, True, grouped)
    asked = {
        "cudnn": getattr(torch.backends.cuda, "can_use_cudnn_attention", lambda *_: False),
        "flash": torch.backends.cuda.can_use_flash_attention,
        "efficient": torch.backends.cuda.can_use_efficient_attention,
    }[name]
    return bool(asked(params, False))
