"""The plain eager loop of small GPTs, after nanoGPT's public recipe: learned positions, LayerNorm, GELU, tied head, no
biases, fused attention, AdamW with decay on matrices, clipped gradients, plain cross-entropy."""

from collections.abc import Callable
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peers.shapes import CONTEXT, VOCABULARY
from benchmarks.peers.task import BETAS, GRAD_CLIP, LEARNING_RATE, WEIGHT_DECAY, Task, batches


class Norm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, None, 1e-5)


class Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = Norm(width), Norm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        B, T, D = x.shape
        parts = self.qkv(self.norm1(x)).split(D, dim=2)
        q, k, v = (part.view(B, T, self.heads, D // self.heads).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).contiguous().view(B, T, D))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, task: Task) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(VOCABULARY, task.width), nn.Embedding(CONTEXT, task.width)
        self.layers = nn.ModuleList(Layer(task.width, task.heads) for _ in range(task.layers))
        self.norm = Norm(task.width)
        self.head = nn.Linear(task.width, VOCABULARY, bias=False)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)
        self.head.weight = self.tokens.weight

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        for layer in self.layers:
            x = layer(x)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.view(-1, VOCABULARY), targets.reshape(-1))


def train(task: Task, after_step: Callable[[Tensor], None]) -> None:
    model = GPT(task)
    plain_loop(model, task, after_step)


def plain_loop(model: nn.Module, task: Task, after_step: Callable[[Tensor], None]) -> None:
    """Forward, backward, clip, AdamW, zero_grad: what every tutorial writes. `model(ids, targets)` is the mean loss."""
    forward = torch.compile(model) if task.compile else model
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=BETAS)
    for windows in batches(task.sequences):
        with torch.autocast("cpu", torch.bfloat16) if task.precision == "bf16" else nullcontext():
            loss = forward(windows[:, :-1].contiguous(), windows[:, 1:].contiguous())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), GRAD_CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        after_step(loss.detach())
