"""Counts against the tensors they count."""

import itertools

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from scaling.model.config import ModelConfig
from scaling.model.counting import (
    chinchilla_training_flops,
    count_parameters,
    count_training_flops,
    kaplan_training_flops,
)
from scaling.model.decoder import Decoder, initialise

OPTIONS = {
    "positions": ("rotary", "learned", "sinusoidal"),
    "norm": ("rmsnorm", "layernorm"),
    "activation": ("gelu", "swiglu", "relu2"),
    "tied_embeddings": (True, False),
    "qk_norm": (True, False),
    "num_kv_heads": (None, 2, 1),
}
COMBINATIONS = [dict(zip(OPTIONS, values, strict=True)) for values in itertools.product(*OPTIONS.values())]


def small(**options: object) -> ModelConfig:
    return ModelConfig(
        num_layers=3,
        d_model=48,
        num_heads=4,
        vocab_size=101,
        context=32,
        d_ff=144,
        **options,  # type: ignore[arg-type]
    )


def test_every_combination_counts_every_parameter_and_sees_no_later_token() -> None:
    """216 decoders: numel against the count, and logits that do not move when the last token does."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 101, (1, 8), generator=generator)
    other = torch.cat([ids[:, :-1], (ids[:, -1:] + 1) % 101], dim=1)
    for options in COMBINATIONS:
        model = small(**options)
        decoder = Decoder(model)
        assert count_parameters(model).total == sum(p.numel() for p in decoder.parameters()), options
        initialise(decoder, 0)
        with torch.no_grad():
            one, two = decoder.logits(ids), decoder.logits(other)
        torch.testing.assert_close(one[:, :-1], two[:, :-1], msg=str(options))
        assert not torch.equal(one[:, -1], two[:, -1]), options


def test_non_embedding_leaves_out_embeddings_positions_and_head() -> None:
    model = small(positions="learned", tied_embeddings=False)
    decoder = Decoder(model)
    assert decoder.positions is not None
    assert decoder.head is not None
    outside = decoder.embedding.weight.numel() + decoder.positions.weight.numel() + decoder.head.weight.numel()
    assert count_parameters(model).non_embedding == sum(p.numel() for p in decoder.parameters()) - outside


def test_plain_shape_has_twelve_l_d_squared_in_its_matrices() -> None:
    model = ModelConfig(num_layers=3, d_model=64, num_heads=4, vocab_size=256, context=64, d_ff=256)
    assert count_parameters(model).matrices == 12 * 3 * 64**2


@pytest.mark.parametrize(("activation", "kv_heads"), [("gelu", None), ("swiglu", None), ("relu2", 2), ("gelu", 1)])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    ("layers", "width", "context", "vocab"), [(2, 32, 64, 256), (3, 96, 128, 1024), (1, 64, 256, 64)]
)
def test_training_flops_agree_with_torch(
    activation: str, kv_heads: int | None, tied: bool, layers: int, width: int, context: int, vocab: int
) -> None:
    """Within 2%, forward and backward; in the mathematical form of attention, which has no recomputation."""
    model = ModelConfig(
        num_layers=layers,
        d_model=width,
        num_heads=4,
        vocab_size=vocab,
        context=context,
        d_ff=4 * width,
        activation=activation,  # type: ignore[arg-type]
        tied_embeddings=tied,
        num_kv_heads=kv_heads,
    )
    decoder = Decoder(model)
    ids = torch.randint(0, vocab, (2, context + 1))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        decoder(ids[:, :-1], ids[:, 1:]).backward()
    assert counter.get_total_flops() / (2 * context) == pytest.approx(count_training_flops(model).total, rel=0.02)


def test_conventions_differ_as_they_should() -> None:
    """6 N of Chinchilla holds the tied head and no attention; Kaplan's holds neither."""
    model = ModelConfig(num_layers=2, d_model=64, num_heads=4, vocab_size=1024, context=128, d_ff=256)
    counted, params = count_training_flops(model), count_parameters(model)
    assert chinchilla_training_flops(model) == 6 * params.total
    assert kaplan_training_flops(model) == 6 * params.non_embedding
    assert counted.matrices + counted.head == 6 * (params.matrices + params.embedding)
    assert 0 < counted.head_share < 1
