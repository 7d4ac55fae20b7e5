"""Any table can be read; every row that cannot be used is listed with its line and reason."""

import json

import numpy as np
import pytest

from scaling.laws.analysis import analyse
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.observations import Observations
from scaling.laws.payload import fits_payload
from scaling.laws.splits import below_fraction, top_share
from scaling.laws.table import observations_from_rows

from .test_fit import NOISY, REFERENCE

GOOD = {"params": "1e7", "tokens": "2e8", "loss": "3.5"}


def rows_of(observations: Observations) -> list[dict[str, object]]:
    columns = zip(observations.params, observations.tokens, observations.loss, strict=True)
    return [{"N": str(n), "D": float(d), "loss": float(loss)} for n, d, loss in columns]


NAMES = {"params": "N", "tokens": "D"}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"loss": "nan"}, "loss is nan, not finite"),
        ({"loss": "inf"}, "loss is inf, not finite"),
        ({"loss": "-1"}, "loss is -1, not positive"),
        ({"tokens": "0"}, "tokens is 0, not positive"),
        ({"params": "big"}, "params is 'big', not a number"),
        ({"params": True}, "params is True, not a number"),
        ({"loss": ""}, "loss is missing"),
        ({"loss": None}, "loss is missing"),
        ({"flops": "x"}, "flops is 'x', not a number"),
        ({}, "duplicate of row 2"),
    ],
)
def test_bad_row_is_listed_with_its_line(bad: dict[str, object], reason: str) -> None:
    table = [GOOD, {**GOOD, **bad}, {**GOOD, "loss": 3.4}]
    rows = observations_from_rows(table, first_line=2)
    assert len(rows) == 2
    assert [(e.row, e.reason) for e in rows.excluded] == [(3, reason)]


def test_columns_are_mapped_and_blanks_filled() -> None:
    table = [
        {"N": 1e7, "D": 2e8, "loss": 3.5, "C": "", "run": "a", "U": 1e8, "b": 1e16},
        {"N": 1e8, "D": 2e9, "loss": 3.0, "C": 2e18, "run": "a", "U": "", "b": 1e18},
        {"N": 1e8, "D": 4e9, "loss": 2.9, "C": 2e18, "run": "", "U": "", "b": ""},
    ]
    rows = observations_from_rows(
        table, {"params": "N", "tokens": "D", "flops": "C", "unique_tokens": "U", "budget": "b"}
    )
    assert rows.flops.tolist() == [1.2e16, 2e18, 2e18]
    assert rows.unique_tokens is not None
    assert rows.unique_tokens.tolist() == [1e8, 2e9, 4e9]
    assert rows.trajectory.tolist() == ["run a", "run a", "3"]
    assert rows.budget is not None
    assert rows.budget.tolist() == [1e16, 1e18, 6 * 1e8 * 4e9]  # a blank drops no row: its own compute
    assert not rows.excluded
    assert rows.loss_sem is None


@pytest.mark.parametrize(
    ("table", "columns", "says"),
    [
        ([], {}, "no rows"),
        ([{"tokens": 1, "loss": 1}], {}, "no column 'params'"),
        ([GOOD], {"params": "N"}, "no column 'N' for params"),
        ([GOOD], {"size": "params"}, "columns names \\['size'\\]"),
        ([GOOD], {"flops": "C"}, "no column 'C' for flops"),
        ([{**GOOD, "loss": "nan"}], {}, "none of the 1 rows can be used \\(row 1: loss is nan"),
    ],
)
def test_unusable_table_says_so(table: list[dict[str, object]], columns: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        observations_from_rows(table, columns)


def test_table_gives_the_fit_of_its_numbers() -> None:
    fit = fit_law(CHINCHILLA, observations_from_rows(rows_of(NOISY), NAMES))
    assert fit.parameters == pytest.approx(REFERENCE.parameters, rel=1e-9)


def test_splits_hold_out_the_most_compute() -> None:
    for split in (top_share(NOISY, 0.2), below_fraction(NOISY)):
        assert sorted([*split.kept, *split.held]) == list(range(len(NOISY)))
        assert NOISY.flops[split.kept].max() <= NOISY.flops[split.held].min()
    assert len(top_share(NOISY, 0.2).held) == 5
    assert NOISY.flops[below_fraction(NOISY).kept].max() <= NOISY.flops.max() / 10
    with pytest.raises(ValueError, match=r"share is 1\.5"):
        top_share(NOISY, 1.5)


def test_payload_has_the_documented_shape_and_survives_json() -> None:
    split = top_share(NOISY)
    train, held = NOISY.take(split.kept), NOISY.take(split.held)
    analysis = analyse(train, held=held, targets=(1e22,), resamples=60, seed=1)
    payload = json.loads(json.dumps(fits_payload(analysis, source="x.csv", num_held=len(held)), allow_nan=False))
    assert payload["schema"] == 1
    assert payload["observations"] == {
        "num_rows": 24,
        "num_used": 19,
        "num_heldout": 5,
        "excluded": [],
        "conventions": train.convention,
    }
    first = payload["fits"][0]
    assert first["law"] == "chinchilla"
    assert first["parameters"] == fit_law(CHINCHILLA, train).parameters  # all 17 digits
    assert first["objective"]["name"] == "huber_log"
    assert first["objective"]["delta"] == 0.001
    assert set(first["intervals"]) == {"E", "A", "B", "alpha", "beta"}
    for name, interval in first["intervals"].items():
        assert interval["low"] <= first["parameters"][name] <= interval["high"]
        assert interval["level"] == 0.95
    optimum = first["optimum"]
    assert optimum["params_exponent"] + optimum["tokens_exponent"] == pytest.approx(1)
    assert set(optimum["intervals"]) == {"params_exponent", "tokens_exponent"}
    assert first["heldout"]["num_points"] == 5
    selected = payload["selected"]
    assert sum(selected["weights"].values()) == pytest.approx(1)
    assert 0 < selected["heldout"]["mean_abs_rel_error"] < 0.1
    forecast = payload["forecasts"][0]
    assert 6 * forecast["params"] * forecast["tokens"] == pytest.approx(1e22)
    assert forecast["intervals"]["loss"]["low"] < forecast["loss"] < forecast["intervals"]["loss"]["high"]
    assert forecast["log10_extrapolation"] == pytest.approx(np.log10(1e22 / train.flops.max()))


def test_large_table_is_analysed_without_a_bootstrap() -> None:
    rng = np.random.default_rng(0)
    params, tokens = 10 ** rng.uniform(7, 10, 5000), 10 ** rng.uniform(8, 11, 5000)
    loss = (1.8 + 480 / params**0.35 + 2100 / tokens**0.37) * np.exp(0.01 * rng.standard_normal(5000))
    analysis = analyse(Observations(params, tokens, loss), resamples=4000)
    report = analysis.reports[0]
    assert report.boot is None
    assert report.fit.num_points == 5000
    low, high = report.intervals["alpha"].low, report.intervals["alpha"].high
    assert low < 0.35 < high
    assert high - low < 0.05


@pytest.mark.parametrize("value", ["1e200", "1e-200"])
def test_a_number_beyond_all_units_is_left_out_with_its_reason(value: str) -> None:
    """6 N D of such rows is infinite or zero: no compute, no warning from numpy, a reason."""
    good = {"params": "1e8", "tokens": "1e9", "loss": "3"}
    rows = observations_from_rows([good, good | {"params": value}])
    assert len(rows) == 1
    assert "correct its unit" in rows.excluded[0].reason
