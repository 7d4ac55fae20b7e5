"""The learning rate as a function of the step."""

import itertools

import pytest

from scaling.training.schedule import learning_rate_share
from tests.tiny_run import BATCH, make_spec


def shares(kind: str, steps: int) -> list[float]:
    spec = make_spec(kind=kind, steps=(steps,))
    return [learning_rate_share(spec, step, steps * BATCH) for step in range(steps)]


@pytest.mark.parametrize("kind", ["wsd", "cosine", "linear"])
def test_rises_to_one_then_falls_towards_zero(kind: str) -> None:
    values = shares(kind, 50)
    assert values[:3] == pytest.approx([1 / 3, 2 / 3, 1.0], rel=0.01)
    assert all(0 < value <= 1 for value in values)
    assert all(later <= earlier for earlier, later in itertools.pairwise(values[2:]))
    assert values[-1] < 0.12


def test_wsd_is_constant_until_its_cooldown_and_linear_in_it() -> None:
    values = shares("wsd", 50)
    assert values[3:40] == [1.0] * 37
    drops = [a - b for a, b in itertools.pairwise(values[39:])]
    assert drops == pytest.approx([1 / 11] * 10)


def test_budgets_of_one_trunk_share_their_rates_up_to_the_branch() -> None:
    spec = make_spec(steps=(20, 30, 45))
    short, long = spec.budgets[0], spec.budgets[-1]
    start = spec.cooldown_start(short)
    assert [learning_rate_share(spec, s, short) for s in range(start)] == [
        learning_rate_share(spec, s, long) for s in range(start)
    ]
    assert learning_rate_share(spec, start, short) < learning_rate_share(spec, start, long)


def test_total_steps_count_trunk_and_branches_once() -> None:
    spec = make_spec(steps=(20, 30, 45))
    assert spec.total_steps == 36 + 4 + 6 + 9
