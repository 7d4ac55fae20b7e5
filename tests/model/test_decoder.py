"""Properties of the decoder: what may see what, and that its fast path is its plain path."""

import pytest
import torch
import torch.nn.functional as F

from scaling.model.config import ModelConfig
from scaling.model.cross_entropy import gradient_of_z_loss
from scaling.model.decoder import IGNORED_TARGET, Decoder, initialise, rotate, rotation_table

VARIANTS: dict[str, dict[str, object]] = {
    "default": {},
    "learned": {"positions": "learned"},
    "sinusoidal": {"positions": "sinusoidal"},
    "layernorm": {"norm": "layernorm"},
    "swiglu": {"activation": "swiglu"},
    "untied": {"tied_embeddings": False},
    "qk_norm": {"qk_norm": True},
    "mup": {"mup_base_width": 16},
    "relu2": {"activation": "relu2"},
    "grouped": {"num_kv_heads": 2, "qk_norm": True},
    "one_kv_head": {"num_kv_heads": 1},
}


def build(seed: int = 0, z_loss: float = 0.0, **options: object) -> Decoder:
    model = ModelConfig(
        num_layers=2,
        d_model=32,
        num_heads=4,
        vocab_size=50,
        context=16,
        d_ff=64,
        **options,  # type: ignore[arg-type]
    )
    decoder = Decoder(model, z_loss=z_loss)
    initialise(decoder, seed)
    return decoder


