"""Muon over stacked matrices: those of one shape are made orthogonal together, in as many launches as one of them.

What torch's own does matrix by matrix, with rates that may be tensors on the device, as a captured step needs them.
"""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor

# Jordan et al. 2024 (https://kellerjordan.github.io/posts/muon/): five steps of a quintic, steep at zero.
COEFFICIENTS, STEPS, EPSILON = (3.4445, -4.7750, 2.0315), 5, 1e-7


class StackedMuon(torch.optim.Optimizer):
    """Nesterov momentum made orthogonal; an update is scaled by sqrt(max(1, rows / columns)). Decay is decoupled."""

    def __init__(self, groups: list[dict[str, Any]], *, momentum: float) -> None:
        super().__init__(groups, {"lr": 1e-3, "weight_decay": 0.0, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for (rows, columns), parameters in by_shape.items():
                gradients = [p.grad for p in parameters if p.grad is not None]
                buffers = [self._momentum_of(parameter) for parameter in parameters]
                torch._foreach_lerp_(buffers, gradients, 1.0 - group["momentum"])
                ahead = torch._foreach_lerp(gradients, buffers, group["momentum"])
                updates = list(orthogonal(torch.stack(ahead)).unbind())
                rate = group["lr"] * max(1.0, rows / columns) ** 0.5
                torch._foreach_mul_(parameters, 1.0 - group["lr"] * group["weight_decay"])
                torch._foreach_mul_(updates, rate)
                torch._foreach_sub_(parameters, updates)

    def prepare(self) -> None:
        """Make the state that a first step would make."""
        for group in self.param_groups:
            for parameter in group["params"]:
                self._momentum_of(parameter)

    def _momentum_of(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer: Tensor = state["momentum_buffer"]
        return buffer


def orthogonal(gradients_NxRxC: Tensor) -> Tensor:
    """Each matrix with its singular values brought to about one (.7 to 1.2), in bf16 on the way; float32."""
    a, b, c = COEFFICIENTS
    x = gradients_NxRxC.bfloat16()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=EPSILON)
    for _ in range(STEPS):
        gram = x @ x.mT
        gram = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, gram, x, beta=a)
    return (x.mT if tall else x).float()
