"""Two recipes on planted laws: the multiplier comes back, pairing narrows it; no common scale is refused."""

import numpy as np
import pytest

from scaling.analysis.compare import Incomparable, Side, compare, study_sides
from scaling.decisions import Comparison
from scaling.laws.forms import CHINCHILLA
from scaling.laws.multiplier import log_multiplier
from scaling.laws.observations import FloatArray, Observations, points
from tests.analysis.conftest import make_records
from tests.planning.conftest import plan

A = np.array([0.92, 117.0, 1700.0, 0.58, 0.65])
WORTH = 1.5
# The same loss at N and D as A has at a N and b D with a b = WORTH, so that every FLOP counts that much more.
B = np.array([0.92, 117.0 * WORTH ** (-0.58 / 2), 1700.0 * WORTH ** (-0.65 / 2), 0.58, 0.65])


def side(name: str, theta: FloatArray, noise: FloatArray, unit: str = "nats per token") -> Side:
    N, D = (x.ravel() for x in np.meshgrid(np.geomspace(1e4, 1e6, 6), np.geomspace(2.6e5, 3.1e6, 5)))
    losses = CHINCHILLA.predict(theta, points(N, D)) * np.exp(noise)
    cells = tuple((f"{n:g}", int(d), 0, 0) for n, d in zip(N, D, strict=True))
    return Side(name, Observations(N, D, losses, trajectory=np.array([c[0] for c in cells])), cells, unit)


def pair(theta: FloatArray, shared: float, sd: float = 0.004) -> tuple[Side, Side]:
    rng = np.random.default_rng(2)
    both, own = rng.standard_normal(30), rng.standard_normal((2, 30))
    noises = sd * (np.sqrt(shared) * both + np.sqrt(1 - shared) * own)
    return side("a", A, noises[0]), side("b", theta, noises[1])


def width(found: Comparison) -> float:
    return float(np.log(found.reference.high / found.reference.low))


def test_the_planted_multiplier_comes_back() -> None:
    found = compare(*pair(B, 0.0))
    assert found.reference.low < WORTH < found.reference.high
    assert found.told_apart
    assert found.verdict.startswith("B is better")
    for row in found.rows[:5]:
        truth = float(np.exp(log_multiplier(A[None], B[None], np.array([row.flops]))[0]))
        assert truth == pytest.approx(WORTH, rel=0.01)
        assert row.low < truth < row.high


def test_pairing_narrows_the_interval_and_still_holds_the_truth() -> None:
    a, b = pair(B, 0.8)
    paired = compare(a, b)
    apart = compare(Side(a.name, a.rows, None, a.unit), b)
    assert paired.num_pairs == 30
    assert paired.correlation == pytest.approx(0.8, abs=0.2)
    assert apart.correlation is None
    assert width(paired) < 0.75 * width(apart)
    assert paired.reference.low < WORTH < paired.reference.high


def test_a_recipe_is_not_better_than_itself() -> None:
    found = compare(*pair(A, 0.0))
    assert not found.told_apart
    assert "cannot be told apart" in found.verdict
    assert "cannot be told" in found.trend


def test_a_crossing_is_found_with_the_budgets_around_it() -> None:
    steeper = np.array([0.92, 117.0 * 1e5**0.06, 1700.0, 0.64, 0.65])  # as A at N = 1e5, better beyond
    found = compare(*pair(steeper, 0.0, sd=0.001))
    assert found.crossing is not None
    assert found.crossing.low is not None
    assert found.crossing.high is not None
    assert found.crossing.low < found.crossing.flops < found.crossing.high
    at = log_multiplier(A[None], steeper[None], np.array([found.crossing.flops]))[0]
    better = sum(row.low > 1 for row in found.rows)
    worse = sum(row.high < 1 for row in found.rows)
    assert better
    assert worse
    assert f"B is better at {better} of 9 budgets, from " in found.clear
    assert f"A is better at {worse} of 9 budgets, from " in found.clear
    assert abs(at) < 0.1
    assert "with compute: ln m" in found.trend


def test_a_floor_that_the_other_never_reaches() -> None:
    lower = A - np.array([0.2, 0, 0, 0, 0])
    found = compare(*pair(lower, 0.0, sd=0.001), flops=(1e12, 1e30))
    assert np.isfinite(found.rows[0].multiplier)
    assert np.isinf(found.rows[1].multiplier)
    assert found.told_apart
    assert "B is better" in found.verdict


def test_units_must_agree() -> None:
    a, b = pair(A, 0.0)
    with pytest.raises(Incomparable, match="one unit"):
        compare(a, Side(b.name, b.rows, b.cells, "bits per byte"))


def test_other_validation_text_is_refused_and_other_tokenizers_meet_in_bits() -> None:
    planned = plan()
    records = make_records(planned, noise=0.001)
    corpus: dict[str, object] = {"name": "x", "source": "text", "split_salt": "1", "tokenizer": "bytes"}
    both = study_sides([("a", planned, records, corpus), ("b", planned, records, corpus)])
    assert both[0].unit == "nats per token"
    assert both[0].cells == both[1].cells
    with pytest.raises(Incomparable, match=r"data\.split_salt"):
        study_sides([("a", planned, records, corpus), ("b", planned, records, corpus | {"split_salt": "2"})])
    bits = study_sides([("a", planned, records, corpus), ("b", planned, records, corpus | {"tokenizer": "bpe"})])
    assert bits[0].unit == "bits per byte"
    assert bits[0].cells is None
    assert np.allclose(bits[0].rows.loss, both[0].rows.loss / np.log(2))
