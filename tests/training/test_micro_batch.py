"""What does not fit is halved: same batch, same loss, and a record where one sequence is too much."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from scaling.records import read_record, record_path
from scaling.training.evaluate import evaluate
from scaling.training.step import MicroBatchTooLarge
from scaling.training.trajectory import Trajectory
from tests.tiny_run import make_run, make_spec
from tests.training.test_step import make_state, take_step, windows

Forward = Callable[[Tensor, Tensor], Tensor]


class Full:
    """A forward pass that runs out of memory above `most` sequences, also in its backward."""

    def __init__(self, inner: Forward, most: int, *, in_backward: bool = False) -> None:
        self.inner, self.most, self.in_backward, self.calls = inner, most, in_backward, list[int]()

    def __call__(self, inputs: Tensor, targets: Tensor) -> Tensor:
        self.calls.append(len(inputs))
        if len(inputs) > self.most and not self.in_backward:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        loss = self.inner(inputs, targets)
        if len(inputs) > self.most:
            loss.register_hook(self._fail)
        return loss

    def _fail(self, gradient: Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory in backward")


@pytest.mark.parametrize("in_backward", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_step_that_failed_left_no_trace(in_backward: bool, precision: str) -> None:
    """Also when it failed in the midst of an accumulation: the same step afterwards has the same bits."""
    straight, failed = (
        make_state(enabled=precision == "fp16", dropout=0.1),
        make_state(enabled=precision == "fp16", dropout=0.1),
    )
    inner = failed.forward
    failed.forward = Full(inner, 2, in_backward=in_backward)
    with pytest.raises(MicroBatchTooLarge):
        take_step(failed, micro_sequences=3, precision=precision)
    failed.forward = lambda inputs, targets: inner(inputs, targets)
    after_two = iter(range(2))

    def third_fails(inputs: Tensor, targets: Tensor) -> Tensor:
        if next(after_two, None) is None:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inner(inputs, targets)

    failed.forward = third_fails
    with pytest.raises(MicroBatchTooLarge):
        take_step(failed, micro_sequences=2, precision=precision)
    failed.forward = inner
    for _ in range(2):
        assert torch.equal(
            take_step(failed, micro_sequences=2, precision=precision).loss,
            take_step(straight, micro_sequences=2, precision=precision).loss,
        )
    for mine, theirs in zip(failed.decoder.parameters(), straight.decoder.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_other_errors_are_not_taken_for_it() -> None:
    state = make_state()

    def broken(inputs: Tensor, targets: Tensor) -> Tensor:
        raise RuntimeError("a bug")

    state.forward = broken
    with pytest.raises(RuntimeError, match="a bug"):
        take_step(state)


def run_with(most: int, root: Path, corpus_folder: Path, **runtime: object) -> tuple[Trajectory, Path]:
    job, folder = make_run(root, make_spec(steps=(20, 30)), corpus_folder, **runtime)
    trajectory = Trajectory(job, folder)
    trajectory.state.forward = Full(trajectory.state.decoder, most)
    trajectory.run()
    return trajectory, folder


def test_the_batch_is_halved_until_it_fits_and_the_loss_stays(tmp_path: Path, corpus_folder: Path) -> None:
    budget = make_spec(steps=(20, 30)).budgets[0]
    _, whole_folder = run_with(4, tmp_path / "whole", corpus_folder)
    trajectory, split_folder = run_with(1, tmp_path / "split", corpus_folder)
    assert isinstance(trajectory.state.forward, Full)
    assert trajectory.state.forward.calls[:5] == [4, 2, 1, 1, 1]
    assert 4 not in trajectory.state.forward.calls[3:]
    whole, split = (read_record(record_path(folder, budget)) for folder in (whole_folder, split_folder))
    assert (whole.provenance.micro_batch_tokens, split.provenance.micro_batch_tokens) == (128, 32)
    assert whole.final_loss_nats is not None
    # 20 steps amplify the rounding of sums in another order.
    assert split.final_loss_nats == pytest.approx(whole.final_loss_nats, rel=1e-5)
    assert split.tokens == whole.tokens


def test_one_sequence_too_many_is_a_record(tmp_path: Path, corpus_folder: Path) -> None:
    _, folder = run_with(0, tmp_path, corpus_folder)
    for budget in make_spec(steps=(20, 30)).budgets:
        record = read_record(record_path(folder, budget))
        assert (record.status, record.final_loss_nats, record.tokens) == ("out_of_memory", None, 0)
        assert record.reason is not None
        assert record.reason.startswith("one sequence of 32 tokens at a time does not fit: CUDA out of memory")


def test_what_the_user_names_is_where_it_starts(tmp_path: Path, corpus_folder: Path) -> None:
    trajectory, _ = run_with(1, tmp_path, corpus_folder, micro_batch_tokens=64)
    assert isinstance(trajectory.state.forward, Full)
    assert trajectory.state.forward.calls[:3] == [2, 1, 1]


def test_evaluation_halves_too(monkeypatch: pytest.MonkeyPatch) -> None:
    state, data = make_state(), windows(50).numpy()
    inputs, targets = data[:, :-1].copy(), data[:, 1:].copy()
    whole = evaluate(state.decoder, inputs, targets, torch.device("cpu"))
    token_losses = state.decoder.token_losses

    def small(ids: Tensor, targets: Tensor) -> Tensor:
        if len(ids) > 7:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return token_losses(ids, targets)

    monkeypatch.setattr(state.decoder, "token_losses", small)
    assert evaluate(state.decoder, inputs, targets, torch.device("cpu")).loss_nats == pytest.approx(
        whole.loss_nats, rel=1e-6
    )
