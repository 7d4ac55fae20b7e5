"""A few runs against a law: planted multipliers, the sequential decision, and the run that would decide."""

import numpy as np
import pytest

from benchmarks.gate import BUDGETS, CASES, LEVEL, SIZES, baseline, variant
from scaling.analysis.compare import GateOptions, Side
from scaling.analysis.gate import hold_at_gate
from scaling.laws.backtest import Forecaster, forecaster
from scaling.laws.gate import gate
from scaling.laws.observations import Observations, points

CASE = CASES[0]


@pytest.fixture(scope="module")
def rows() -> Observations:
    return baseline(CASE, np.random.default_rng(0))


@pytest.fixture(scope="module")
def asked(rows: Observations) -> Forecaster:
    return forecaster(rows)


@pytest.mark.parametrize(("true", "decision"), [(0.8, "drop"), (1.5, "promote")])
def test_a_planted_multiplier_is_held_and_decided(asked: Forecaster, true: float, decision: str) -> None:
    found = gate(asked, variant(CASE, true, 4, np.random.default_rng(1)), 1.25, 0.05)
    together = found.interval(0.99)
    assert together.low < true < together.high
    assert found.decision == decision
    assert len(found.each(LEVEL)) == 4


def test_equal_recipes_are_not_promoted(asked: Forecaster) -> None:
    rng = np.random.default_rng(2)
    promoted = [gate(asked, variant(CASE, 1.0, n, rng), 1.25, 0.05).decision == "promote" for n in (1, 2, 4) * 10]
    assert sum(promoted) <= 3


def test_undecided_runs_name_the_cheapest_run_that_would_decide(asked: Forecaster) -> None:
    at = points(SIZES[3], BUDGETS[2])
    between = np.exp(asked.average.log_loss(at).mean) * 0.994
    found = gate(asked, Observations(at.params, at.tokens, between), 1.1, 0.01)
    assert found.decision == "undecided"
    grid = [x.ravel() for x in np.meshgrid(SIZES, BUDGETS)]
    proposed = found.next_run(points(*grid))
    assert proposed.probability > 0.5
    assert proposed.flops <= 6 * SIZES[-1] * BUDGETS[-1]


def test_a_run_of_the_baseline_is_worth_one(rows: Observations) -> None:
    own = rows.take(np.array([7, 19]))
    found = hold_at_gate(Side("a", rows, None, "nats"), Side("b", own, None, "nats"), GateOptions(), 0.95)
    assert found.num_own == 2
    assert found.num_points == 28
    assert found.together.low < 1 < found.together.high
    assert found.decision != "promote"


@pytest.mark.parametrize(("worth", "risk"), [(1.0, 0.05), (1.1, 0.0), (1.1, 0.7)])
def test_impossible_gates_are_refused(asked: Forecaster, rows: Observations, worth: float, risk: float) -> None:
    with pytest.raises(ValueError, match="gate"):
        gate(asked, rows.take(np.arange(1)), worth, risk)
