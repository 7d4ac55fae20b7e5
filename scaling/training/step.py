"""One optimiser step as a function of (state, batch)."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scaling.model.decoder import Decoder
from scaling.training.optimizer import set_learning_rate

AUTOCAST_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class TrainState:
    """What a step changes. `forward` is the decoder or its compiled form; both share their parameters."""

    decoder: Decoder
    forward: Callable[[Tensor, Tensor], Tensor]
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    step: int = 0
    skipped_steps: int = 0


@dataclass(frozen=True)
class StepResult:
    """Tensors on the device, so that nobody waits for it before they are read. Loss is nats/token."""

    loss: Tensor
    grad_norm: Tensor


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=AUTOCAST_DTYPES[precision])


def train_step(
    state: TrainState,
    windows_BxT1: Tensor,
    *,
    learning_rate_share: float,
    grad_clip: float,
    precision: str,
    micro_sequences: int,
    dropout_seed: int,
) -> StepResult:
    """Update `state` with one batch of windows [B, T+1], of which the first T are inputs and the last T targets.

    Losses of micro-batches are summed and divided once by the batch's tokens, so any split gives the same
    gradient. Dropout draws from a generator seeded for this step: there is no random state to save.
    """
    device = windows_BxT1.device
    num_tokens = windows_BxT1.shape[0] * (windows_BxT1.shape[1] - 1)
    if state.decoder.config.dropout > 0.0:
        torch.manual_seed(dropout_seed)
    set_learning_rate(state.optimizer, learning_rate_share)
    loss = torch.zeros((), device=device)
    for micro in torch.split(windows_BxT1, micro_sequences):
        with autocast(device, precision):
            micro_loss = state.forward(micro[:, :-1], micro[:, 1:]) / num_tokens
        torch.autograd.backward(state.scaler.scale(micro_loss))
        loss += micro_loss.detach()
    state.scaler.unscale_(state.optimizer)
    grad_norm = nn.utils.clip_grad_norm_(state.decoder.parameters(), grad_clip)
    state.scaler.step(state.optimizer)
    if state.scaler.is_enabled():
        scale_before = state.scaler.get_scale()
        state.scaler.update()
        state.skipped_steps += state.scaler.get_scale() < scale_before
    state.optimizer.zero_grad(set_to_none=True)
    state.step += 1
    return StepResult(loss, grad_norm)
