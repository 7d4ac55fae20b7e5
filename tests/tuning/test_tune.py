"""The command in one process: a search, its answer, its restart, and the corners of a grid."""

import json
from contextlib import nullcontext
from pathlib import Path

import optuna
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from scaling import tune, tune_corners
from scaling.command import config_folder
from scaling.config import ConfigError, study_config
from scaling.corners import read_corners
from scaling.folders import FolderError, take
from scaling.planning.config import RecipeConfig
from scaling.stages.study import plan_study
from scaling.values import from_plain
from tests.tuning.in_process import InProcessRunner
from tests.words import write_documents


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_documents(tmp_path_factory.mktemp("text"), documents=10, words_each=200, vocabulary=4)


def composed(folder: Path, text: Path, *overrides: str, root: str = "tune") -> DictConfig:
    settings = [
        "experiment=tiny",
        "data=local",
        f"data.source.path={text}",
        "data.validation_fraction=0.1",
        "recipe.warmup_min_steps=5",
        "grid.sizes=[{name: a, num_layers: 1, d_model: 8, num_heads: 1}, {name: b, num_layers: 1, d_model: 16, "
        "num_heads: 1}, {name: c, num_layers: 1, d_model: 24, num_heads: 1}]",
        "grid.replicates=[]",
        "grid.budgets=[2560, 3840, 5120]",
        f"runs={folder / 'runs'}",
        f"cache={text.parent / 'cache'}",
        "runtime.device=cpu",
        "runtime.tensorboard=false",
    ]
    own = ["study=tune", "size=a", "tokens=2560", "trials=3", "finalists=1", "seeds=[1, 2]", "space=rates"]
    with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
        return compose(root, [*settings, *(own if root == "tune" else []), *overrides])


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> InProcessRunner:
    runner = InProcessRunner()
    for module in (tune, tune_corners):
        monkeypatch.setattr(module, "slot_runner", lambda config: nullcontext(runner))
    return runner


def test_a_folder_of_recipes_that_is_a_link_is_refused_before_anything_is_trained(
    tmp_path: Path, text_folder: Path, runner: InProcessRunner
) -> None:
    (tmp_path / "home").mkdir()
    composed_here = composed(tmp_path, text_folder)
    take(tmp_path / "runs" / "tune", "study", key="study")
    (tmp_path / "runs" / "tune" / "recipe").symlink_to(tmp_path / "home")
    with pytest.raises(FolderError, match="leads out of"):
        tune.task(composed_here)
    assert not (tmp_path / "runs" / "tune" / "trials").exists()


