"""The decoder once more, in float64, from the papers' formulas and in the plainest way: what kernels are held to."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from scaling.model.config import ModelConfig

EPSILON = 1e-6


def loss(model: ModelConfig, weights: dict[str, Tensor], ids_BxT: Tensor, targets_BxT: Tensor, z_loss: float) -> Tensor:
    """The summed cross-entropy in nats plus the z-loss, of float64 weights under the decoder's names."""

    def norm(x: Tensor, gain: Tensor) -> Tensor:
        if model.norm == "layernorm":
            return F.layer_norm(x, gain.shape, gain, None, EPSILON)
        return x / (x.square().mean(-1, keepdim=True) + EPSILON).sqrt() * gain

    B, T = ids_BxT.shape
    H, G, K = model.num_heads, model.kv_heads, model.head_dim
    place = torch.arange(T, dtype=torch.float64)[:, None]
    x = weights["embedding.weight"][ids_BxT]
    if model.positions == "learned":
        x = x + weights["positions.weight"][:T]
    elif model.positions == "sinusoidal":
        half = model.d_model // 2
        angle = place * 10_000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
        x = x + torch.cat([angle.sin(), angle.cos()], dim=-1)
    angle = place * model.rope_base ** (-torch.arange(K // 2, dtype=torch.float64) / (K // 2))
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]

    def turn(heads: Tensor) -> Tensor:
        even, odd = heads[..., 0::2], heads[..., 1::2]
        return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)

    mask = torch.full((T, T), -math.inf, dtype=torch.float64).triu(1)
    for i in range(model.num_layers):
        own = {name.removeprefix(f"blocks.{i}."): w for name, w in weights.items() if name.startswith(f"blocks.{i}.")}
        packed = (norm(x, own["attention_norm.gain"]) @ own["attention.qkv.weight"].t()).view(B, T, H + 2 * G, K)
        q, k, v = torch.split(packed, [H, G, G], dim=2)
        if model.qk_norm:
            q, k = norm(q, own["attention.query_norm.gain"]), norm(k, own["attention.key_norm.gain"])
        if model.positions == "rotary":
            q, k = turn(q), turn(k)
        k, v = (heads.repeat_interleave(H // G, dim=2) for heads in (k, v))
        scores = torch.einsum("bthk,bshk->bhts", q, k) / math.sqrt(K) + mask
        mixed = torch.einsum("bhts,bshk->bthk", scores.softmax(-1), v).reshape(B, T, H * K)
        x = x + mixed @ own["attention.out.weight"].t()
        hidden = norm(x, own["mlp_norm.gain"]) @ own["mlp.up.weight"].t()
        if model.activation == "swiglu":
            gate, value = hidden.chunk(2, dim=-1)
            hidden = gate * gate.sigmoid() * value
        elif model.activation == "relu2":
            hidden = hidden.clamp(min=0).square()
        else:
            hidden = 0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2)))
        x = x + hidden @ own["mlp.down.weight"].t()
    head = weights["embedding.weight"] if model.tied_embeddings else weights["head.weight"]
    logits = (norm(x, weights["norm.gain"]) / model.width_multiplier) @ head.t()
    log_z = logits.logsumexp(-1)
    chosen = logits.gather(-1, targets_BxT[..., None]).squeeze(-1)
    return (log_z - chosen).sum() + z_loss * log_z.square().sum()
