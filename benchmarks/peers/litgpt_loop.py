"""litgpt's GPT (rotary positions, RMSNorm, GELU) and its loss, in the loop of its `pretrain` on Lightning Fabric."""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.peers.shapes import CONTEXT, VOCABULARY
from benchmarks.peers.task import BETAS, GRAD_CLIP, LEARNING_RATE, WEIGHT_DECAY, Task, batches


def train(task: Task, after_step: Callable[[Tensor], None]) -> None:
    import lightning as L
    from litgpt.config import Config
    from litgpt.model import GPT
    from litgpt.utils import chunked_cross_entropy

    config = Config(
        block_size=CONTEXT,
        vocab_size=VOCABULARY,
        padded_vocab_size=VOCABULARY,
        n_layer=task.layers,
        n_head=task.heads,
        n_embd=task.width,
        rotary_percentage=1.0,
        parallel_residual=False,
        bias=False,
        norm_class_name="RMSNorm",
        mlp_class_name="GptNeoxMLP",
        intermediate_size=4 * task.width,
    )
    fabric = L.Fabric(accelerator="cpu", devices=1, precision="bf16-mixed" if task.precision == "bf16" else "32-true")
    model = GPT(config)
    model.max_seq_length = CONTEXT
    model = fabric.setup(torch.compile(model) if task.compile else model)
    optimizer = fabric.setup_optimizers(
        torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=BETAS, weight_decay=WEIGHT_DECAY)
    )
    for windows in batches(task.sequences):
        logits = model(windows[:, :-1].contiguous().long())
        loss = chunked_cross_entropy(logits, windows[:, 1:].contiguous().long())
        fabric.backward(loss)
        fabric.clip_gradients(model, optimizer, max_norm=GRAD_CLIP)
        optimizer.step()
        optimizer.zero_grad()
        after_step(loss.detach())
