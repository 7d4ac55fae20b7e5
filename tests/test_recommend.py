"""From measured points to a model worth training: the planted truth, what is out of reach, and a command that runs."""

import csv
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from scaling.analysis.recommend import RecommendOptions
from scaling.command import config_folder
from scaling.config import ConfigError, recommend_options
from scaling.exits import EXIT_NO_ANSWER
from scaling.laws.forms import CHINCHILLA
from scaling.laws.optimum import allocate
from scaling.recommend import from_study, from_table
from scaling.stages.finish import finish_study
from scaling.store import SELECTED, Forecast, read_forecasts, save_forecasts
from tests.analysis.conftest import ALPHA, BETA, A, B, E, planted_loss
from tests.planted_study import planted_study

TRUTH = [[E, A, B, ALPHA, BETA]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("planted")
    planted_study(root, "fit.bootstrap=0", "fit.figures=false")
    return root


def options(folder: Path, *overrides: str) -> RecommendOptions:
    with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
        return recommend_options(compose("recommend", [f"runs={folder / 'runs'}", "json=true", *overrides]))


def ask_table(asked: RecommendOptions) -> int:
    """Within Hydra, as the command is: a table has no study whose config could be taken."""
    with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
        return from_table(asked)


def test_a_budget_gives_the_planted_optimum_and_an_experiment_of_the_same_study(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flops = 1e14
    assert from_study(options(folder, "study=default", f"flops={flops}")) == 0
    answer = json.loads(capsys.readouterr().out)
    params, tokens, loss = (float(x[0]) for x in allocate(CHINCHILLA, TRUTH, flops))
    assert answer["params"]["value"] == pytest.approx(params, rel=0.2)
    assert answer["params"]["low"] < params < answer["params"]["high"]
    assert answer["tokens"]["low"] < tokens < answer["tokens"]["high"]
    assert answer["expected_loss"]["low"] < loss < answer["expected_loss"]["high"]
    (low, _), (high, _) = answer["band"]
    assert low < answer["params"]["value"] < high
    assert answer["shape"]["flops"] == pytest.approx(flops, rel=0.001)  # counted, not 6 N D
    assert len(answer["conventions"]) == 4

    arguments = [sys.executable, *shlex.split(answer["experiment"])[1:], "dry_run=true", "json=true"]
    shown = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=120)
    assert shown.returncode == 0, shown.stderr
    plan = json.loads(shown.stdout)
    (point,) = [p for p in plan["points"] if p["size"] == answer["shape"]["name"]]
    assert point["held_out"], "its sweep predicts it before it trains it"
    assert point["tokens"] == answer["shape"]["tokens"]
    assert low <= answer["shape"]["params"] <= high, "a shape within its own band"
    assert len(plan["points"]) == 43


def test_questions_are_no_forecasts(tmp_path: Path) -> None:
    """Neither in the ledger nor in the study's headline; and a ledger that has one of before is read without it."""
    config, plan = planted_study(tmp_path, "fit.bootstrap=0", "fit.figures=false", "runtime.tensorboard=false")
    assert from_study(options(tmp_path, "study=default", "flops=3e13")) == 0
    assert read_forecasts(config.folder) == ()
    once = Forecast("asked", "1M", 1000, SELECTED, 2.0, 1.9, 2.1, 0.95, "method", "hash", "2026-01-01")
    save_forecasts(config.folder, [once])
    assert "not measured yet" not in finish_study(config, plan, ()).verdict
    assert read_forecasts(config.folder) == (once,)


def test_a_loss_within_the_interval_of_the_floor_is_not_told_to_be_out_of_reach(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert from_study(options(folder, "study=default", "loss=1.1")) == 0
    floor = json.loads(capsys.readouterr().out)["floor"]
    asked = (floor["low"] + floor["value"]) / 2
    assert from_study(options(folder, "study=default", f"loss={asked}")) == EXIT_NO_ANSWER
    answer = json.loads(capsys.readouterr().out)
    assert answer["reachable"] is None
    assert [finding["name"] for finding in answer["findings"]] == ["floor"]
    assert from_study(options(folder, "study=default", f"loss={asked}", "json=false")) == EXIT_NO_ANSWER
    assert "Not told: the floor of the law is" in capsys.readouterr().out


def test_serving_is_another_question_than_the_estimators_answer(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert from_study(options(folder, "study=default", "flops=1e14", "inference_tokens=1e8")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["estimators"] == answer["conventions"] == []


def test_a_loss_below_the_floor_is_unreachable(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert from_study(options(folder, "study=default", "loss=1.1")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert not answer["reachable"]
    assert answer["floor"]["low"] < E < answer["floor"]["high"]
    assert answer["params"] is None
    assert answer["experiment"] is None


def test_too_far_beyond_the_data_is_refused_unless_forced(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert from_study(options(folder, "study=default", "flops=1e20")) == EXIT_NO_ANSWER
    refused = json.loads(capsys.readouterr().out)
    assert refused["findings"][0]["level"] == "refuse"
    assert "params" not in refused
    out = folder / "far"
    assert (
        from_study(
            options(
                folder, "study=default", "flops=1e20", "force=[extrapolation]", f"out={out}", "inference_tokens=1e13"
            )
        )
        == 0
    )
    forced = json.loads(capsys.readouterr().out)
    assert forced["findings"][0]["forced"]
    assert forced["inference_flops"] + forced["flops"]["value"] == pytest.approx(1e20, rel=1e-6)
    assert forced["params"]["value"] < float(allocate(CHINCHILLA, TRUTH, 1e20)[0][0])


def test_a_table_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / "points.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["params", "tokens", "loss"])
        for i in range(6):
            for j in range(5):
                n, d = 1e6 * 3**i, 1e8 * 3**j
                writer.writerow([n, d, planted_loss(n, d) * (1 + 0.002 * (-1) ** (i * j + i))])
    table = [f"source={tmp_path / 'points.csv'}", f"out={tmp_path / 'out'}"]
    assert ask_table(options(tmp_path, *table, "flops=1e19")) == 0
    answer = json.loads(capsys.readouterr().out)
    params = float(allocate(CHINCHILLA, TRUTH, 1e19)[0][0])
    assert answer["params"]["low"] < params < answer["params"]["high"]
    assert "trains on data=aws_docs, this program's default text" in answer["note"]
    assert "# It trains on data=aws_docs" in (tmp_path / "out/experiment/flops-1e19.yaml").read_text()
    with pytest.raises(ConfigError, match="flops_per_second"):
        ask_table(options(tmp_path, *table, "gpu_hours=8"))
    assert ask_table(options(tmp_path, *table, "gpu_hours=10", "flops_per_second=2e14")) == 0
    assert json.loads(capsys.readouterr().out)["flops"]["value"] == pytest.approx(7.2e18)


@pytest.mark.parametrize(
    "overrides",
    [
        ("flops=1e14",),
        ("study=default",),
        ("study=default", "flops=1e14", "loss=1.5"),
        ("study=default", "flops=1e14", "share=0"),
        ("study=default", "perplexity=1"),
        ("study=default", "flops=1e14", "force=[warmup]"),
    ],
)
def test_a_question_that_is_none_is_refused(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError):
        options(tmp_path, *overrides)


def test_a_study_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no folder of a study"):
        from_study(options(tmp_path, "study=nothing", "flops=1e14"))


def test_a_study_that_was_renamed_is_recommended_from_where_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its config still names the study that it was copied from, which is there and must not be written to."""
    planted_study(tmp_path, "fit.bootstrap=0", "fit.figures=false")
    shutil.copytree(tmp_path / "runs/default", tmp_path / "runs/copy")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs/default").rglob("*")}
    assert from_study(options(tmp_path, "study=copy", "flops=1e14")) == 0
    assert "study: copy\n" in (tmp_path / "runs/copy/recommend/experiment/flops-1e14.yaml").read_text()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs/default").rglob("*")} == before
