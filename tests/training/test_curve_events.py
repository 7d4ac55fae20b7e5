"""TensorBoard gets a budget of points from a curve however often it is written; the curve's file has every row."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer

from scaling.curves import CurveRow, curve_path, read_curve
from scaling.folders import FolderError
from scaling.training.curve import CurveWriter


def test_events_are_thinned_and_rows_are_not(tmp_path: Path) -> None:
    with CurveWriter(tmp_path, None, keep_bytes=0, tokens=0, event_tokens=1_000) as writer:
        for i in range(1, 1_001):
            validation = 2.0 if i == 515 else None
            writer.write(CurveRow(i * 10, 3.0, 0.1, None, None, validation))
    assert len(read_curve(curve_path(tmp_path, None))) == 1_000
    events = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
    assert [event.step for event in events.Tensors("trunk", "loss/train")] == [
        *range(1_000, 5_001, 1_000), 5_150, *range(6_000, 10_001, 1_000)
    ]  # fmt: skip
    assert [event.step for event in events.Tensors("trunk", "loss/validation")] == [5_150]


def test_events_go_through_no_link(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "budget-5").symlink_to(tmp_path / "home")
    with pytest.raises(FolderError, match="leads out of"):
        CurveWriter(tmp_path / "run", 5, keep_bytes=0, tokens=0, event_tokens=1_000)
