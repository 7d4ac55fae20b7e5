"""Queries and keys as attention takes them, normalised and turned: in few passes over memory, or in few launches.

Shapes: B sequences, T positions, H query heads, G heads of keys and as many of values, K channels a head.
"""

from typing import Any

import torch
from torch import Tensor


class TurnedHeads(torch.autograd.Function):
    """Queries and keys [B, T, H + G, K] and values [B, T, G, K] of a packed [B, T, H + 2 G, K].

    Queries and keys are divided by their root mean square and multiplied by a gain, where there are gains, and their
    neighbouring channels turned as pairs, in float32. As operations of their own, with a pass over memory and a node of
    the graph for each, a step of a small decoder takes 1.02 to 1.09 times as long on a CPU (docs/speed.md).
    """

    @staticmethod
    def forward(
        ctx: Any,
        packed: Tensor,
        query_gain_K: Tensor | None,
        key_gain_K: Tensor | None,
        turn_Tx1xK2x2: Tensor,
        num_heads: int,
        epsilon: float,
    ) -> tuple[Tensor, Tensor]:
        N, K = packed.shape[2:]
        kv_heads = (N - num_heads) // 2
        heads, values = torch.split(packed, [num_heads + kv_heads, kv_heads], dim=2)
        heads = heads.float()
        unit = inverse_rms = gain = None
        if query_gain_K is not None and key_gain_K is not None:
            # A product with a vector sums few channels faster than a reduction does; autocast leaves this one alone.
            mean_square = heads.square().flatten(0, -2).mv(heads.new_full((K,), 1 / K))
            inverse_rms = mean_square.add_(epsilon).rsqrt_().view(*heads.shape[:-1], 1)
            gain = torch.cat([query_gain_K.expand(num_heads, K), key_gain_K.expand(kv_heads, K)])
            unit = heads * inverse_rms
            heads = unit * gain
        turn = torch.view_as_complex(turn_Tx1xK2x2[: packed.shape[1]])
        ctx.save_for_backward(unit, inverse_rms, gain, turn)
        ctx.num_heads = num_heads
        return turned(heads, turn).type_as(packed), values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None, None, None]:
        unit, inverse_rms, gain, turn = ctx.saved_tensors
        heads_grad, values_grad = gradients
        B, T, Q, K = heads_grad.shape
        packed_grad = heads_grad.new_empty(B, T, Q + values_grad.shape[2], K)
        packed_grad[:, :, Q:] = values_grad
        # The transpose of a turn is the turn back.
        grad = turned(heads_grad.float(), turn.conj_physical())
        if unit is None:
            packed_grad[:, :, :Q] = grad
            return packed_grad, None, None, None, None, None
        product = grad * unit
        gain_grad = product.flatten(0, 1).sum(dim=0)
        # d(x / rms(x)) = (dx - unit * mean(dx * unit)) / rms(x)
        mean = product.mul_(gain).flatten(0, -2).mv(unit.new_full((K,), 1 / K)).view_as(inverse_rms)
        torch.mul(grad.mul_(gain).addcmul_(unit, mean, value=-1), inverse_rms, out=packed_grad[:, :, :Q])
        query_gain_grad, key_gain_grad = gain_grad.split([ctx.num_heads, Q - ctx.num_heads])
        return packed_grad, query_gain_grad.sum(dim=0), key_gain_grad.sum(dim=0), None, None, None


def turned(heads_BxTxNxK: Tensor, turn_Tx1xK2: Tensor) -> Tensor:
    """Neighbouring channels as complex numbers, times the turn."""
    pairs = torch.view_as_complex(heads_BxTxNxK.reshape(*heads_BxTxNxK.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turn_Tx1xK2).flatten(-2)


class HeadsApart(torch.autograd.Function):
    """Queries [B, T, H, K] and keys [B, T, G, K] of a packed [B, T, H + 2 G, K] in float32, values [B, T, G, K] as they
    are. Their gradients go back into one tensor, without one on the way for each split."""

    @staticmethod
    def forward(ctx: Any, packed: Tensor, num_heads: int) -> tuple[Tensor, Tensor, Tensor]:
        kv_heads = (packed.shape[2] - num_heads) // 2
        ctx.dtype = packed.dtype
        heads, values = torch.split(packed, [num_heads + kv_heads, kv_heads], dim=2)
        queries, keys = torch.split(heads.float(), [num_heads, kv_heads], dim=2)
        return queries, keys, values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        if ctx.dtype == torch.float32:
            return torch.cat(gradients, dim=2), None
        B, T, _, K = gradients[0].shape
        sizes = [gradient.shape[2] for gradient in gradients]
        packed_grad = gradients[0].new_empty(B, T, sum(sizes), K, dtype=ctx.dtype)
        for part, gradient in zip(torch.split(packed_grad, sizes, dim=2), gradients, strict=True):
            part.copy_(gradient)
        return packed_grad, None


class TurnedApart(torch.autograd.Function):
    """Queries and keys, together in float32 as [B, T, H + G, K], turned and in the type of the values, the ones and the
    others apart. `turn` [T, 1, K/2, 2] is the table of positions, `back` that of the turns back."""

    @staticmethod
    def forward(
        ctx: Any, heads: Tensor, turn_Tx1xK2x2: Tensor, back_Tx1xK2x2: Tensor, num_heads: int, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        T = heads.shape[1]
        ctx.save_for_backward(back_Tx1xK2x2[:T])
        both = turned(heads, torch.view_as_complex(turn_Tx1xK2x2[:T])).to(dtype)
        queries, keys = torch.split(both, [num_heads, heads.shape[2] - num_heads], dim=2)
        return queries, keys

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        (back,) = ctx.saved_tensors
        # The transpose of a turn is the turn back.
        heads_grad = turned(torch.cat(gradients, dim=2).float(), torch.view_as_complex(back))
        return heads_grad, None, None, None, None
