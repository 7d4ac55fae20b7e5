"""A decoder and its training loop as many people have one, in a hundred lines: the bytes of some text files, a plain
GPT, AdamW, a checkpoint now and then. It knows nothing of studies: trainer/plain_gpt.yaml says how it is started and
where its numbers stand."""

import argparse
import math
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--text", default=".")
parser.add_argument("--width", type=int, default=32)
parser.add_argument("--layers", type=int, default=2)
parser.add_argument("--steps", type=int, default=200)
parser.add_argument("--rows", type=int, default=8)
parser.add_argument("--lr", type=float, default=3e-3)
parser.add_argument("--warmup", type=int, default=20)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out", default="out")
asked = parser.parse_args()

CONTEXT, VOCABULARY, HEADS = 64, 256, 2


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, context, width = x.shape
        q, k, v = (
            part.view(rows, context, HEADS, -1).transpose(1, 2) for part in self.qkv(self.norm1(x)).split(width, -1)
        )
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.project(attended.transpose(1, 2).reshape(rows, context, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(VOCABULARY, width), nn.Embedding(CONTEXT, width)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, VOCABULARY, bias=False)

    def forward(self, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        return F.cross_entropy(self.head(self.norm(self.blocks(x))).flatten(0, 1), targets.flatten())


def windows(data: torch.Tensor, starts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    at = starts[:, None] + torch.arange(CONTEXT + 1)
    return data[at][:, :-1], data[at][:, 1:]


text = b"".join(path.read_bytes() for path in sorted(Path(asked.text).rglob("*.*")) if path.is_file())
data = torch.tensor(list(text))
train, validation = data[: int(0.9 * len(data))], data[int(0.9 * len(data)) :]
torch.manual_seed(asked.seed)
model = GPT(asked.width, asked.layers)
optimizer = torch.optim.AdamW(model.parameters(), lr=asked.lr, weight_decay=0.1)
print(f"total parameters: {sum(p.numel() for p in model.parameters()):,}")
out, first = Path(asked.out), 0
out.mkdir(parents=True, exist_ok=True)
if (out / "last.pt").exists():
    saved = torch.load(out / "last.pt")
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    first = saved["step"]
for step in range(first, asked.steps):
    rate = min(1.0, (step + 1) / max(1, asked.warmup)) * 0.5 * (1 + math.cos(math.pi * step / asked.steps))
    for group in optimizer.param_groups:
        group["lr"] = asked.lr * rate
    dice = torch.Generator().manual_seed(1_000_003 * asked.seed + step)  # the data of a step, however often it is begun
    ids, targets = windows(train, torch.randint(len(train) - CONTEXT - 1, (asked.rows,), generator=dice))
    loss = model(ids, targets)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if (step + 1) % 25 == 0 or step + 1 == asked.steps:
        with torch.no_grad():
            starts = torch.arange(0, len(validation) - CONTEXT - 1, CONTEXT)
            held = model(*windows(validation, starts))
        print(f"step {step + 1}: train loss {loss:.6f}, val loss {held:.6f}", flush=True)
        torch.save(
            {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}, out / "last.part"
        )
        (out / "last.part").replace(out / "last.pt")
