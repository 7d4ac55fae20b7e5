"""Rows on one line through N and D: a law along it, nothing off it, and what it is worth beside another's."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.laws_ladder import CASES, draw
from benchmarks.laws_scenarios import base
from scaling.checks.fit import one_line
from scaling.laws.analysis import Analysis, analyse
from scaling.laws.backtest import forecaster
from scaling.laws.line import Line, line_of
from scaling.laws.multiplier import multiplier
from scaling.laws.observations import FloatArray, Observations, points
from scaling.laws.stored import forecaster_payload, stored_forecaster

C = np.geomspace(1e18, 1e21, 8)


def ladder(params: FloatArray, worth: float = 1.0, noise: float = 0.0) -> Observations:
    """Rungs of these N at the budgets `C`, of a recipe whose FLOPs are worth so many."""
    tokens, scale = C / 6 / params, np.sqrt(worth)
    rng = np.random.default_rng(3)
    return Observations(params, tokens, base(params * scale, tokens * scale) * np.exp(noise * rng.standard_normal(8)))


ONE_RATIO = np.sqrt(C / 6 / 20)
LINES = {
    "D/N = 20": ONE_RATIO,
    "N = 1e+08": np.full(8, 1e8),
    "D = 1e+11": C / 6 / 1e11,
    "D ~ N^1.50": 20 * C**0.4,
}


@pytest.mark.parametrize("words", LINES)
def test_a_ladder_has_a_law_along_its_line_and_no_best_n(words: str) -> None:
    rows = ladder(LINES[words], noise=0.002)
    line = line_of(rows)
    assert line is not None
    assert line.words == words
    asked = forecaster(rows)
    at = line.along(np.array([3e21]))
    prediction = asked.curve(at, 0.95)
    truth = base(at.params, at.tokens)[0]
    assert prediction.low[0] < truth < prediction.high[0]
    assert abs(np.log(prediction.loss[0] / truth)) < 0.02
    assert asked.best(3e21) is None
    with pytest.raises(ValueError, match="off the line"):
        asked.predict(points(at.params * 2, at.tokens / 2))
    again = stored_forecaster(json.loads(json.dumps(forecaster_payload(asked) | {"why": asked.why})))
    assert again.line == line
    assert again.curve(at, 0.95) == prediction


def test_rows_that_spread_lie_on_no_line() -> None:
    assert line_of(ladder(ONE_RATIO * np.exp(0.1 * np.arange(8) % 0.3))) is None
    assert line_of(Observations(np.full(8, 1e8), np.full(8, 2e9), np.linspace(3, 3.1, 8))) is None


def test_each_question_has_its_own_verdict() -> None:
    def answered(found: Analysis) -> dict[str, bool]:
        return {name: answer.answered for name, answer in found.answers.items()}

    rows = ladder(ONE_RATIO, noise=0.002)
    found = analyse(rows, targets=(1e22,), at=((1e9, 1e12),), resamples=0)
    assert answered(found) == {"loss": True, "floor": True, "best_params": False}
    assert found.forecasts == ()
    assert [(one.params, one.tokens) for one in found.points] == [
        pytest.approx((np.sqrt(1e22 / 120), np.sqrt(1e22 * 20 / 6)))
    ]
    few = analyse(rows.take(np.arange(4)), targets=(1e22,), resamples=0)
    assert answered(few) == {"loss": False, "floor": False, "best_params": False}


def test_two_ladders_are_worth_what_was_planted_along_the_line_they_share() -> None:
    a, b = ladder(ONE_RATIO), ladder(ONE_RATIO, worth=1.3)
    found = multiplier(a, b, np.array([1e20]), 1e21)
    assert found.line is not None
    assert np.exp(found.reference.log_multiplier) == pytest.approx(1.3, rel=0.02)
    with pytest.raises(ValueError, match="D/N = 20 and those of b at D/N = 40"):
        multiplier(a, ladder(ONE_RATIO / np.sqrt(2)), np.array([1e20]), 1e21)


def test_intervals_of_ladders_hold_what_they_say() -> None:
    held = 0
    for seed in range(12):
        drawn = draw(CASES[0], seed)
        mean = forecaster(drawn.rows).curve(drawn.target, 0.9)
        held += bool(mean.low[0] <= base(drawn.target.params, drawn.target.tokens)[0] <= mean.high[0])
    assert held >= 8  # of 12, nine times in ten: fewer come once in 250


def test_a_line_is_told_from_another() -> None:
    line = Line(1.0, 1e9, 2e10)
    assert line.same(Line(1.0, 1e8, 2e9))
    assert not line.same(Line(1.0, 1e9, 4e10))


@pytest.mark.parametrize(
    ("params", "told"), [(ONE_RATIO, ["info"]), (ONE_RATIO * np.exp(0.3 * np.arange(8) % 0.9), [])]
)
def test_a_line_is_told(params: FloatArray, told: list[str]) -> None:
    rows = ladder(params, noise=0.002)
    report = SimpleNamespace(analysis=analyse(rows, resamples=0), fitted=rows)
    assert [finding.level for finding in one_line(report)] == told  # type: ignore[arg-type]
