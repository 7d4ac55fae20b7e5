"""The summed cross-entropy of a linear head, forward and backward in one pass over chunks of rows.

The logits are the largest tensor of a small model: written, normalised and differentiated while they are in the
cache, and never kept, the step of a 37k-parameter decoder with 1024 tokens of vocabulary is a third faster.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from scaling.model.forms import for_a_core

# 1 MB of float32 logits: half of a core's L2 on the processors this was measured on (docs/speed.md).
LOGITS_AT_A_TIME = 1 << 18
# A GPU wants few large products.
LOGITS_AT_A_TIME_ON_GPU = 1 << 27
# So many are kept, in bf16 and in float32: a gigabyte. Torch's own loss launches half as many kernels as the chunks do.
FEW_LOGITS_ON_GPU = (1 << 30) // 6


class LinearCrossEntropy(torch.autograd.Function):
    """sum over rows of -log softmax(x_RxD @ weight_VxD^T)[target_R], in nats. Every target must be a token.

    `x` and `weight` are of one type; softmax and sums are float32. Gradients are worked out in the forward pass, so
    the incoming one must be a scalar: it is, for a sum. They are those of the cross-entropy and of `z_loss` times the
    squared log of each row's partition function, which the value leaves out: a loss that is compared holds no
    regulariser.
    """

    @staticmethod
    def forward(ctx: Any, x_RxD: Tensor, weight_VxD: Tensor, target_R: Tensor, z_loss: float) -> Tensor:
        x_grad, weight_grad = torch.empty_like(x_RxD), torch.zeros_like(weight_VxD, dtype=torch.float32)
        total = torch.zeros((), device=x_RxD.device)
        at_a_time = LOGITS_AT_A_TIME if x_RxD.device.type == "cpu" else LOGITS_AT_A_TIME_ON_GPU
        for start in range(0, len(x_RxD), rows_at_a_time := max(1, at_a_time // len(weight_VxD))):
            rows = slice(start, start + rows_at_a_time)
            x, target_Rx1 = x_RxD[rows], target_R[rows, None]
            logits_RxV = x @ weight_VxD.t()
            log_probabilities_RxV = F.log_softmax(logits_RxV, dim=-1, dtype=torch.float32)
            chosen_Rx1 = log_probabilities_RxV.gather(-1, target_Rx1)
            total -= chosen_Rx1.sum()
            logits_grad = log_probabilities_RxV.exp_()
            if z_loss:
                log_z_Rx1 = logits_RxV.gather(-1, target_Rx1) - chosen_Rx1
                logits_grad *= 1.0 + 2.0 * z_loss * log_z_Rx1
            logits_grad.scatter_add_(-1, target_Rx1, torch.full_like(chosen_Rx1, -1.0))
            logits_grad = logits_grad.type_as(x)
            torch.mm(logits_grad, weight_VxD, out=x_grad[rows])
            weight_grad += logits_grad.t() @ x
        ctx.save_for_backward(x_grad, weight_grad.type_as(weight_VxD))
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x_grad, weight_grad = ctx.saved_tensors
        (gradient,) = gradients
        return x_grad * gradient, weight_grad * gradient, None, None


def linear_cross_entropy(x_RxD: Tensor, weight_VxD: Tensor, target_R: Tensor, z_loss: float = 0.0) -> Tensor:
    device = x_RxD.device.type
    if not for_a_core(x_RxD) and x_RxD.shape[0] * len(weight_VxD) <= FEW_LOGITS_ON_GPU:
        logits_RxV = F.linear(x_RxD.type_as(weight_VxD), weight_VxD)
        with torch.autocast(device, enabled=False):
            loss = F.cross_entropy(logits_RxV.float(), target_R, reduction="sum")
            return gradient_of_z_loss(loss, logits_RxV.float(), z_loss) if z_loss else loss
    x_RxD = x_RxD if x_RxD.dtype == weight_VxD.dtype or torch.is_autocast_enabled(device) else x_RxD.type_as(weight_VxD)
    if torch.is_autocast_enabled(device):
        x_RxD, weight_VxD = (tensor.to(torch.get_autocast_dtype(device)) for tensor in (x_RxD, weight_VxD))
    with torch.autocast(device, enabled=False):
        chunked: Tensor = LinearCrossEntropy.apply(x_RxD, weight_VxD, target_R, z_loss)  # type: ignore[no-untyped-call]
    return chunked


def gradient_of_z_loss(loss: Tensor, logits_RxV: Tensor, z_loss: float) -> Tensor:
    """`loss`, to whose gradient that of the z-loss is added: the same value as above for logits that are at hand."""
    regulariser = z_loss * torch.logsumexp(logits_RxV, dim=-1).square().sum()
    return loss + regulariser - regulariser.detach()
