"""The forms that are faster on a CPU equal torch's own, values and gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from scaling.model.attention import ExplicitAttention, causal_attention
from scaling.model.rms_norm import FewPassRMSNorm, rms_norm


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()


def test_explicit_attention_differentiates_itself() -> None:
    """In float64, against finite differences."""
    assert torch.autograd.gradcheck(ExplicitAttention.apply, tuple(draw(2, 5, 4, seed=i) for i in range(3)))


def test_few_pass_rms_norm_differentiates_itself() -> None:
    def norm(x: Tensor, gain: Tensor) -> Tensor:
        return FewPassRMSNorm.apply(x, gain, 1e-6)  # type: ignore[no-any-return]

    # The mean square is summed in float32, so differences are taken wide and compared loosely.
    assert torch.autograd.gradcheck(norm, (draw(3, 2, 6), draw(6, seed=1)), eps=1e-2, atol=1e-3)


@pytest.mark.parametrize("kv_heads", [4, 2])
def test_bf16_attention_is_nearer_to_fp32_than_its_own_rounding(kv_heads: int) -> None:
    heads = (4, kv_heads, kv_heads)
    exact = [draw(2, h, 16, 8, seed=i, dtype=torch.float32) for i, h in enumerate(heads)]
    half = [x.detach().bfloat16().requires_grad_() for x in exact]
    results = []
    for q, k, v in (exact, half):
        mixed = causal_attention(q, k, v, dropout=0.0)
        mixed.square().sum().backward()
        results.append([mixed, q.grad, k.grad, v.grad])
    for reference, value in zip(*results, strict=True):
        assert reference is not None
        assert value is not None
        # 8 bits of mantissa in each of a few products in a row.
        assert float(((value.float() - reference).norm() / reference.norm()).detach()) < 0.02


def test_rms_norm_is_torchs() -> None:
    x, gain = draw(4, 10, dtype=torch.float32), draw(10, seed=1, dtype=torch.float32)
    torch.testing.assert_close(rms_norm(x, gain, 1e-6), F.rms_norm(x, (10,), gain, 1e-6))
