"""x / rms(x) times a gain (Zhang & Sennrich 2019, arXiv 1910.07467), in few passes over memory.

Torch has a fused kernel for it on GPUs; on a CPU `F.rms_norm` is made of a dozen elementwise operations, which cost a
small decoder as much as its matrix products.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from scaling.model.forms import for_a_core


class FewPassRMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gain_D: Tensor, epsilon: float) -> Tensor:
        mean_square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1])
        inverse_rms = mean_square.add_(epsilon).rsqrt_()
        unit: Tensor = x * inverse_rms
        ctx.save_for_backward(unit, inverse_rms, gain_D)
        return unit * gain_D

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        unit, inverse_rms, gain_D = ctx.saved_tensors
        (gradient,) = gradients
        product = gradient * unit
        gain_grad = product.flatten(0, -2).sum(dim=0)
        # d(x / rms(x)) = (dx - unit * mean(dx * unit)) / rms(x)
        own = (product @ gain_D).unsqueeze(-1)
        x_grad = (gradient * gain_D).addcmul_(unit, own, value=-1 / len(gain_D)).mul_(inverse_rms)
        return x_grad, gain_grad, None


def rms_norm(x: Tensor, gain_D: Tensor, epsilon: float) -> Tensor:
    """Of the last dimension, in float32 for any smaller type: a gain of eight bits of mantissa would move in steps."""
    if not for_a_core(x):
        with torch.autocast(x.device.type, enabled=False):
            return F.rms_norm(x.float(), gain_D.shape, gain_D.float(), epsilon)
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    normed: Tensor = FewPassRMSNorm.apply(x, gain_D.to(x.dtype), epsilon)  # type: ignore[no-untyped-call]
    return normed
