"""An optimiser step as one graph that the device plays by itself: forward, backward, clipping, update.

Small models wait for launches, of which a step has hundreds. What changes from step to step (windows, rates) lies in
tensors that the graph reads, losses and norms in a ring that it writes. On a CPU the same work is played again
operation by operation, so that all but the recording itself is tested there.
"""

import logging
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from scaling.specs import RunSpec
from scaling.training.optimizer import AdamW, prepare_for_capture, set_learning_rate
from scaling.training.step import StepResult, TrainState, accumulate_gradients

log = logging.getLogger(__name__)

Record = Callable[[Callable[[], None]], Callable[[], None]]


class CaptureFailed(RuntimeError):
    """Something in the step cannot be recorded; the message is the device's. The state is as it was."""


class Windows(Protocol):
    """Where a step's windows come from: `Batches`, or random ones. With `tokens` they are gathered on the device."""

    @property
    def tokens(self) -> Tensor | None: ...

    @property
    def num_sequences(self) -> int: ...

    def batch(self, step: int) -> Tensor: ...

    def starts(self, step: int) -> Tensor: ...

    def gather(self, starts_B: Tensor) -> Tensor: ...


class CapturedStep:
    """`step(share)` is `train_step` for one process that has the whole batch. `ring` results are kept at a time."""

    def __init__(
        self,
        state: TrainState,
        batches: Windows,
        spec: RunSpec,
        *,
        device: torch.device,
        precision: str,
        micro_sequences: int,
        ring: int,
    ) -> None:
        self._state, self._batches, self._spec = state, batches, spec
        self._precision, self._micro_sequences, self._ring = precision, micro_sequences, ring
        sequences, context = batches.num_sequences, spec.model.context
        self._starts = torch.zeros(sequences, dtype=torch.int64, device=device)
        self._windows = torch.zeros(sequences, context + 1, dtype=torch.int64, device=device)
        self._losses, self._norms = torch.zeros(ring, device=device), torch.zeros(ring, device=device)
        self._place, self._taken = torch.zeros(1, dtype=torch.int64, device=device), 0
        prepare_for_capture(state.optimizer, device)
        if device.type == "cuda":
            _load_update_kernels(device)
        state.optimizer.zero_grad(set_to_none=True)
        record: Record = _record_graph if device.type == "cuda" else lambda work: work
        self._play = record(self._work)

    def step(self, learning_rate_share: float) -> StepResult:
        step = self._state.step
        if self._batches.tokens is None:
            self._windows.copy_(self._batches.batch(step), non_blocking=True)
        else:
            self._starts.copy_(self._batches.starts(step), non_blocking=True)
        set_learning_rate(self._state.optimizer, learning_rate_share)
        self._play()
        place, self._taken = self._taken % self._ring, self._taken + 1
        self._state.step += 1
        return StepResult(self._losses[place], self._norms[place])

    def _work(self) -> None:
        state = self._state
        loss = accumulate_gradients(
            state,
            self._windows if self._batches.tokens is None else self._batches.gather(self._starts),
            num_tokens=self._spec.optimizer.batch_tokens,
            precision=self._precision,
            micro_sequences=self._micro_sequences,
            dropout_seed=0,
        )
        norm = nn.utils.clip_grad_norm_(state.decoder.parameters(), self._spec.optimizer.grad_clip)
        state.optimizer.step()
        # Recorded without gradients, the first backward pass writes them where a later one would add.
        state.optimizer.zero_grad(set_to_none=True)
        self._losses.index_copy_(0, self._place, loss.reshape(1))
        self._norms.index_copy_(0, self._place, norm.reshape(1).float())
        self._place.add_(1).remainder_(self._ring)


def _record_graph(work: Callable[[], None]) -> Callable[[], None]:
    """Raises CaptureFailed, or what `work` raises by itself."""
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    try:
        with torch.cuda.graph(graph):
            work()
    except RuntimeError as error:
        raise CaptureFailed(str(error).split("\n", maxsplit=1)[0]) from error
    play: Callable[[], None] = graph.replay
    return play


def _load_update_kernels(device: torch.device) -> None:
    """Kernels are loaded when they are first launched, which a recording cannot wait for: on a weight of no run."""
    weight = nn.Parameter(torch.ones(8, 8, device=device))
    weight.grad = torch.ones_like(weight)
    optimizer = AdamW([{"params": [weight], "peak_lr": 0.0}], lr=0.0, fused=True)
    prepare_for_capture(optimizer, device)
    nn.utils.clip_grad_norm_([weight], 1.0)
    optimizer.step()
    torch.cuda.synchronize(device)
