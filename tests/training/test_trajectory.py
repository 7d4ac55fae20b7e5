"""Trajectories: a branch is the run it stands for, and a killed run is the run that was not."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from scaling.curves import curve_path, read_curve
from scaling.data.manifest import read_manifest
from scaling.records import Divergence, RunRecord, read_record, record_path
from scaling.training.trajectory import Interrupted, Trajectory
from tests.tiny_run import BATCH, make_run, make_spec

Measured = tuple[float | None, float | None, int, float]


def outcome(record: RunRecord) -> Measured:
    return (record.final_loss_nats, record.best_loss_nats, record.tokens, record.epochs)


def train(
    root: Path, corpus_folder: Path, *, steps: tuple[int, ...] = (20, 30, 45), **kinds: object
) -> dict[int, Measured]:
    spec = make_spec(steps=steps, **kinds)  # type: ignore[arg-type]
    job, folder = make_run(root, spec, corpus_folder)
    Trajectory(job, folder).run()
    return {b: outcome(read_record(record_path(folder, b))) for b in spec.budgets}


def stop_after(calls: int) -> Callable[[], bool]:
    counter = iter(range(calls))
    return lambda: next(counter, None) is None


def test_a_branch_equals_the_standalone_run_bit_for_bit(tmp_path: Path, corpus_folder: Path) -> None:
    together = train(tmp_path / "together", corpus_folder)
    for steps in (20, 30, 45):
        alone = train(tmp_path / f"alone{steps}", corpus_folder, steps=(steps,))
        assert alone[steps * BATCH][0] == together[steps * BATCH][0]
    assert len({measured[0] for measured in together.values()}) == 3


def test_also_with_dropout(tmp_path: Path, corpus_folder: Path) -> None:
    together = train(tmp_path / "together", corpus_folder, dropout=0.2)
    alone = train(tmp_path / "alone", corpus_folder, steps=(30,), dropout=0.2)
    assert alone[30 * BATCH][0] == together[30 * BATCH][0]


@pytest.mark.parametrize("calls", [7, 17, 24])
def test_muon_stopped_and_resumed_is_the_undisturbed_run(calls: int, tmp_path: Path, corpus_folder: Path) -> None:
    """The state of both optimisers is in the checkpoints; a branch, which starts from one, equals the run alone."""
    together = train(tmp_path / "together", corpus_folder, steps=(20, 30), optimizer="muon")
    alone = train(tmp_path / "alone", corpus_folder, steps=(30,), optimizer="muon")
    assert alone[30 * BATCH][0] == together[30 * BATCH][0]
    spec = make_spec(steps=(20, 30), optimizer="muon")
    job, folder = make_run(tmp_path / "stopped", spec, corpus_folder)
    with pytest.raises(Interrupted):
        Trajectory(job, folder, should_stop=stop_after(calls)).run()
    Trajectory(job, folder).run()
    assert {b: outcome(read_record(record_path(folder, b))) for b in spec.budgets} == together


@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_a_schedule_with_a_horizon_has_one_budget(kind: str, tmp_path: Path, corpus_folder: Path) -> None:
    with pytest.raises(ValueError, match="belongs to one budget and there are 3"):
        make_spec(kind=kind)
    measured = train(tmp_path, corpus_folder, steps=(20,), kind=kind)
    assert measured[20 * BATCH][0] is not None
    assert make_spec(kind=kind, steps=(20,)).id != make_spec(kind=kind, steps=(30,)).id
    assert make_spec(steps=(20,)).id == make_spec(steps=(30,)).id


@pytest.mark.parametrize("calls", [1, 7, 15, 17, 19, 22, 30, 41, 50])
def test_stopped_anywhere_and_resumed_it_is_the_undisturbed_run(
    calls: int, tmp_path: Path, corpus_folder: Path
) -> None:
    """Stops fall in the warmup, in the trunk, at branch points and in branches."""
    undisturbed = train(tmp_path / "undisturbed", corpus_folder)
    spec = make_spec()
    job, folder = make_run(tmp_path / "stopped", spec, corpus_folder)
    with pytest.raises(Interrupted):
        Trajectory(job, folder, should_stop=stop_after(calls)).run()
    Trajectory(job, folder).run()
    assert {b: outcome(read_record(record_path(folder, b))) for b in spec.budgets} == undisturbed
    for segment in (None, *spec.budgets):
        straight = read_curve(curve_path(tmp_path / "undisturbed" / spec.id, segment))
        resumed = read_curve(curve_path(folder, segment))
        assert [(r.tokens, r.train_loss_nats, r.validation_loss_nats) for r in resumed] == [
            (r.tokens, r.train_loss_nats, r.validation_loss_nats) for r in straight
        ]


def test_budgets_added_later_continue_the_trunk(tmp_path: Path, corpus_folder: Path) -> None:
    undisturbed = train(tmp_path / "undisturbed", corpus_folder)
    first = train(tmp_path / "grown", corpus_folder, steps=(20,))
    both = train(tmp_path / "grown", corpus_folder, steps=(20, 45))
    # 30 comes last, below what the trunk has reached: it starts over and gives the same number.
    all_three = train(tmp_path / "grown", corpus_folder, steps=(20, 30, 45))
    assert [len(grown) for grown in (first, both, all_three)] == [1, 2, 3]
    for grown in (first, both, all_three):
        assert grown == {budget: pytest.approx(undisturbed[budget]) for budget in grown}
    assert {b: m[0] for b, m in all_three.items()} == {b: m[0] for b, m in undisturbed.items()}


def test_a_checkpoint_of_another_run_is_refused(
    tmp_path: Path, corpus_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(tmp_path / "other", corpus_folder, steps=(20,), qk_norm=False)
    foreign = tmp_path / "other" / make_spec(steps=(20,), qk_norm=False).id / "trunk.pt"
    undisturbed = train(tmp_path / "undisturbed", corpus_folder, steps=(20,))
    spec = make_spec(steps=(20,))
    job, folder = make_run(tmp_path / "copied", spec, corpus_folder)
    (folder / "trunk.pt").write_bytes(foreign.read_bytes())
    Trajectory(job, folder).run()
    assert outcome(read_record(record_path(folder, spec.budgets[0]))) == undisturbed[spec.budgets[0]]
    assert "has run_id" in caplog.text


def test_a_divergence_is_a_record_with_its_reason(tmp_path: Path, corpus_folder: Path) -> None:
    spec = make_spec()
    job, folder = make_run(tmp_path, spec, corpus_folder)
    trajectory = Trajectory(job, folder)
    with torch.no_grad():
        trajectory.state.decoder.embedding.weight[:, 0] = float("nan")
    trajectory.run()
    for budget in spec.budgets:
        record = read_record(record_path(folder, budget))
        assert (record.status, record.final_loss_nats) == ("diverged", None)
        assert record.reason is not None
        assert "at step 0 the loss is nan" in record.reason
        assert record.divergence == Divergence(step=0, loss_nats=None, grad_norm=None, lowest_mean_nats=None)
        assert record.tokens == BATCH


def test_a_record_says_what_was_trained(tmp_path: Path, corpus_folder: Path) -> None:
    spec = make_spec(steps=(20,))
    job, folder = make_run(tmp_path, spec, corpus_folder)
    Trajectory(job, folder).run()
    record = read_record(record_path(folder, spec.budgets[0]))
    assert record.tokens == record.budget_tokens == 20 * BATCH
    assert record.steps == 20
    assert record.provenance.precision == "fp32"
    assert record.best_loss_nats is not None
    assert record.final_loss_nats is not None
    assert record.bits_per_byte is not None
    # All the bits of the split over all the bytes of its text; separators are predicted and are no text.
    validation = read_manifest(corpus_folder).validation
    bits = record.final_loss_nats / math.log(2) * record.validation_tokens
    assert record.bits_per_byte == pytest.approx(bits / validation.bytes, rel=1e-9)
    assert record.best_loss_nats <= record.final_loss_nats
