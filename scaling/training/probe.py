"""Seconds of a step and of an evaluated token, shape by shape: `python -m scaling.training.probe REQUEST ANSWER`.

A process of its own, in a worker's environment; the launching room starts as many at once as there are slots.
"""

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from scaling.model.decoder import Decoder, initialise
from scaling.specs import RunSpec
from scaling.speeds import Calibration, ShapeSpeed, shape_of
from scaling.training.config import Runtime
from scaling.training.device import choose_device, choose_precision
from scaling.training.evaluate import evaluate
from scaling.training.optimizer import make_optimizer
from scaling.training.step import TrainState, train_step
from scaling.values import read_json, write_json

WARM_UP_STEPS = 4
SECONDS_PER_SHAPE, MOST_STEPS = 1.0, 40
EVALUATED_WINDOWS = 16


@dataclass(frozen=True)
class ProbeRequest:
    runs: tuple[RunSpec, ...]
    runtime: Runtime


def probe(run: RunSpec, runtime: Runtime) -> ShapeSpeed:
    """Medians over steps on random tokens: one slow step, of whatever else the machine does, moves nothing."""
    device = choose_device(runtime)
    precision = choose_precision(runtime, device)
    decoder = Decoder(run.model, z_loss=run.optimizer.z_loss)
    initialise(decoder, 0)
    decoder.to(device).train()
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    forward = torch.compile(decoder) if runtime.compile else decoder
    state = TrainState(decoder, forward, make_optimizer(decoder, run.optimizer), scaler)
    sequences = max(1, run.optimizer.batch_tokens // run.model.context)
    micro_tokens = runtime.micro_batch_tokens
    micro_sequences = max(1, micro_tokens // run.model.context) if isinstance(micro_tokens, int) else sequences
    generator = torch.Generator().manual_seed(0)
    shape = (sequences, run.model.context + 1)
    windows = torch.randint(run.model.vocab_size, shape, generator=generator).to(device)

    def step() -> float:
        began = time.perf_counter()
        result = train_step(
            state,
            windows,
            learning_rate_share=1.0,
            grad_clip=run.optimizer.grad_clip,
            precision=precision,
            micro_sequences=micro_sequences,
            dropout_seed=0,
        )
        result.loss.item()  # waits for the device
        return time.perf_counter() - began

    for _ in range(WARM_UP_STEPS):
        step()
    until = time.perf_counter() + SECONDS_PER_SHAPE
    steps = [step()]
    while len(steps) < MOST_STEPS and time.perf_counter() < until:
        steps.append(step())
    tokens = np.zeros((EVALUATED_WINDOWS, run.model.context), dtype=np.int64)
    evaluations = []
    for _ in range(3):
        began = time.perf_counter()
        evaluate(decoder, tokens, tokens, device)
        evaluations.append(time.perf_counter() - began)
    return ShapeSpeed(shape_of(run), statistics.median(steps), statistics.median(evaluations) / tokens.size)


def main() -> None:
    request = read_json(ProbeRequest, Path(sys.argv[1]))
    torch.set_num_threads(request.runtime.threads)
    write_json(Path(sys.argv[2]), Calibration({}, tuple(probe(run, request.runtime) for run in request.runs)))


if __name__ == "__main__":
    main()