def random_ids(rows: int = 3, length: int = 17) -> torch.Tensor:
    return torch.randint(0, 50, (rows, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_no_position_sees_a_later_one(options: dict[str, object]) -> None:
    """The gradient of position t's logits with respect to the input embeddings is zero after t, and not before."""
    decoder = build(**options).eval()
    ids = random_ids()[:, :16]
    embedded: list[torch.Tensor] = []

    def keep(_: torch.nn.Module, __: object, output: torch.Tensor) -> None:
        output.retain_grad()
        embedded.append(output)

    decoder.embedding.register_forward_hook(keep)
    position = 7
    decoder.logits(ids)[:, position].square().sum().backward()
    seen = embedded[0].grad
    assert seen is not None
    assert torch.all(seen[:, position + 1 :] == 0)
    assert torch.all(seen[:, : position + 1].abs().sum(dim=-1) > 0)


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_fused_loss_and_gradients_equal_the_plain_ones(options: dict[str, object]) -> None:
    decoder, ids = build(**options), random_ids()
    fused = decoder(ids[:, :-1], ids[:, 1:])
    fused.backward()
    gradients = [p.grad.clone() for p in decoder.parameters() if p.grad is not None]
    decoder.zero_grad()
    plain = decoder.token_losses(ids[:, :-1], ids[:, 1:]).sum()
    plain.backward()
    # float32 sums of some 50 terms in another order.
    torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-4)
    for mine, theirs in zip(gradients, [p.grad for p in decoder.parameters()], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fused", [True, False])
def test_z_loss_is_in_the_gradient_and_not_in_the_loss(fused: bool) -> None:
    """Against autograd on cross-entropy plus z_loss * logsumexp^2, written out; also on the path that fp16 takes."""
    plain, regularised, ids = build(), build(z_loss=0.3), random_ids()
    logits = plain.logits(ids[:, :-1]).flatten(0, 1)
    cross_entropy = F.cross_entropy(logits, ids[:, 1:].flatten(), reduction="sum")
    (cross_entropy + 0.3 * logits.logsumexp(dim=-1).square().sum()).backward()
    if fused:
        value = regularised(ids[:, :-1], ids[:, 1:])
    else:
        logits = regularised.logits(ids[:, :-1]).flatten(0, 1)
        value = gradient_of_z_loss(F.cross_entropy(logits, ids[:, 1:].flatten(), reduction="sum"), logits, 0.3)
    value.backward()
    torch.testing.assert_close(value, cross_entropy, rtol=1e-5, atol=1e-4)
    for mine, theirs in zip(regularised.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-3)


def test_grouped_queries_are_heads_that_share_their_keys_and_values() -> None:
    """A decoder with 4 heads whose keys and values are copies of those of 2 gives the same logits."""
    grouped, full = build(num_kv_heads=2), build()
    with torch.no_grad():
        for (name, theirs), mine in zip(full.named_parameters(), grouped.parameters(), strict=True):
            if name.endswith("qkv.weight"):
                q, k, v = mine.view(8, 8, 32).split([4, 2, 2])
                copied = [q, k.repeat_interleave(2, dim=0), v.repeat_interleave(2, dim=0)]
                theirs.copy_(torch.cat(copied).view(96, 32))
            else:
                theirs.copy_(mine)
        ids = random_ids()[:, :16]
        torch.testing.assert_close(grouped.logits(ids), full.logits(ids), rtol=1e-4, atol=1e-5)


def test_fused_loss_over_several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, ids = build(), random_ids()
    whole = decoder(ids[:, :-1], ids[:, 1:])
    monkeypatch.setattr("scaling.model.cross_entropy.LOGITS_AT_A_TIME", 7 * 50)
    torch.testing.assert_close(decoder(ids[:, :-1], ids[:, 1:]), whole)


def test_ignored_targets_cost_nothing() -> None:
    decoder, ids = build(), random_ids()
    targets = ids[:, 1:].clone()
    targets[:, 5:] = IGNORED_TARGET
    losses = decoder.token_losses(ids[:, :-1], targets)
    assert torch.all(losses[:, 5:] == 0)
    assert torch.all(losses[:, :5] > 0)


def test_rotary_scores_depend_on_distance_alone() -> None:
    """One query and one key at every place: scores are constant along diagonals and differ across them."""
    model = build().config
    generator = torch.Generator().manual_seed(2)
    q, k = (torch.randn(1, 1, 1, model.head_dim, generator=generator).expand(1, 16, 1, -1) for _ in range(2))
    turn = rotation_table(model)
    scores = torch.einsum("bthk,bshk->ts", rotate(q, turn), rotate(k, turn))
    for distance in range(16):
        diagonal = scores.diagonal(-distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=1e-4, atol=1e-4)
    assert scores[:, 0].std() > 0.1


def test_a_seed_is_a_model() -> None:
    same, again, other = build(seed=1), build(seed=1), build(seed=2)
    assert all(torch.equal(a, b) for a, b in zip(same.parameters(), again.parameters(), strict=True))
    assert not torch.equal(same.embedding.weight, other.embedding.weight)


def test_mup_keeps_the_scale_of_logits_as_width_grows() -> None:
    """Under muP the logits at initialisation shrink as 1/sqrt(width), never grow (Yang et al. 2022, Table 8)."""
    scales = []
    for width in (16, 64, 256):
        model = ModelConfig(
            num_layers=2,
            d_model=width,
            num_heads=width // 8,
            vocab_size=50,
            context=16,
            d_ff=4 * width,
            mup_base_width=16,
        )
        decoder = Decoder(model)
        initialise(decoder, 0)
        scales.append(float(decoder.logits(random_ids()[:, :16]).detach().std()))
    assert scales[2] < scales[1] < scales[0]
    assert scales[0] / scales[2] == pytest.approx(4.0, rel=0.3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_heads": 5}, "does not divide model.d_model = 32; choose one of"),
        ({"d_model": 0}, "d_model is 0; it must be at least 1"),
        ({"num_heads": 32}, "must be even"),
        (
            {"num_kv_heads": 3},
            r"num_kv_heads is 3, which does not divide model.num_heads = 4; choose one of \[1, 2, 4\]",
        ),
        ({"dropout": 1.0}, "dropout is 1.0; it must be at least 0 and below 1"),
        ({"rope_base": 1.0}, "it must exceed 1"),
    ],
)
def test_impossible_shapes_are_refused(changes: dict[str, object], words: str) -> None:
    values = {"num_layers": 1, "d_model": 32, "num_heads": 4, "vocab_size": 50, "context": 16, "d_ff": 64, **changes}
    with pytest.raises(ValueError, match=words):
        ModelConfig(**values)  # type: ignore[arg-type]
