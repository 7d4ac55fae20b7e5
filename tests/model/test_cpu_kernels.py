"""The forms that are faster on a CPU equal torch's own, values and gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from scaling.model.attention import ExplicitAttention, causal_attention
from scaling.model.config import ModelConfig
from scaling.model.decoder import NORM_EPSILON, rotate, rotation_table
from scaling.model.heads import TurnedHeads
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


@pytest.mark.parametrize("normed", [True, False])
def test_turned_heads_are_norms_and_turns(normed: bool) -> None:
    """Values and gradients of three query heads and two of keys and values, the gradients of all at once."""
    model = ModelConfig(num_layers=1, d_model=24, num_heads=3, vocab_size=2, context=7, d_ff=1)
    turn, gains = rotation_table(model), [draw(8, seed=i, dtype=torch.float32) for i in (1, 2)]
    packed, weight = draw(2, 5, 7, 8, dtype=torch.float32), draw(2, 5, 7, 8, seed=3, dtype=torch.float32).detach()

    def by_parts() -> tuple[Tensor, Tensor]:
        queries, keys, values = packed.split([3, 2, 2], dim=2)
        if normed:
            queries, keys = (rms_norm(x, g, NORM_EPSILON) for x, g in zip((queries, keys), gains, strict=True))
        return rotate(torch.cat([queries, keys], dim=2), turn), values

    def at_once() -> tuple[Tensor, Tensor]:
        return TurnedHeads.apply(packed, *(gains if normed else (None, None)), turn, 3, NORM_EPSILON)  # type: ignore[return-value]

    results = []
    for heads in (by_parts, at_once):
        both = torch.cat(heads(), dim=2)
        inputs = [packed, *gains] if normed else [packed]
        results.append([both, *torch.autograd.grad((both * weight).sum(), inputs)])
    for expected, value in zip(*results, strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)


def test_autocast_keeps_the_norm_of_heads_in_float32() -> None:
    packed, gain = draw(2, 5, 3, 8, dtype=torch.float32), torch.ones(8)
    turn = rotation_table(ModelConfig(num_layers=1, d_model=8, num_heads=1, vocab_size=2, context=5, d_ff=1))
    alone, _ = TurnedHeads.apply(packed, gain, gain, turn, 1, NORM_EPSILON)
    with torch.autocast("cpu", torch.bfloat16):
        cast, _ = TurnedHeads.apply(packed, gain, gain, turn, 1, NORM_EPSILON)
    assert torch.equal(cast, alone)
