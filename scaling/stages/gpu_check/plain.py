"""A script for one point, as one writes it by hand: what a sweep is held against.

    python -m scaling.stages.gpu_check.plain DEVICE CORPUS LAYERS WIDTH HEADS TOKENS BATCH CONTEXT [--compile]

Its own cosine, bf16 autocast, fused AdamW, torch's attention, a memory-mapped loader that draws windows at random, one
evaluation on the whole validation split; nothing of this project but the corpus' files. Prints the loss as JSON.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.RMSNorm(width) for _ in range(2))
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        B, T, D = x.shape
        q, k, v = self.qkv(self.norms[0](x)).view(B, T, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = (torch.cat([a * cos - b * sin, a * sin + b * cos], -1) for a, b in (q.chunk(2, -1), k.chunk(2, -1)))
        mixed = F.scaled_dot_product_attention(q.type_as(v), k.type_as(v), v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(B, T, D))
        return x + self.down(F.gelu(self.up(self.norms[1](x))))  # type: ignore[no-any-return]


class Model(nn.Module):
    def __init__(self, layers: int, width: int, heads: int, vocab: int, context: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.layers, self.norm = nn.ModuleList(Layer(width, heads) for _ in range(layers)), nn.RMSNorm(width)
        half = width // heads // 2
        angle = torch.outer(torch.arange(context), 10_000.0 ** (-torch.arange(half) / half))
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        logits = F.linear(self.norm(x), self.embedding.weight)
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


def main() -> None:
    device, corpus = torch.device(sys.argv[1]), Path(sys.argv[2])
    layers, width, heads, tokens, batch, context = map(int, sys.argv[3:9])
    manifest = json.loads((corpus / "manifest.json").read_text())
    train, validation = (
        np.memmap(corpus / name, dtype=manifest["token_dtype"], mode="r") for name in ("train.bin", "validation.bin")
    )
    model = Model(layers, width, heads, 1 + int(max(train.max(), validation.max())), context).to(device)
    if "--compile" in sys.argv:
        model.compile()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    draw, steps, rows = np.random.default_rng(0), tokens // batch, batch // context
    autocast = torch.autocast(device.type, dtype=torch.bfloat16)
    for step in range(steps):
        starts = draw.integers(len(train) - context - 1, size=rows)
        windows = torch.from_numpy(train[starts[:, None] + np.arange(context + 1)].astype(np.int64))
        windows = (windows.pin_memory() if device.type == "cuda" else windows).to(device, non_blocking=True)
        share = min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * share
        with autocast:
            loss = model(windows[:, :-1], windows[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    sums = []
    with torch.no_grad(), autocast:
        for start in range(0, len(validation) - context - 1, context):
            window = torch.from_numpy(validation[start : start + context + 1].astype(np.int64))[None].to(device)
            sums.append(model(window[:, :-1], window[:, 1:]))
    print(json.dumps({"loss": float(torch.stack(sums).mean())}))


if __name__ == "__main__":
    main()
