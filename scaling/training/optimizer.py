"""AdamW with one parameter group for each role: hidden matrices, embeddings and head, vectors."""

import torch
from torch import nn

from scaling.model.decoder import Decoder
from scaling.specs import Optimizer


def make_optimizer(decoder: Decoder, numbers: Optimizer) -> torch.optim.AdamW:
    """Decay on the hidden matrices alone; each group keeps its peak under `peak_lr`.

    The fused kernel is used where torch has one (CPU and CUDA).
    """
    matrices = [p for p in decoder.blocks.parameters() if p.ndim == 2]
    vectors = [p for p in decoder.parameters() if p.ndim == 1]
    taken = {id(p) for p in [*matrices, *vectors]}
    embeddings: list[nn.Parameter] = [p for p in decoder.parameters() if id(p) not in taken]
    groups = [
        {"params": matrices, "lr": numbers.matrix_lr, "weight_decay": numbers.weight_decay},
        {"params": embeddings, "lr": numbers.embedding_lr, "weight_decay": 0.0},
        {"params": vectors, "lr": numbers.vector_lr, "weight_decay": 0.0},
    ]
    for group in groups:
        group["peak_lr"] = group["lr"]
    device = matrices[0].device.type
    return torch.optim.AdamW(
        groups, betas=(numbers.beta1, numbers.beta2), eps=numbers.epsilon, fused=device in ("cpu", "cuda")
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, share: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * share
