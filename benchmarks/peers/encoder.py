"""torch.nn.TransformerEncoder with a causal mask, as PyTorch's language-modelling tutorial uses it, pre-norm."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peers.nanogpt import plain_loop
from benchmarks.peers.shapes import CONTEXT, VOCABULARY
from benchmarks.peers.task import Task


class EncoderLM(nn.Module):
    def __init__(self, task: Task) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(VOCABULARY, task.width), nn.Embedding(CONTEXT, task.width)
        layer = nn.TransformerEncoderLayer(
            task.width,
            task.heads,
            4 * task.width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
            bias=False,
        )
        self.encoder = nn.TransformerEncoder(
            layer, task.layers, nn.LayerNorm(task.width, bias=False), enable_nested_tensor=False
        )
        self.head = nn.Linear(task.width, VOCABULARY, bias=False)
        self.head.weight = self.tokens.weight
        nn.init.normal_(self.tokens.weight, std=0.02)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(CONTEXT))

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        logits = self.head(self.encoder(x, mask=self.mask, is_causal=True))
        return F.cross_entropy(logits.view(-1, VOCABULARY), targets.reshape(-1))


def train(task: Task, after_step: Callable[[Tensor], None]) -> None:
    plain_loop(EncoderLM(task), task, after_step)
