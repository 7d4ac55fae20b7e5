"""Which of two forms of an operation is taken: few passes over memory for a core, few launches for a GPU.

Both compute the same. A GPU and the compiler take the second; tests and rehearsals force it on a CPU.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_forced: list[bool] = []
_products: list[torch.dtype] = []


def for_a_core(x: Tensor) -> bool:
    """Whether `x` is computed with operation by operation on a CPU."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling() and not _forced


@contextmanager
def gpu_forms() -> Iterator[None]:
    """Inside, a CPU takes a GPU's forms."""
    _forced.append(True)
    try:
        yield
    finally:
        _forced.pop()


def are_forced() -> bool:
    return bool(_forced)


@contextmanager
def products_in(dtype: torch.dtype) -> Iterator[None]:
    """Inside, the decoder multiplies matrices of this type, cast once a pass and all in one launch. Norms, residuals
    and losses are in float32, as they are under autocast, which casts operation by operation."""
    _products.append(dtype)
    try:
        yield
    finally:
        _products.pop()


def product_dtype() -> torch.dtype | None:
    return _products[-1] if _products else None


class CastTogether(torch.autograd.Function):
    """Float32 tensors in a smaller type, and their gradients back, in a launch each."""

    @staticmethod
    def forward(ctx: object, dtype: torch.dtype, *weights: Tensor) -> tuple[Tensor, ...]:
        return _cast(weights, dtype)

    @staticmethod
    def backward(ctx: object, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        there = [gradient for gradient in gradients if gradient is not None]
        cast = iter(_cast(there, torch.float32))
        return None, *(None if gradient is None else next(cast) for gradient in gradients)


def _cast(tensors: "list[Tensor] | tuple[Tensor, ...]", dtype: torch.dtype) -> tuple[Tensor, ...]:
    into = [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]
    torch._foreach_copy_(into, list(tensors))
    return tuple(into)
