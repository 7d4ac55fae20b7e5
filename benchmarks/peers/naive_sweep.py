"""Every cell of a plan as a run of its own: warmup, a cosine to a tenth of the peak, one evaluation, then the next.

    python -m benchmarks.peers.naive_sweep PLAN.json CORPUS_CACHE ANSWER.json

It knows the decoder that studies train by default, and no other: rotary positions, RMSNorm, GELU, a tied head.
"""

import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scaling.data.corpus import Corpus
from scaling.data.manifest import read_manifest
from scaling.model.decoder import IGNORED_TARGET, NORM_EPSILON, Attention, Block, Decoder, initialise
from scaling.specs import Plan, RunSpec
from scaling.training.optimizer import make_optimizer
from scaling.values import read_json

FINAL_SHARE = 0.1
EVALUATED_AT_A_TIME = 64


class PlainDecoder(nn.Module):
    """The parameters of our decoder in the forward pass that anybody would write: torch's norm, attention and loss."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder
        half = decoder.config.head_dim // 2
        frequency = decoder.config.rope_base ** (-torch.arange(half) / half)
        angle = torch.arange(decoder.config.context)[:, None] * frequency
        self.register_buffer("cos", angle.cos()[:, None])
        self.register_buffer("sin", angle.sin()[:, None])

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        x = self.decoder.embedding(ids)
        for block in self.decoder.blocks:
            assert isinstance(block, Block)
            x = x + self.attention(block.attention, norm(x, block.attention_norm.gain))
            x = x + block.mlp.down(F.gelu(block.mlp.up(norm(x, block.mlp_norm.gain))))
        x = norm(x, self.decoder.norm.gain) / self.decoder.config.width_multiplier
        logits = F.linear(x, self.decoder.embedding.weight)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1), ignore_index=IGNORED_TARGET)

    def attention(self, attention: Attention, x: Tensor) -> Tensor:
        B, T, D = x.shape
        q, k, v = attention.qkv(x).view(B, T, 3, attention.num_heads, -1).unbind(2)
        assert attention.query_norm is not None
        assert attention.key_norm is not None
        q = self.rotate(norm(q, attention.query_norm.gain))
        k = self.rotate(norm(k, attention.key_norm.gain))
        mixed = F.scaled_dot_product_attention(*(part.transpose(1, 2) for part in (q, k, v)), is_causal=True)
        return attention.out(mixed.transpose(1, 2).reshape(B, T, D))

    def rotate(self, x: Tensor) -> Tensor:
        even, odd = x[..., 0::2], x[..., 1::2]
        return torch.stack([even * self.cos - odd * self.sin, even * self.sin + odd * self.cos], dim=-1).flatten(-2)


def norm(x: Tensor, gain: Tensor) -> Tensor:
    return F.rms_norm(x, gain.shape, gain, NORM_EPSILON)


def train_cell(run: RunSpec, budget: int, corpus: Corpus) -> float:
    """The validation loss (nats/token) of one run that ends at `budget` tokens."""
    decoder = Decoder(run.model)
    initialise(decoder, run.init_seed)
    model = PlainDecoder(decoder)
    groups = make_optimizer(decoder, run.optimizer).param_groups
    optimizer = torch.optim.AdamW(
        [{key: group[key] for key in ("params", "lr", "weight_decay")} for group in groups],
        betas=(run.optimizer.beta1, run.optimizer.beta2),
        eps=run.optimizer.epsilon,
    )
    steps, warmup = run.steps(budget), run.schedule.warmup_steps

    def share(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = (step - warmup) / (steps - warmup)
        return FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * progress))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    context = run.model.context
    sequences = run.optimizer.batch_tokens // context
    for step in range(steps):
        windows = torch.from_numpy(corpus.batch(step * sequences, sequences, context=context, seed=run.data_seed))
        loss = model(windows[:, :-1], windows[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), run.optimizer.grad_clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return evaluate(model, corpus, context)


@torch.no_grad()
def evaluate(model: PlainDecoder, corpus: Corpus, context: int) -> float:
    inputs, targets = (torch.from_numpy(windows) for windows in corpus.validation_windows(context))
    total, tokens = 0.0, 0
    for ids, wanted in zip(inputs.split(EVALUATED_AT_A_TIME), targets.split(EVALUATED_AT_A_TIME), strict=True):
        count = int((wanted != IGNORED_TARGET).sum())
        total += float(model(ids, wanted)) * count
        tokens += count
    return total / tokens


def main() -> None:
    plan = read_json(Plan, Path(sys.argv[1]))
    (folder,) = [
        path.parent
        for path in Path(sys.argv[2]).glob("*/manifest.json")
        if read_manifest(path.parent).fingerprint == plan.runs[0].corpus
    ]
    corpus = Corpus.open(folder)
    losses = {f"{run.size} at {budget}": train_cell(run, budget, corpus) for run in plan.runs for budget in run.budgets}
    Path(sys.argv[3]).write_text(json.dumps(losses))


if __name__ == "__main__":
    main()
