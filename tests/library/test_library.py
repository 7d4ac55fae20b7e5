"""The public face: what a notebook does with a table and with a study, as objects."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import scaling
from scaling import laws
from scaling.laws.fit import Fit, fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.observations import Observations
from scaling.results_json import fits_json
from tests.planted_study import planted_study

TRUTH = {"E": 1.8, "A": 400.0, "B": 1200.0, "alpha": 0.34, "beta": 0.33}


def planted(noise: float = 0.002) -> dict[str, np.ndarray]:
    params, tokens = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(2e8, 5e10, 6)))
    scatter = np.exp(noise * np.random.default_rng(0).standard_normal(len(params)))
    loss = TRUTH["E"] + TRUTH["A"] / params ** TRUTH["alpha"] + TRUTH["B"] / tokens ** TRUTH["beta"]
    return {"params": params, "tokens": tokens, "loss": loss * scatter}


@pytest.fixture(scope="module")
def fit() -> laws.FitResult:
    return laws.fit(planted())


@pytest.fixture(scope="module")
def forecast() -> laws.Forecast:
    return laws.forecast(planted())


class ArrowStream:
    """What polars and others offer of their frames."""

    def __init__(self, columns: dict[str, np.ndarray]) -> None:
        self._table = pa.table(columns)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def test_the_face_costs_no_numpy_and_a_name_wins_over_a_module_of_the_same_name() -> None:
    code = (
        "import sys, scaling, scaling.laws; assert not {'numpy', 'hydra', 'typing'} & set(sys.modules); "
        "import scaling.laws.fit, scaling.plan; from scaling import laws, plan; from scaling.plan import main; "
        "assert callable(laws.fit) and callable(plan) and callable(main); assert 'torch' not in sys.modules; "
        "assert all(hasattr(of, name) for of in (scaling, laws) for name in of.__all__)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match=r"has no attribute 'fitt'; it has .*fit"):
        laws.fitt  # noqa: B018 (the access is what is tested)


def test_a_fit_is_the_same_from_any_kind_of_table(fit: laws.FitResult, tmp_path: Path) -> None:
    columns = planted()
    path = tmp_path / "points.csv"
    names = list(columns)
    lines = [",".join(names), *(",".join(map(repr, map(float, row))) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines))
    rows = [dict(zip(names, map(float, row), strict=True)) for row in zip(*columns.values(), strict=True)]
    pandas = pytest.importorskip("pandas")
    renamed = {"N": columns["params"], "D": columns["tokens"], "y": columns["loss"]}
    others = [
        laws.fit(table)
        for table in (path, str(path), pa.table(columns), ArrowStream(columns), rows, pandas.DataFrame(columns))
    ]
    others.append(laws.fit(renamed, columns={"params": "N", "tokens": "D", "loss": "y"}))
    others.append(laws.fit({**columns, "params": columns["params"] / 1e6}, columns={"params_unit": "M"}))
    for other in others:
        assert other.parameters == pytest.approx(fit.parameters, rel=1e-9)
        assert len(other.rows) == 36
    plain = fit_law(CHINCHILLA, Observations(**columns))
    assert laws.fit(Observations(**columns)).parameters == plain.parameters == fit.parameters


def test_a_fit_answers_and_holds_the_truth(fit: laws.FitResult) -> None:
    for method in ("delta", "bootstrap", "profile", None):
        intervals = fit.conf_int(level=0.99, method=method)  # type: ignore[arg-type]
        assert set(intervals) == ({"E", "alpha", "beta"} if method == "profile" else set(TRUTH))
        assert all(one.low < TRUTH[name] < one.high and one.level == 0.99 for name, one in intervals.items())
    grid = fit.predict([[1e8, 1e9]], [[1e10], [1e11]])
    assert grid.shape == (2, 2)
    assert grid[0, 1] == fit.predict(1e9, 1e10) == pytest.approx(1.8 + 400 / 1e9**0.34 + 1200 / 1e10**0.33, rel=0.01)
    best = fit.optimum(1e21)
    assert fit.predict(best.params, best.tokens) == pytest.approx(best.loss)
    served, alone = fit.decide(loss=2.5, inference_tokens=1e13), fit.decide(loss=2.5)
    assert served.params < alone.params
    assert fit.predict(served.params, served.tokens) == pytest.approx(2.5) == served.loss
    assert alone.intervals["params"].low < alone.params < alone.intervals["params"].high
    assert "loss" not in alone.intervals


def test_a_fit_shows_itself(fit: laws.FitResult) -> None:
    shown = repr(fit)
    assert shown.splitlines()[0] == "chinchilla: L = E + A/N^alpha + B/D^beta, 36 rows"
    assert "converged" in shown
    assert len(shown.splitlines()) <= 15
    assert all(name in shown for name in TRUTH)
    assert "<table>" in fit._repr_html_()
    assert "root mean square" in fit.summary()
    frame = fit.to_frame("arrow")
    assert frame.column("parameter").to_pylist() == list(TRUTH)
    assert frame.column("low").to_pylist() < frame.column("high").to_pylist()
    assert fit.residuals.shape == (36,)
    assert fit == laws.fit(planted())
    assert hash(fit) == hash(laws.fit(planted()))
    assert fit != laws.fit(planted(noise=0.003))
    assert {fit.rows, laws.fit(planted()).rows} == {fit.rows}


def test_figures_are_drawn_on_axes_that_are_given(fit: laws.FitResult, forecast: laws.Forecast) -> None:
    from matplotlib.figure import Figure

    line = laws.fit({name: column[:6] for name, column in planted().items()}, "power_params")
    for drawn in (fit, forecast, line):
        axes = Figure().subplots()
        assert drawn.plot(axes) is axes
        assert len(axes.lines) > 1
    with pytest.raises(ValueError, match="not to be used"):
        laws.fit({name: column[:6] for name, column in planted().items()}).plot()


def test_a_forecast_is_the_selected_average(forecast: laws.Forecast) -> None:
    loss, low, high = forecast.predict(7e9, 1.4e11, level=0.95)
    assert low < loss < high
    assert low < 1.8 + 400 / 7e9**0.34 + 1200 / 1.4e11**0.33 < high
    narrow = forecast.predict([[7e9]], [[1.4e11]], level=0.5)
    assert narrow.loss.shape == (1, 1)
    assert low < narrow.low[0, 0]
    best = forecast.optimum(1e21)
    assert best.params_interval.low < best.params < best.params_interval.high
    assert len(repr(forecast).splitlines()) <= 15
    assert sum(forecast.to_frame("arrow").column("weight").to_pylist()) == pytest.approx(1)
    assert forecast.forecaster.why in forecast.summary()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda fit: fit.predict(1e9), "tokens is not given: chinchilla predicts from params and tokens"),
        (lambda fit: fit.predict(-1e9, 1e9), "params holds -1e.09: every value must be positive"),
        (lambda fit: fit.conf_int(level=90), "level is 90: it must lie between 0 and 1"),
        (lambda fit: fit.conf_int(method="exact"), "method is 'exact': it must be 'delta', 'bootstrap' or 'profile'"),
        (lambda fit: fit.optimum(0), "flops is 0: it must be positive"),
        (lambda fit: fit.decide(), "0 goals are given"),
        (lambda fit: fit.decide(loss=1.5), "no N and D reach loss = 1.5: the floor of the law is 1.8"),
        (lambda fit: fit.to_frame("excel"), "library is 'excel'"),
        (lambda fit: laws.fit(planted(), "chinchila"), "law is 'chinchila'.*chinchilla"),
        (lambda fit: laws.fit(planted(), columns={"parms": "N"}), "columns has parms, which is not known"),
        (lambda fit: laws.fit(planted(), los_unit="bits"), "los_unit, which is not known: it takes loss_unit"),
        (lambda fit: laws.fit(3), "the table is a int: give a path"),
        (lambda fit: laws.fit({"params": [1e6], "tokens": [1e6, 2e6], "loss": [2.0]}), "differ in length"),
        (lambda fit: laws.fit("nowhere.csv"), "nowhere.csv, where there is no file"),
    ],
)
def test_what_cannot_be_is_a_value_error_in_one_paragraph(fit: laws.FitResult, call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        call(fit)  # type: ignore[operator]
    assert "\n" not in str(caught.value)


def test_a_fit_that_may_not_be_used_says_so_and_gives_no_number() -> None:
    few = laws.fit({name: column[:6] for name, column in planted().items()})
    assert not few.usable
    assert few.status in repr(few)
    assert "no parameters are shown" in repr(few)
    assert few.message in few.summary()
    for asked in (lambda: few.predict(1e9, 1e10), few.conf_int, few.to_frame, lambda: few.optimum(1e20)):
        with pytest.raises(ValueError, match="not to be used"):
            asked()


def test_a_table_that_a_check_refuses_is_refused_from_python_too() -> None:
    columns = planted()
    with pytest.raises(ValueError, match="unlikely_units"):
        laws.fit({**columns, "params": columns["params"] / 1e6})
    forced = laws.fit({**columns, "params": columns["params"] / 1e6}, force=["unlikely_units", "unlikely_ratio"])
    assert isinstance(forced, Fit)
    assert "refuse, forced unlikely_units" in forced.summary()


def test_a_study_is_an_object(tmp_path: Path) -> None:
    config, plan = planted_study(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    study = scaling.load(config.folder)
    assert study.config == config
    assert study.plan == plan
    assert len(study.records) == len(study.points) == len(plan.points)
    frame = study.points.to_frame("arrow")
    assert frame.num_rows == len(plan.points)
    assert frame.column("run_id").to_pylist() == [record.run_id for record in study.records]
    assert study.records.to_frame("arrow").equals(frame)
    assert study.fit().usable
    assert study.fit().rows == study.report().fitted
    assert study.fit().parameters == study.report().surface.fit.parameters
    assert study.forecast().predict(1e7, 1e8).loss == pytest.approx(
        float(study.report().analysis.forecaster.predict(laws.points(1e7, 1e8)).loss[0])  # type: ignore[union-attr]
    )
    assert [finding.name for finding in study.findings] == [x["name"] for x in fits_json(study.report())["findings"]]
    for shown in (study, study.points, study.plan, study.report(), study.curves, study.forecasts):
        assert len(repr(shown).splitlines()) <= 15
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    with pytest.raises(ValueError, match=r"holds no plan\.json"):
        scaling.load(tmp_path)


def test_commands_return_values_and_print_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config, plan = planted_study(tmp_path)
    runs, cache = f"runs={tmp_path / 'runs'}", f"cache={tmp_path / 'cache'}"
    made = scaling.plan(runs, cache, "study=mine")
    assert [point.tokens for point in made.plan.points] == [point.tokens for point in plan.points]
    assert len(repr(made).splitlines()) <= 25
    assert not (tmp_path / "runs" / "mine").exists()
    answer = scaling.recommend("study=default", runs, "flops=1e14")
    assert answer.params is not None
    assert answer.reachable
    assert not list((tmp_path / "runs").rglob("experiment"))
    _, other = planted_study(tmp_path, "study=other")
    assert scaling.load(config.folder).compare(tmp_path / "runs" / other.study).num_pairs > 0
    with pytest.raises(ValueError, match="No such key exists"):
        scaling.plan("grid.sises=3")
    assert capfd.readouterr() == ("", "")
