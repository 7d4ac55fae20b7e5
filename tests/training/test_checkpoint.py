"""Checkpoints: any damage is seen, and the one before serves."""

import hashlib
import itertools
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from scaling.records import read_record, record_path
from scaling.training.checkpoint import CheckpointError, previous, read_checkpoint
from scaling.training.trajectory import Interrupted, Trajectory
from tests.tiny_run import make_run, make_spec
from tests.training.test_trajectory import outcome, stop_after, train


def stopped(root: Path, corpus_folder: Path, calls: int) -> Path:
    """A run with a checkpoint after every step that was told to stop at step `calls`."""
    spec = make_spec()
    job, folder = make_run(root, spec, corpus_folder, checkpoint_every_seconds=0.0)
    with pytest.raises(Interrupted):
        Trajectory(job, folder, should_stop=stop_after(calls - 1)).run()
    return folder


def flip_a_bit(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


@pytest.mark.parametrize("calls", [10, 18])
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: b"x" * 99,
        lambda content: flip_a_bit(content, len(content) // 3),
        lambda content: hashlib.sha256(b"").digest(),
    ],
    ids=["truncated", "empty", "foreign", "bit flipped", "a digest of nothing"],
)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    damage: Callable[[bytes], bytes], calls: int, tmp_path: Path, corpus_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In the trunk and in a branch (which begins at step 16)."""
    undisturbed = train(tmp_path / "undisturbed", corpus_folder)
    folder = stopped(tmp_path / "damaged", corpus_folder, calls)
    spec = make_spec()
    budget = None if calls < 16 else spec.budgets[0]
    path = folder / ("trunk.pt" if budget is None else "branch.pt")
    path.write_bytes(damage(path.read_bytes()))
    job, _ = make_run(tmp_path / "damaged", spec, corpus_folder)
    resumed = Trajectory(job, folder)
    assert resumed._resume(path, budget=budget) is not None
    assert resumed.state.step == calls - 1
    Trajectory(job, folder).run()
    assert {b: outcome(read_record(record_path(folder, b))) for b in spec.budgets} == undisturbed
    assert f"{path} is " in caplog.text
    assert "going on without it" in caplog.text
    assert not list(folder.glob("branch*"))


def test_a_folder_in_a_checkpoints_place_is_moved_not_read(tmp_path: Path, corpus_folder: Path) -> None:
    undisturbed = train(tmp_path / "undisturbed", corpus_folder)
    spec = make_spec()
    job, folder = make_run(tmp_path / "damaged", spec, corpus_folder, checkpoint_every_seconds=0.0)
    for path in (folder / "trunk.pt", previous(folder / "trunk.pt"), folder / "branch.pt"):
        path.mkdir()
        (path / "mine.txt").write_text("somebody's")
    Trajectory(job, folder).run()
    assert {b: outcome(read_record(record_path(folder, b))) for b in spec.budgets} == undisturbed
    assert len(list(folder.rglob("mine.txt"))) == 3


def test_with_both_damaged_the_run_starts_over(tmp_path: Path, corpus_folder: Path) -> None:
    undisturbed = train(tmp_path / "undisturbed", corpus_folder)
    folder = stopped(tmp_path / "damaged", corpus_folder, 10)
    for path in (folder / "trunk.pt", previous(folder / "trunk.pt")):
        path.write_bytes(b"nothing")
    spec = make_spec()
    job, _ = make_run(tmp_path / "damaged", spec, corpus_folder)
    Trajectory(job, folder).run()
    assert {b: outcome(read_record(record_path(folder, b))) for b in spec.budgets} == undisturbed


def test_every_flipped_bit_and_every_cut_is_seen(tmp_path: Path, corpus_folder: Path) -> None:
    path = stopped(tmp_path, corpus_folder, 5) / "trunk.pt"
    content = path.read_bytes()
    run_id = path.parent.name
    assert read_checkpoint(path, run_id=run_id, budget=None)["step"] == 5
    generator = random.Random(0)
    damaged = [flip_a_bit(content, generator.randrange(len(content))) for _ in range(50)]
    damaged += [content[: generator.randrange(len(content))] for _ in range(20)]
    for bad in damaged:
        path.write_bytes(bad)
        with pytest.raises(CheckpointError, match="truncated, damaged"):
            read_checkpoint(path, run_id=run_id, budget=None)


def test_it_is_plain_tensors_that_torch_opens(tmp_path: Path, corpus_folder: Path) -> None:
    path = stopped(tmp_path, corpus_folder, 5) / "trunk.pt"
    content = torch.load(path, weights_only=True)
    keys = {"schema", "run_id", "budget", "precision", "step", "progress", "model", "optimizer", "scaler"}
    assert set(content) == keys
    assert content["progress"]["watch"]["mean_nats"] > 0


def test_a_notice_in_the_midst_of_an_accumulation_finishes_the_step(tmp_path: Path, corpus_folder: Path) -> None:
    spec, settings = make_spec(dropout=0.1), {"micro_batch_tokens": 32}
    job, straight = make_run(tmp_path / "straight", spec, corpus_folder, **settings)
    Trajectory(job, straight).run()
    job, folder = make_run(tmp_path / "stopped", spec, corpus_folder, **settings)
    notices: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: notices.append(number))
    trajectory = Trajectory(job, folder, should_stop=lambda: bool(notices))
    calls, forward = itertools.count(1), trajectory.state.forward

    def signalled(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if next(calls) == 4 * 17 + 2:  # the second micro-batch of step 17, in the first cooldown
            os.kill(os.getpid(), signal.SIGUSR1)
        return forward(inputs, targets)

    trajectory.state.forward = signalled
    try:
        with pytest.raises(Interrupted, match="stopped at step 18 of 20"):
            trajectory.run()
    finally:
        signal.signal(signal.SIGUSR1, before)
    Trajectory(job, folder).run()
    assert [outcome(read_record(record_path(folder, b))) for b in spec.budgets] == [
        outcome(read_record(record_path(straight, b))) for b in spec.budgets
    ]
