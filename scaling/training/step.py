"""One optimiser step as a function of (state, batch)."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scaling.model.decoder import Decoder
from scaling.model.forms import are_forced, products_in
from scaling.training.device import is_out_of_memory, release_memory
from scaling.training.optimizer import set_learning_rate
from scaling.training.parallel import exchange_nothing, is_sharded

AUTOCAST_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class MicroBatchTooLarge(Exception):
    """The activations of a micro-batch did not fit. The state is as it was before the step."""


@dataclass
class TrainState:
    """What a step changes. `forward` is the decoder or what places it in several processes; they share parameters.

    `processes` share each batch, and `exchange` is theirs (`parallel.Placed`). `attending` chooses attention's kernel.
    """

    decoder: Decoder
    forward: Callable[[Tensor, Tensor], Tensor]
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    step: int = 0
    processes: int = 1
    exchange: Callable[[bool], AbstractContextManager[object]] = exchange_nothing
    attending: Callable[[], AbstractContextManager[object]] = nullcontext
    casts_itself: bool = False


@dataclass(frozen=True)
class StepResult:
    """Tensors on the device, so that nobody waits for it before they are read.

    `loss` is nats/token of this process' sequences, times their share of the batch and the number of processes: its
    mean over processes is the batch's loss. `grad_norm` is the batch's, before clipping.
    """

    loss: Tensor
    grad_norm: Tensor


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """How a pass multiplies. On a GPU bf16 is not autocast, which casts each weight by itself at each of its uses, but
    all of them together; fp16 stays with autocast, since its loss is scaled, and a core since it has no launches."""
    if precision not in AUTOCAST_DTYPES:
        return nullcontext()
    if precision == "bf16" and (device.type == "cuda" or are_forced()):
        return products_in(torch.bfloat16)
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
    num_tokens: int | None = None,
) -> StepResult:
    """Update `state` with this process' windows [B, T+1], of which the first T are inputs and the last T targets.

    `num_tokens` are those of the batch over all processes, None where this one has it all. Raises MicroBatchTooLarge,
    with `state` untouched.
    """
    loss = accumulate_gradients(
        state,
        windows_BxT1,
        num_tokens=num_tokens or windows_BxT1[:, 1:].numel(),
        precision=precision,
        micro_sequences=micro_sequences,
        dropout_seed=dropout_seed,
    )
    set_learning_rate(state.optimizer, learning_rate_share)
    state.scaler.unscale_(state.optimizer)
    grad_norm = nn.utils.clip_grad_norm_(state.decoder.parameters(), grad_clip)
    if is_sharded(grad_norm):
        grad_norm = grad_norm.full_tensor()  # type: ignore[attr-defined]
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
    state.step += 1
    return StepResult(loss, grad_norm)


def accumulate_gradients(
    state: TrainState,
    windows_BxT1: Tensor,
    *,
    num_tokens: int,
    precision: str,
    micro_sequences: int,
    dropout_seed: int,
    exchange: bool = True,
) -> Tensor:
    """Add the batch's gradient to that of `state` and return the loss as `StepResult` has it.

    Losses of micro-batches are summed and divided once by the batch's tokens, so any split gives the same
    gradient. Dropout draws from a generator seeded for this step: there is no random state to save.
    Raises MicroBatchTooLarge, having cleared the gradients. Without `exchange` other processes need not take part.
    """
    device = windows_BxT1.device
    if state.decoder.config.dropout > 0.0:
        torch.manual_seed(dropout_seed)
    loss = torch.zeros((), device=device)
    micro_batches = torch.split(windows_BxT1, micro_sequences)
    too_large: str | None = None
    micro_loss = None
    try:
        for i, micro in enumerate(micro_batches, start=1):
            with state.exchange(exchange and i == len(micro_batches)):
                with state.attending(), autocast(device, "fp32" if state.casts_itself else precision):
                    # Processes average their gradients, and the batch's is their sum.
                    micro_loss = state.forward(micro[:, :-1], micro[:, 1:]) / (num_tokens / state.processes)
                torch.autograd.backward(state.scaler.scale(micro_loss))
            loss += micro_loss.detach()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        too_large = str(error).split("\n", maxsplit=1)[0]
    # Only here does nothing hold the failed pass any more: its frames went with the exception, its graph with the loss.
    if too_large is not None:
        micro_loss = None
        state.optimizer.zero_grad(set_to_none=True)
        release_memory(device)
        raise MicroBatchTooLarge(too_large)
    return loss
