"""One step: accumulation, precision, roles of parameters."""

import math

import pytest
import torch

from scaling.model.decoder import Decoder, initialise
from scaling.training.evaluate import evaluate
from scaling.training.optimizer import make_optimizer
from scaling.training.step import StepResult, TrainState, train_step
from tests.tiny_run import make_spec


def make_state(*, enabled: bool = False, **model: object) -> TrainState:
    spec = make_spec(**model)
    decoder = Decoder(spec.model)
    initialise(decoder, 0)
    scaler = torch.amp.GradScaler("cpu", enabled=enabled)
    return TrainState(decoder, decoder, make_optimizer(decoder, spec.optimizer), scaler)


def windows(rows: int = 8) -> torch.Tensor:
    return torch.randint(0, 256, (rows, 33), generator=torch.Generator().manual_seed(3))


def step(state: TrainState, **changes: object) -> float:
    return float(take_step(state, **changes).loss)


def take_step(state: TrainState, *, micro_sequences: int = 8, precision: str = "fp32") -> StepResult:
    return train_step(
        state,
        windows(),
        learning_rate_share=1.0,
        grad_clip=1.0,
        precision=precision,
        micro_sequences=micro_sequences,
        dropout_seed=0,
    )


@pytest.mark.parametrize("micro_sequences", [1, 3, 4])
def test_micro_batches_equal_one_batch(micro_sequences: int) -> None:
    """Also where they do not divide it: sums are divided once by the tokens of the whole batch."""
    whole, split = make_state(), make_state()
    for _ in range(3):
        assert step(split, micro_sequences=micro_sequences) == pytest.approx(step(whole), rel=1e-6)
    for mine, theirs in zip(split.decoder.parameters(), whole.decoder.parameters(), strict=True):
        # Adam divides by the gradient's size, so rounding of near-zero gradients shows at the scale of lr * 1e-3.
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_autocast_stays_near_fp32(precision: str) -> None:
    exact, half = make_state(), make_state(enabled=precision == "fp16")
    for _ in range(5):
        reference, value = step(exact), step(half, precision=precision)
    # bf16 has 8 bits of mantissa: 0.4% a product, averaged over many.
    assert value == pytest.approx(reference, rel=5e-3)
    assert all(p.dtype == torch.float32 for p in half.decoder.parameters())


def test_a_step_with_an_overflow_is_skipped() -> None:
    state = make_state(enabled=True)
    before = [p.clone() for p in state.decoder.parameters()]
    state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120)
    assert not math.isfinite(float(take_step(state, precision="fp16").grad_norm))
    assert all(torch.equal(a, b) for a, b in zip(before, state.decoder.parameters(), strict=True))


def test_decay_touches_hidden_matrices_alone() -> None:
    spec = make_spec(tied_embeddings=False, positions="learned")
    decoder = Decoder(spec.model)
    matrices, embeddings, vectors = make_optimizer(decoder, spec.optimizer).param_groups
    assert matrices["weight_decay"] == 0.1
    assert embeddings["weight_decay"] == vectors["weight_decay"] == 0.0
    assert {id(p) for p in embeddings["params"]} == {
        id(decoder.embedding.weight),
        id(decoder.positions.weight),  # type: ignore[union-attr]
        id(decoder.head.weight),  # type: ignore[union-attr]
    }
    grouped = [id(p) for group in (matrices, embeddings, vectors) for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in decoder.parameters())


def test_muon_moves_matrices_by_an_orthogonal_step_and_adamw_the_rest() -> None:
    """Each matrix moves by lr sqrt(max(1, rows / columns)) in every direction; Newton-Schulz ends at .7 to 1.2."""
    state, plain = make_state(optimizer="muon", mup_base_width=None), make_state(mup_base_width=None)
    before = {name: p.detach().clone() for name, p in state.decoder.named_parameters()}
    step(state)
    step(plain)
    theirs = dict(plain.decoder.named_parameters())
    for name, p in state.decoder.named_parameters():
        if p.ndim == 2 and name.startswith("blocks"):
            rows, columns = p.shape
            moved = (p.detach() - before[name] * (1 - 0.01 * 0.1)) / (0.01 * max(1.0, rows / columns) ** 0.5)
            sizes = torch.linalg.svdvals(moved)
            # A head of one layer: gradients of some directions may vanish, never be amplified past 1.3.
            assert float(sizes.max()) < 1.3, name
            assert float(sizes.median()) > 0.6, name
        else:
            torch.testing.assert_close(p, theirs[name])


def test_muon_skips_a_step_that_overflowed() -> None:
    state = make_state(enabled=True, optimizer="muon")
    before = [p.clone() for p in state.decoder.parameters()]
    state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120)
    assert not math.isfinite(float(take_step(state, precision="fp16").grad_norm))
    assert all(torch.equal(a, b) for a, b in zip(before, state.decoder.parameters(), strict=True))


def test_a_torch_without_muon_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(ValueError, match=r"muon, which came with torch 2\.9"):
        make_state(optimizer="muon")


def test_evaluation_does_not_depend_on_how_many_windows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    state = make_state()
    data = windows(50).numpy()
    inputs, targets = data[:, :-1].copy(), data[:, 1:].copy()
    targets[-1, 10:] = -1
    whole = evaluate(state.decoder, inputs, targets, torch.device("cpu"))
    monkeypatch.setattr("scaling.training.evaluate.TOKENS_AT_A_TIME", 96)
    parts = evaluate(state.decoder, inputs, targets, torch.device("cpu"))
    assert parts.loss_nats == pytest.approx(whole.loss_nats, rel=1e-6)
    assert whole.num_tokens == 50 * 32 - 22
    losses = state.decoder.token_losses(torch.from_numpy(inputs), torch.from_numpy(targets)).detach().double()
    assert whole.loss_nats == pytest.approx(float(losses.detach().sum()) / whole.num_tokens, rel=1e-6)
    means = losses[:-1].mean(dim=1)
    assert whole.loss_sem_nats == pytest.approx(float(means.std()) / 50**0.5, rel=0.1)
