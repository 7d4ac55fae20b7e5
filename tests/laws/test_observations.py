"""Observations refuse what cannot be fitted; the frontier is the lower envelope."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.laws.observations import Observations, frontier, points


def observations(**changes: object) -> Observations:
    columns: dict[str, object] = {
        "params": np.array([1e6, 2e6, 4e6]),
        "tokens": np.array([1e8, 2e8, 4e8]),
        "loss": np.array([3.0, 2.5, 2.2]),
    }
    return Observations(**{**columns, **changes})  # type: ignore[arg-type]


def test_defaults_are_unit_weights_own_trajectories_and_6nd() -> None:
    rows = observations()
    assert rows.weights.tolist() == [1, 1, 1]
    assert len(set(rows.trajectory)) == 3
    assert rows.flops == pytest.approx(6 * rows.params * rows.tokens)


def test_compute_of_integer_columns_does_not_overflow() -> None:
    """6 N D of a 2B model on 3T tokens is beyond int64."""
    rows = observations(params=np.array([2 * 10**9] * 3), tokens=np.array([3 * 10**12] * 3))
    assert rows.flops == pytest.approx(3.6e22)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"loss": np.array([3.0, np.nan, 2.0])}, "loss of row 1 is nan"),
        ({"params": np.array([1e6, 2e6, 0.0])}, "params of row 2 is 0.0"),
        ({"tokens": np.array([1e8, 2e8])}, "tokens has shape"),
        ({"weights": np.array([1.0, -1.0, 1.0])}, "weights of row 1 is -1.0"),
        ({"trajectory": np.array(["a", "b"])}, "trajectory has 2 rows"),
    ],
)
def test_bad_values_are_named(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        observations(**changes)


def test_take_keeps_columns_together() -> None:
    rows = observations(trajectory=np.array(["a", "a", "b"]), loss_sem=np.array([0.1, 0.2, 0.3]))
    part = rows.take(np.array([False, True, True]))
    assert part.loss.tolist() == [2.5, 2.2]
    assert part.trajectory.tolist() == ["a", "b"]
    assert part.loss_sem is not None
    assert part.loss_sem.tolist() == [0.2, 0.3]
    assert part.trajectory_index().tolist() == [0, 1]


losses_and_flops = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=25)


@given(losses_and_flops)
def test_frontier_is_what_nothing_cheaper_beats(pairs: list[tuple[int, int]]) -> None:
    flops, loss = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    rows = Observations(np.ones(len(pairs)), np.ones(len(pairs)), loss, flops=flops)
    on = frontier(rows)
    assert np.all(np.diff(flops[on]) > 0)
    assert np.all(np.diff(loss[on]) < 0)
    for row in range(len(pairs)):
        others = on[on != row]
        matched = bool(np.any((flops[others] <= flops[row]) & (loss[others] <= loss[row])))
        assert matched != (row in on)


def test_points_fill_compute_and_refuse_what_is_not_positive() -> None:
    at = points(params=[1e6, 2e6], tokens=1e8)
    assert at.flops == pytest.approx([6e14, 12e14])
    assert np.isnan(points(flops=1e20).params).all()
    with pytest.raises(ValueError, match="no column given"):
        points()
    with pytest.raises(ValueError, match="must be positive"):
        points(params=-1.0)
