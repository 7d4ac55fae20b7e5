"""Seconds of a step and of an evaluated token, shape by shape: `python -m scaling.training.probe REQUEST ANSWER`.

A process of its own, in a worker's environment; the launching room starts as many at once as there are slots.
"""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scaling.model.decoder import Decoder, initialise
from scaling.specs import RunSpec
from scaling.speeds import Calibration, ShapeSpeed, shape_of
from scaling.training.capture import CapturedStep, CaptureFailed
from scaling.training.choices import choose
from scaling.training.config import Runtime
from scaling.training.device import (
    choose_device,
    choose_precision,
    forget_peak_memory,
    limit_memory,
    matrix_products,
    peak_reserved_bytes,
    synchronize,
)
from scaling.training.engine import equal_parts
from scaling.training.evaluate import evaluate, tokens_at_a_time
from scaling.training.optimizer import make_optimizer
from scaling.training.parallel import place
from scaling.training.step import MicroBatchTooLarge, StepResult, TrainState, train_step
from scaling.training.team import Team
from scaling.values import read_json, write_json

WARM_UP_STEPS = 4
SECONDS_PER_SHAPE, MOST_STEPS = 1.0, 40
EVALUATED_WINDOWS = 16
# Training reads its results rarely, and so lets the host run ahead of a GPU: steps are timed by so many.
STEPS_AT_A_TIME_ON_GPU = 10


@dataclass(frozen=True)
class ProbeRequest:
    runs: tuple[RunSpec, ...]
    runtime: Runtime
    cache: str = "cache"


@dataclass
class RandomBatches:
    """The same random windows [B, T+1] for each step, in the place of a corpus' (`batches.Batches`)."""

    windows: Tensor
    tokens: Tensor | None = None

    @property
    def num_sequences(self) -> int:
        return len(self.windows)

    def batch(self, step: int) -> Tensor:
        return self.windows

    def starts(self, step: int) -> Tensor:
        raise NotImplementedError("there is no corpus to begin in")

    def gather(self, starts_B: Tensor) -> Tensor:
        raise NotImplementedError("there is no corpus to gather from")


class Stepper:
    """Takes steps of a run's shape as a worker would: same precision, kernels and micro-batch, captured or not."""

    def __init__(self, run: RunSpec, runtime: Runtime, cache: Path) -> None:
        self.run, self.device = run, choose_device(runtime)
        limit_memory(self.device)
        self.precision = choose_precision(runtime, self.device)
        self.choices = choose(run, runtime, self.device, self.precision, Team(), cache)
        forget_peak_memory(self.device)
        decoder = Decoder(run.model, z_loss=run.optimizer.z_loss)
        initialise(decoder, 0)
        placed = place(decoder.train(), runtime, Team(), self.device, self.precision, self.choices.compiled)
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.state = TrainState(
            decoder,
            placed.forward,
            make_optimizer(decoder, run.optimizer),
            scaler,
            attending=self.choices.attending,
        )
        sequences = max(1, run.optimizer.batch_tokens // run.model.context)
        micro = runtime.micro_batch_tokens
        most = max(1, micro // run.model.context) if isinstance(micro, int) else sequences
        self.micro_sequences = equal_parts(sequences, most)
        generator = torch.Generator().manual_seed(0)
        shape = (sequences, run.model.context + 1)
        windows = torch.randint(run.model.vocab_size, shape, generator=generator).to(self.device)
        self.batches = RandomBatches(windows)
        self._take: Callable[[], StepResult] | None = None

    def step(self) -> StepResult:
        """Raises MicroBatchTooLarge where one sequence does not fit."""
        while True:
            try:
                if self._take is None:
                    self._take = self._way()
                return self._take()
            except MicroBatchTooLarge:
                if self.micro_sequences == 1:
                    raise
                self.micro_sequences = equal_parts(self.batches.num_sequences, self.micro_sequences // 2)
                self._take = None

    def _way(self) -> Callable[[], StepResult]:
        if self.choices.captured:
            try:
                recorded = CapturedStep(
                    self.state,
                    self.batches,
                    self.run,
                    device=self.device,
                    precision=self.precision,
                    micro_sequences=self.micro_sequences,
                    ring=MOST_STEPS,
                )
                return lambda: recorded.step(1.0)
            except CaptureFailed:
                pass
        return self._eager

    def _eager(self) -> StepResult:
        return train_step(
            self.state,
            self.batches.windows,
            learning_rate_share=1.0,
            grad_clip=self.run.optimizer.grad_clip,
            precision=self.precision,
            micro_sequences=self.micro_sequences,
            dropout_seed=0,
        )


def probe(run: RunSpec, runtime: Runtime, cache: Path = Path("cache")) -> ShapeSpeed:
    """Medians over steps on random tokens: one slow step, of whatever else the machine does, moves nothing."""
    stepper = Stepper(run, runtime, cache)
    device, at_a_time = stepper.device, STEPS_AT_A_TIME_ON_GPU if stepper.device.type == "cuda" else 1

    def block() -> float:
        began = time.perf_counter()
        for _ in range(at_a_time):
            stepper.step()
        synchronize(device)
        return (time.perf_counter() - began) / at_a_time

    with matrix_products(stepper.precision):
        for _ in range(-(-WARM_UP_STEPS // at_a_time)):
            block()
        until = time.perf_counter() + SECONDS_PER_SHAPE
        steps = [block()]
        while len(steps) * at_a_time < MOST_STEPS and time.perf_counter() < until:
            steps.append(block())
    windows = EVALUATED_WINDOWS
    if device.type == "cuda":
        windows = max(1, tokens_at_a_time(stepper.state.decoder, device) // run.model.context)
    tokens = np.zeros((windows, run.model.context), dtype=np.int64)
    evaluations = []
    for _ in range(3):
        began = time.perf_counter()
        evaluate(stepper.state.decoder, tokens, tokens, device)
        evaluations.append(time.perf_counter() - began)
    return ShapeSpeed(
        shape_of(run),
        statistics.median(steps),
        statistics.median(evaluations) / tokens.size,
        peak_reserved_bytes(device),
    )


def main() -> None:
    request = read_json(ProbeRequest, Path(sys.argv[1]))
    torch.set_num_threads(request.runtime.threads)
    speeds = tuple(probe(run, request.runtime, Path(request.cache)) for run in request.runs)
    write_json(Path(sys.argv[2]), Calibration({}, speeds))


if __name__ == "__main__":
    main()
