"""Whether a worker on a core of its own trains faster than one that the kernel places: two answers in one run.

    python -m benchmarks.core_pinning [--rounds 20] [--seconds 2]

One single-threaded worker for each usable core trains without end on a decoder of the default study. Now they are held
to a core each, now they may use all, in turns and in an order that swaps; steps are counted in each turn.
"""

import argparse
import math
import multiprocessing
import os
import random
import statistics
import time
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from scaling.launching.slots import cpu_environment

SIZES = {"10k": (2, 20, 2), "55k": (2, 48, 3), "332k": (3, 96, 6)}  # layers, width, heads
CONTEXT, BATCH_TOKENS = 128, 512


def train_forever(size: str, steps: "Synchronized[int]") -> None:
    import torch

    from scaling.model.config import ModelConfig
    from scaling.model.decoder import Decoder, initialise
    from scaling.specs import Optimizer
    from scaling.training.optimizer import make_optimizer
    from scaling.training.step import TrainState, train_step

    torch.set_num_threads(1)
    layers, width, heads = SIZES[size]
    model = ModelConfig(
        num_layers=layers, d_model=width, num_heads=heads, vocab_size=257, context=CONTEXT, d_ff=4 * width,
        rope_base=100.0, qk_norm=True, mup_base_width=64,
    )  # fmt: skip
    numbers = Optimizer(
        kind="adamw", batch_tokens=BATCH_TOKENS, matrix_lr=0.003, embedding_lr=0.012, vector_lr=0.012, beta1=0.9,
        beta2=0.99, epsilon=1e-10, weight_decay=0.1, grad_clip=1.0,
    )  # fmt: skip
    decoder = Decoder(model)
    initialise(decoder, 0)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    state = TrainState(decoder.train(), decoder, make_optimizer(decoder, numbers), scaler)
    windows = torch.randint(257, (BATCH_TOKENS // CONTEXT, CONTEXT + 1))
    while True:
        train_step(
            state, windows, num_tokens=BATCH_TOKENS, learning_rate_share=1.0, grad_clip=1.0, precision="fp32",
            micro_sequences=len(windows), dropout_seed=0,
        )  # fmt: skip
        steps.value += 1


def race(size: str, rounds: int, seconds: float) -> list[float]:
    """Steps a second with each worker on a core of its own, over steps a second without, round by round."""
    context, cores = multiprocessing.get_context("spawn"), sorted(os.sched_getaffinity(0))
    counters = [context.Value("q", 0) for _ in cores]
    workers = [context.Process(target=train_forever, args=(size, counter), daemon=True) for counter in counters]

    def rate(pinned: bool) -> float:
        for worker, core in zip(workers, cores, strict=True):
            for thread in Path(f"/proc/{worker.pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {core} if pinned else set(cores))
        before, began = sum(c.value for c in counters), time.perf_counter()
        time.sleep(seconds)
        return (sum(c.value for c in counters) - before) / (time.perf_counter() - began)

    for worker in workers:
        worker.start()
    while any(counter.value < 20 for counter in counters):
        time.sleep(0.1)
    ratios = []
    for _ in range(rounds):
        rates = {pinned: rate(pinned) for pinned in random.sample([True, False], 2)}
        ratios.append(rates[True] / rates[False])
    for worker in workers:
        worker.terminate()
        worker.join()
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    os.environ.update(cpu_environment("1"))
    for size in SIZES:
        ratios = race(size, options.rounds, options.seconds)
        mean = statistics.geometric_mean(ratios)
        error = mean * statistics.stdev(map(math.log, ratios)) / math.sqrt(len(ratios))
        median = statistics.median(ratios)
        print(f"{size}: pinned / free {mean:.3f} +- {error:.3f}, median {median:.3f}", flush=True)


if __name__ == "__main__":
    main()
