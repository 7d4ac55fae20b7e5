"""What every contestant trains: the shape of the decoder, the batch, the text, the optimiser's numbers."""

import re
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.peers.shapes import CONTEXT, VOCABULARY

LEARNING_RATE, BETAS, WEIGHT_DECAY, GRAD_CLIP = 1e-3, (0.9, 0.95), 0.1, 1.0


@dataclass(frozen=True)
class Task:
    """`layers`, `width` and `heads` of a decoder with an MLP of four widths; `sequences` of CONTEXT tokens in a step.

    precision   fp32, or bf16: autocast over fp32 weights
    compile     torch.compile of the model, where the contestant offers it
    """

    layers: int
    width: int
    heads: int
    sequences: int
    precision: str
    compile: bool


# Trains for ever; calls its last argument with the loss (nats/token) after each step.
Contestant = Callable[[Task, Callable[[Tensor], None]], None]


def token_stream(limit: int = 1_000_000) -> Tensor:
    """int64 ids of words and signs of Python's standard library: the 1,023 most frequent ones, all others being 0."""
    words: list[str] = []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        words += re.findall(r"\w+|[^\w\s]|\s+", path.read_text(encoding="utf-8", errors="replace"))
        if len(words) >= limit:
            break
    ids = {word: i + 1 for i, (word, _) in enumerate(Counter(words).most_common(VOCABULARY - 1))}
    return torch.tensor([ids.get(word, 0) for word in words[:limit]])


def batches(sequences: int) -> Iterator[Tensor]:
    """Windows [sequences, CONTEXT + 1], drawn from one seed for all contestants."""
    tokens = token_stream()
    starts = np.random.default_rng(0)
    offsets = torch.arange(CONTEXT + 1)
    while True:
        first = torch.from_numpy(starts.integers(0, len(tokens) - CONTEXT - 1, size=sequences))
        yield tokens[first[:, None] + offsets]
