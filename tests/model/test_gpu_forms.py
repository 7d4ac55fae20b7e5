"""The forms that a GPU takes, forced on a CPU: the numbers of the others, in few launches."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from scaling.model import cross_entropy
from scaling.model.config import ModelConfig
from scaling.model.decoder import Decoder, initialise
from scaling.model.forms import gpu_forms
from scaling.training.step import autocast

CPU = torch.device("cpu")
MODEL = ModelConfig(
    num_layers=2, d_model=64, num_heads=4, vocab_size=256, context=32, d_ff=256, positions="rotary", rope_base=100.0,
    norm="rmsnorm", activation="gelu", dropout=0.0, tied_embeddings=True, qk_norm=True, mup_base_width=64,
)  # fmt: skip
OPTIONS: list[dict[str, Any]] = [
    {},
    {"qk_norm": False},
    {"positions": "learned"},
    {"positions": "sinusoidal", "qk_norm": False},
    {"norm": "layernorm"},
    {"activation": "swiglu"},
    {"activation": "relu2"},
    {"num_kv_heads": 2},
    {"tied_embeddings": False},
]
WINDOWS = torch.randint(256, (4, 33), generator=torch.Generator().manual_seed(0))


def gradients(model: ModelConfig, precision: str, z_loss: float = 1e-4) -> list[Tensor]:
    """The loss and the gradient of each parameter."""
    decoder = Decoder(model, z_loss=z_loss)
    initialise(decoder, 0)
    with torch.no_grad():  # gains that are not all alike
        for i, (name, parameter) in enumerate(decoder.named_parameters()):
            if name.endswith("gain"):
                parameter.normal_(1.0, 0.2, generator=torch.Generator().manual_seed(i))
    with autocast(CPU, precision):
        loss = decoder(WINDOWS[:, :-1], WINDOWS[:, 1:])
    loss.backward()
    assert all(linear.cast is None for linear in decoder.modules() if hasattr(linear, "cast"))
    return [loss.detach(), *(p.grad for p in decoder.parameters() if p.grad is not None)]


@pytest.mark.parametrize("few", [False, True], ids=["chunks", "whole"])
@pytest.mark.parametrize("changes", OPTIONS, ids=lambda changes: " ".join(map(str, changes.values())) or "default")
def test_they_compute_the_same(changes: dict[str, Any], few: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not few:
        monkeypatch.setattr(cross_entropy, "FEW_LOGITS_ON_GPU", 0)
    model = replace(MODEL, **changes)
    exact = gradients(model, "fp32")
    with gpu_forms():
        same, half = gradients(model, "fp32"), gradients(model, "bf16")
    for reference, value, rounded in zip(exact, same, half, strict=True):
        # Sums in another order; and 8 bits of mantissa in some ten products in a row.
        assert float((value - reference).norm()) <= 1e-5 * float(reference.norm())
        assert float((rounded - reference).norm()) <= 3e-2 * float(reference.norm())
        assert rounded.dtype == torch.float32


def test_gains_keep_all_their_bits_in_half_precision() -> None:
    """A gain that moves by less than bf16 resolves moves the loss."""
    decoder = Decoder(MODEL)
    initialise(decoder, 0)
    losses = []
    for gain in (1.0, 1.0 + 2**-10):
        with torch.no_grad():
            decoder.norm.gain.fill_(1.0)
            for block in decoder.blocks:
                block.attention.query_norm.gain.fill_(gain)
        with gpu_forms(), autocast(CPU, "bf16"):
            heads = decoder.blocks[0].attention.heads(torch.ones(1, 2, 12, 16), decoder.turns_2xTx1xK2x2)
        losses.append(heads[0])
    assert not torch.equal(*losses)


# Those that only say how a tensor is read, or make one that is not filled.
NO_LAUNCH = {
    *("view", "_unsafe_view", "transpose", "t", "split", "split_with_sizes", "slice", "unsqueeze", "squeeze", "expand"),
    *("detach", "alias", "select", "as_strided", "permute", "view_as_complex", "view_as_real", "_reshape_alias"),
    *("unbind", "empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided"),
}


class Launches(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.split(".")[0]
        self.names[name] += name not in NO_LAUNCH
        return func(*args, **(kwargs or {}))


@contextmanager
def fused_norms(counted: Launches) -> Iterator[None]:
    """A GPU has one kernel for a norm forwards and one backwards; a CPU a dozen, which are kept from the count."""

    class Norm(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, gain: Tensor, epsilon: float) -> Tensor:
            counted.names["rms_norm"] += 1
            with _disable_current_modes():
                inverse = x.square().mean(-1, keepdim=True).add(epsilon).rsqrt()
                ctx.save_for_backward(x, inverse, gain)
                return x * inverse * gain

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> Any:
            counted.names["rms_norm_backward"] += 1
            x, inverse, gain = ctx.saved_tensors
            with _disable_current_modes():
                unit = x * inverse
                scaled = gradients[0] * gain
                own = (scaled * unit).mean(-1, keepdim=True)
                return (scaled - unit * own) * inverse, (gradients[0] * unit).flatten(0, -2).sum(0), None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(F, "rms_norm", lambda x, shape, gain, epsilon: Norm.apply(x, gain, epsilon))
        yield


def launches(layers: int, precision: str) -> int:
    decoder = Decoder(replace(MODEL, num_layers=layers))
    with Launches() as counted, fused_norms(counted), gpu_forms():
        with autocast(CPU, precision):
            loss = decoder(WINDOWS[:, :-1], WINDOWS[:, 1:])
        loss.backward()
    return counted.names.total()


@pytest.mark.parametrize(("precision", "most", "most_beside"), [("bf16", 44, 22), ("fp32", 33, 16)])
def test_a_layer_launches_little(precision: str, most: int, most_beside: int) -> None:
    """Forwards and backwards; as operations cast by autocast it was 60 a layer in bf16 and 36 in fp32."""
    two, three = (launches(layers, precision) for layers in (2, 3))
    assert three - two <= most
    assert two - 2 * (three - two) <= most_beside