def test_a_search_ends_in_a_recipe_that_runs_as_it_is(
    tmp_path: Path, text_folder: Path, runner: InProcessRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune.task(composed(tmp_path, text_folder)) == 0
    folder = tmp_path / "runs/tune"
    assert len(runner.started) == 3 + 2 * 2
    told = capsys.readouterr().out
    assert "distinguishable from the default recipe" in told or "than the default recipe" in told
    text = (folder / "recipe/tune.yaml").read_text()
    assert text.startswith(
        "# Tuned by `python -m scaling.tune study=tune` at a (width 8) on 2,560 tokens of local: 3 tr"
    )
    recipe = from_plain(RecipeConfig, OmegaConf.to_container(OmegaConf.create(text)), "recipe")
    found = json.loads((folder / "tune.json").read_text())
    assert recipe == from_plain(RecipeConfig, found["recipe"], "recipe")
    assert [trial["state"] for trial in found["trials"]] == ["complete"] * 3
    assert found["trials"][0]["lr_multiple"] == 1.0, "the default recipe is tried first"
    searched = composed(
        tmp_path, text_folder, f"hydra.searchpath=[file://{folder}]", "recipe=tune", "recipe.warmup_min_steps=5",
        root="sweep",
    )  # fmt: skip
    assert study_config(searched).recipe == recipe

    assert tune.task(composed(tmp_path, text_folder)) == 0
    assert len(runner.started) == 7, "a second call trains nothing"
    assert tune.task(composed(tmp_path, text_folder, "trials=4")) == 0
    assert len(runner.started) >= 8, "more trials go on from those there are"
    with pytest.raises(ConfigError, match="belongs to a search with another proxy, recipe, space or corpus"):
        tune.task(composed(tmp_path, text_folder, "size=b"))


def test_a_search_that_was_killed_goes_on_with_the_trial_that_ran(
    tmp_path: Path, text_folder: Path, runner: InProcessRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between two looks of the search: its second trial is in the database as running, its run has begun."""
    straight = tmp_path / "straight"
    assert tune.task(composed(straight, text_folder)) == 0

    class Killed(BaseException):
        pass

    class DiesInTheSecondRun(InProcessRunner):
        def start(self, folder: Path) -> None:
            if self.started:
                self.stop_after = self.steps + 7
                super().start(folder)
                raise Killed
            super().start(folder)

    with monkeypatch.context() as patch:
        patch.setattr(tune, "slot_runner", lambda config: nullcontext(DiesInTheSecondRun()))
        with pytest.raises(Killed):
            tune.task(composed(tmp_path, text_folder))
    study = optuna.load_study(study_name="tune", storage=f"sqlite:///{tmp_path / 'runs/tune/tune.db'}")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "RUNNING"]
    begun = study.trials[1].params
    runner.started.clear()
    assert tune.task(composed(tmp_path, text_folder)) == 0
    study = optuna.load_study(study_name="tune", storage=f"sqlite:///{tmp_path / 'runs/tune/tune.db'}")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
    assert study.trials[1].params == begun
    assert len(runner.started) == 2 + 2 * 2


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_a_hopeless_trial_is_pruned_and_not_told_as_a_loss(
    pruner: str, tmp_path: Path, text_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rates a thousand times too low are stopped on their way; trials at good rates are not."""

    class StopsWhenTold(InProcessRunner):
        """Evaluates as it goes; a run that is told to stop after its second evaluation leaves no record."""

        def start(self, folder: Path) -> None:
            super().start(folder)
            self.folder = folder

        def stop(self, folder: Path) -> None:
            for record in folder.glob("record-*.json"):
                record.unlink()

    monkeypatch.setattr(tune, "slot_runner", lambda config: nullcontext(StopsWhenTold()))
    overrides = (
        "sampler=grid",
        "~space.lr_multiple",
        "+space.lr_multiple.choices=[1.0, 0.8, 0.9, 1.1, 1.2, 1.3, 1e-4]",
    )
    assert tune.task(composed(tmp_path, text_folder, f"pruner={pruner}", "evaluations=3", *overrides)) == 0
    trials = json.loads((tmp_path / "runs/tune/tune.json").read_text())["trials"]
    states = {trial["lr_multiple"]: trial["state"] for trial in trials}
    assert len(trials) == 7
    assert states[1e-4] == "pruned"
    assert states[1.0] == "complete"


def test_a_recipe_that_the_proxy_cannot_have_ends_its_trial(
    tmp_path: Path, text_folder: Path, runner: InProcessRunner
) -> None:
    space = ("~space.lr_multiple", "+space.warmup_min_steps.choices=[5, 5000]", "sampler=grid")
    tune.task(composed(tmp_path, text_folder, *space))
    study = optuna.load_study(study_name="tune", storage=f"sqlite:///{tmp_path / 'runs/tune/tune.db'}")
    by_warmup = {trial.params["warmup_min_steps"]: trial for trial in study.trials}
    assert by_warmup[5].state.name == "COMPLETE"
    assert by_warmup[5000].state.name == "PRUNED"
    assert "not more than the warmup of 5000 steps" in by_warmup[5000].user_attrs["reason"]


def test_a_dry_run_writes_nothing(
    tmp_path: Path, text_folder: Path, capsys: pytest.CaptureFixture[str], runner: InProcessRunner
) -> None:
    assert tune.task(composed(tmp_path, text_folder, "dry_run=true")) == 0
    assert "3 trials (tpe), then 1 finalists" in capsys.readouterr().out
    assert tune.task(composed(tmp_path, text_folder, "dry_run=true", "json=true", "sampler=grid")) == 0
    assert json.loads(capsys.readouterr().out)["trials"] == 5
    assert tune.task(composed(tmp_path, text_folder, "dry_run=true", "corners=true")) == 0
    assert list(tmp_path.iterdir()) == []
    assert runner.started == []


def test_corners_are_the_ends_of_the_grid_under_three_rates(
    tmp_path: Path, text_folder: Path, runner: InProcessRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    config = composed(tmp_path, text_folder, "corners=true", "study=mine", "grid.holdout_share=0")
    assert tune.task(config) == 0
    assert len(runner.started) == 2 * 3 + 2, "two sizes under three rates, two further seeds of the smallest"
    corners = read_corners(tmp_path / "runs/mine")
    assert corners is not None
    assert [(corner.size, corner.tokens) for corner in corners.corners] == [
        ("a", 2560), ("a", 5120), ("c", 2560), ("c", 5120),
    ]  # fmt: skip
    assert all(None not in corner.losses for corner in corners.corners)
    assert corners.noise_freedom == 4
    assert corners.belongs_to(
        plan_study(study_config(composed(tmp_path, text_folder, "grid.holdout_share=0", root="sweep")))
    )
    assert "recipe.matrix_lr=" in capsys.readouterr().out
    assert tune.task(config) == 0
    assert len(runner.started) == 8, "a second call trains nothing"
