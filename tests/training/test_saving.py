"""Checkpoints beside the training: a slow disk holds nothing up, a broken one is heard of, the last is always whole."""

import errno
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from scaling.records import TRUNK_FILE, read_record, record_path
from scaling.training import saving
from scaling.training.checkpoint import read_checkpoint, write_checkpoint
from scaling.training.config import Runtime
from scaling.training.progress import Progress
from scaling.training.saving import MOST_SHARE, Saver
from scaling.training.team import Team
from scaling.training.trajectory import Interrupted, Trajectory
from tests.tiny_run import make_run, make_spec
from tests.training.test_step import make_state, take_step
from tests.training.test_trajectory import outcome, stop_after

CPU = torch.device("cpu")
SECONDS_TO_WRITE = 0.4


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Each file takes so long; the times at which writes began."""
    began: list[float] = []

    def slowly(path: Path, content: dict[str, Any]) -> None:
        began.append(time.monotonic())
        time.sleep(SECONDS_TO_WRITE)
        write_checkpoint(path, content)

    monkeypatch.setattr(saving, "write_checkpoint", slowly)
    return began


def test_a_slow_disk_holds_nothing_up(
    slow_disk: list[float], tmp_path: Path, corpus_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saved as often as it can be: the training never waits for a write, and the loss is that of a run without."""
    waits: list[float] = []
    save = Saver.save

    def timed(self: Saver, *arguments: Any, **named: Any) -> dict[str, Any]:
        began = time.monotonic()
        content = save(self, *arguments, **named)
        waits.append(time.monotonic() - began)
        return content

    monkeypatch.setattr(Saver, "save", timed)
    spec = make_spec(steps=(600,))
    losses = []
    for every in (1e9, 0.01):
        job, folder = make_run(tmp_path / str(every), spec, corpus_folder, checkpoint_every_seconds=every)
        waits.clear()
        slow_disk.clear()
        Trajectory(job, folder).run()
        losses.append(outcome(read_record(record_path(folder, spec.budgets[0]))))
    assert losses[0] == losses[1]
    assert len(slow_disk) >= 2
    assert sum(waits) < SECONDS_TO_WRITE, "a single write held up would take longer"


def test_a_save_is_as_seldom_as_it_is_dear(tmp_path: Path) -> None:
    state = make_state()
    with Saver("run", Team(), CPU, "fp32") as saver:
        saver.save(tmp_path / TRUNK_FILE, state, Progress(), budget=None)
        saver.wait()
        saver.cost_seconds = 10.0
        assert saver.due(0.0), "after every step where that is asked for"
        saver._saved_at = time.monotonic() - 0.9 * 10.0 / MOST_SHARE
        assert not saver.due(30.0)
        saver._saved_at = time.monotonic() - 1.1 * 10.0 / MOST_SHARE
        assert saver.due(30.0)


def test_what_is_written_is_the_state_of_its_moment(slow_disk: list[float], tmp_path: Path) -> None:
    """Though the training goes on meanwhile, and though the memory of one copy serves the next but one."""
    state, held = make_state(), None
    expected = []
    with Saver("run", Team(), CPU, "fp32") as saver:
        for i in range(4):
            take_step(state)
            expected.append({name: p.detach().clone() for name, p in state.decoder.named_parameters()})
            content = saver.save(tmp_path / f"{i}.pt", state, Progress(), budget=None, hold=i == 0)
            held = content if i == 0 else held
        take_step(state)
    assert held is not None
    for i, weights in enumerate(expected):
        for found in (read_checkpoint(tmp_path / f"{i}.pt", run_id="run", budget=None), *([held] if i == 0 else [])):
            assert found["step"] == i + 1
            assert all(torch.equal(found["model"][name], weight) for name, weight in weights.items())


def test_a_disk_that_fills_up_is_heard_of(tmp_path: Path, corpus_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the next save, and by the last of a run that is told to stop: it must not believe that it is saved."""

    def full(path: Path, content: dict[str, Any]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    spec = make_spec(steps=(40,))
    job, folder = make_run(tmp_path, spec, corpus_folder, checkpoint_every_seconds=0.0)
    with monkeypatch.context() as patch:
        patch.setattr(saving, "write_checkpoint", full)
        with pytest.raises(OSError, match="No space left"):
            Trajectory(job, folder, should_stop=stop_after(30)).run()
    job, folder = make_run(tmp_path, spec, corpus_folder)
    with monkeypatch.context() as patch:
        patch.setattr(saving, "write_checkpoint", full)
        with pytest.raises(OSError, match="No space left"):
            Trajectory(job, folder, should_stop=stop_after(5)).run()
    with pytest.raises(Interrupted):
        Trajectory(job, folder, should_stop=stop_after(5)).run()
    assert Runtime().checkpoint_every_seconds == 30.0


def test_where_there_are_no_second_names_it_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    other = tmp_path / "budget-1" / TRUNK_FILE
    with Saver("run", Team(), CPU, "fp32") as saver:
        saver.save(tmp_path / TRUNK_FILE, make_state(), Progress(), budget=None, also=other)
    assert other.read_bytes() == (tmp_path / TRUNK_FILE).read_bytes()
    assert [path.name for path in other.parent.iterdir()] == [TRUNK_FILE]
