"""Causal attention over [B, H, T, K]: torch's fused kernel, except for bf16 on a CPU, whose backward pass is slow."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from scaling.model.forms import for_a_core

# The explicit form keeps all T x T probabilities.
LONGEST_EXPLICIT_CONTEXT = 512


class ExplicitAttention(torch.autograd.Function):
    """softmax(q k^T / sqrt(K) + causal mask) v of [N, T, K] as batched products, the probabilities kept for the
    backward pass: a tenth of the time that torch 2.13's fused kernel takes to differentiate bf16 on a CPU."""

    @staticmethod
    def forward(ctx: Any, q_NxTxK: Tensor, k_NxTxK: Tensor, v_NxTxK: Tensor) -> Tensor:
        T, K = q_NxTxK.shape[1:]
        mask_TxT = torch.full((T, T), -math.inf, dtype=q_NxTxK.dtype).triu_(1)
        scores_NxTxT = torch.baddbmm(mask_TxT, q_NxTxK, k_NxTxK.transpose(1, 2), alpha=1 / math.sqrt(K))
        probabilities_NxTxT = torch.softmax(scores_NxTxT, dim=-1)
        ctx.save_for_backward(q_NxTxK, k_NxTxK, v_NxTxK, probabilities_NxTxT)
        return torch.bmm(probabilities_NxTxT, v_NxTxK)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v, probabilities = ctx.saved_tensors
        (gradient,) = gradients
        probabilities_grad = torch.bmm(gradient, v.transpose(1, 2))
        scores_grad = torch._softmax_backward_data(probabilities_grad, probabilities, -1, probabilities.dtype)
        scale = 1 / math.sqrt(q.shape[-1])
        return (
            scaled_product(scores_grad, k, scale),
            scaled_product(scores_grad.transpose(1, 2), q, scale),
            torch.bmm(probabilities.transpose(1, 2), gradient),
        )


def scaled_product(a_NxIxJ: Tensor, b_NxJxK: Tensor, scale: float) -> Tensor:
    """scale * a @ b in one pass: of the batched products only the one that adds scales, and beta = 0 adds nothing."""
    return torch.baddbmm(a_NxIxJ.new_zeros(()), a_NxIxJ, b_NxJxK, beta=0, alpha=scale)


def causal_attention(q_BxHxTxK: Tensor, k_BxGxTxK: Tensor, v_BxGxTxK: Tensor, *, dropout: float) -> Tensor:
    """[B, H, T, K], scaled by 1 / sqrt(K), with H / G query heads to each head of keys and values. `dropout` is the
    share of probabilities that are dropped. The types may differ; that of the values rules."""
    B, H, T, K = q_BxHxTxK.shape
    num_kv_heads = k_BxGxTxK.shape[1]
    q_BxHxTxK, k_BxGxTxK = q_BxHxTxK.type_as(v_BxGxTxK), k_BxGxTxK.type_as(v_BxGxTxK)
    bf16_on_a_core = for_a_core(q_BxHxTxK) and v_BxGxTxK.dtype == torch.bfloat16
    if not bf16_on_a_core or dropout or T > LONGEST_EXPLICIT_CONTEXT:
        return F.scaled_dot_product_attention(
            q_BxHxTxK, k_BxGxTxK, v_BxGxTxK, dropout_p=dropout, is_causal=True, enable_gqa=num_kv_heads < H
        )
    k_and_v = (x.repeat_interleave(H // num_kv_heads, dim=1).flatten(0, 1) for x in (k_BxGxTxK, v_BxGxTxK))
    mixed: Tensor = ExplicitAttention.apply(q_BxHxTxK.flatten(0, 1), *k_and_v)  # type: ignore[no-untyped-call]
    return mixed.view(B, H, T, K)
