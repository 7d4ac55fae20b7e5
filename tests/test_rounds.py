"""Rounds end when the question is answered or the money is gone, and go on in the round where they stopped."""

import json
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from scaling.config import ConfigError, StudyConfig, stored_config
from scaling.exits import EXIT_NO_ANSWER
from scaling.plan import plan_next
from scaling.specs import Plan
from scaling.stages.rounds import in_rounds, parse_until
from scaling.stages.study import plan_study
from tests.planted_study import plant, planted_study
from tests.test_configs import load

SMALL = (
    "grid.budgets=[262144,524288,1048576]",
    "grid.sizes=[{name: 10k, num_layers: 2, d_model: 20, num_heads: 2}, "
    "{name: 25k, num_layers: 2, d_model: 32, num_heads: 2}, "
    "{name: 55k, num_layers: 2, d_model: 48, num_heads: 3}, {name: 98k, num_layers: 2, d_model: 64, num_heads: 4}]",
    "grid.replicates=[]",
    "grid.holdout_share=0",
)


def study(folder: Path, *overrides: str) -> StudyConfig:
    return load(f"runs={folder / 'runs'}", f"cache={folder / 'cache'}", *SMALL, *overrides)


def test_rounds_answer_the_question_within_the_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = study(tmp_path, "until='sd(ln N_opt) < 0.08'", "max_flops=3e13")
    swept: list[StudyConfig] = []

    def sweep(one: StudyConfig) -> int:
        swept.append(one)
        plant(one)
        return 0

    assert in_rounds(config, sweep) == 0
    assert "answered" in capsys.readouterr().err
    rounds = sorted((config.folder / "rounds").glob("round-*.json"))
    assert len(rounds) == len(swept) - 1 >= 1
    first = json.loads(rounds[0].read_text())
    assert {point["purpose"] for point in first["points"]} == {"answer", "form"}
    assert first["sd_expected"] < first["sd_before"]
    plans = [plan_study(one) for one in swept]
    assert plans[-1].total_flops <= 3e13
    for before, after in pairwise(plans):
        assert {(p.run_id, p.tokens) for p in before.points} < {(p.run_id, p.tokens) for p in after.points}
        assert after.num_held_out >= 1  # points that try the form, predicted before they are trained

    calls = len(swept)
    assert in_rounds(config, sweep) == 0  # resumed: the last round's plan, and nothing new
    assert len(swept) == calls + 1
    assert swept[-1].grid == swept[-2].grid
    with pytest.raises(ConfigError, match="another grid"):
        in_rounds(study(tmp_path, "until='sd(ln N_opt) < 0.08'", "max_flops=3e13", "grid.budgets=[262144]"), sweep)


def test_an_isoflop_study_is_centred_on_the_way(tmp_path: Path) -> None:
    """It begins with sizes far below the best of its budgets, which the planted law puts at 50 to 100 thousand."""
    sizes = "".join(
        f"{{name: {name}, num_layers: 2, d_model: {width}, num_heads: 2}}, "
        for name, width in (("7k", 16), ("10k", 20), ("14k", 24), ("25k", 32))
    )
    grid = ("grid=isoflop", "grid.budgets=[2e11,4e11,8e11]", f"grid.sizes=[{sizes[:-2]}]", *SMALL[2:])
    plans: list[Plan] = []

    def sweep(one: StudyConfig) -> int:
        plans.append(plant(one))
        return 0

    folders = (f"runs={tmp_path / 'runs'}", f"cache={tmp_path / 'cache'}")
    assert in_rounds(load(*folders, *grid, "until='sd(ln N_opt) < 0.08'", "max_flops=4e13"), sweep) == 0

    def largest(plan: Plan) -> dict[float | None, int]:
        return {b: max(p.params for p in plan.points if p.nominal_flops == b) for b in (2e11, 4e11, 8e11)}

    before, after = largest(plans[0]), largest(plans[-1])
    assert {p.nominal_flops for p in plans[-1].points} >= set(before)
    assert all(after[budget] > 2 * before[budget] for budget in before)
    for budget in {p.nominal_flops for p in plans[-1].points}:
        assert len({p.params for p in plans[-1].points if p.nominal_flops == budget}) >= 4


def test_rounds_stop_when_the_budget_is_spent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = study(tmp_path, "until='sd(ln N_opt) < 0.001'", "max_flops=3e12")

    def sweep(one: StudyConfig) -> int:
        plant(one)
        return 0

    assert in_rounds(config, sweep) == EXIT_NO_ANSWER
    assert "not answered" in capsys.readouterr().err


def test_a_failed_sweep_ends_the_rounds(tmp_path: Path) -> None:
    config = study(tmp_path, "until='sd(ln N_opt) < 0.1'", "max_flops=1e14")
    assert in_rounds(config, lambda one: 130) == 130


def test_next_points_are_an_experiment_of_the_same_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, plan = planted_study(tmp_path)
    budget = 0.2 * plan.total_flops
    asked = load(f"next={config.folder}", f"flops={budget}", "json=true")
    assert plan_next(asked, stored_config(config.folder), config.folder) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sd_after"] < found["sd_before"]
    assert sum(point["flops"] for point in found["points"]) <= 1.001 * budget
    name = shlex.split(found["experiment"])[-1].removeprefix("experiment=")
    assert (config.folder / "next/experiment" / f"{name}.yaml").exists()
    assert (config.folder / "next/data" / f"{name}.yaml").exists()


@pytest.mark.parametrize("text", ["ln N_opt < 0.1", "sd(N) < 0.1", "sd(ln N_opt) < -1", "sd(ln N_opt) < x"])
def test_an_end_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="until is"):
        parse_until(text)


def test_rounds_need_a_budget(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="max_flops"):
        in_rounds(study(tmp_path, "until='sd(alpha) < 0.1'"), lambda one: 0)
