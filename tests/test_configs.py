"""Every YAML that ships composes, validates and plans."""

from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from scaling.config import CONFIG_FILE, ConfigError, StudyConfig, refit_config, require_as_stored, study_config
from scaling.config_folder import config_folder
from scaling.stages.checkup import check_plan
from scaling.stages.study import plan_study
from scaling.values import write_json

GROUPS = ("data", "model", "recipe", "grid", "runtime", "time_model", "power", "experiment")
CHOICES = sorted(chain.from_iterable((config_folder() / group).glob("*.yaml") for group in GROUPS))


def load_root(root: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
        return compose(root, list(overrides))


def load(*overrides: str) -> StudyConfig:
    return study_config(load_root("sweep", *overrides))


@pytest.mark.parametrize("path", CHOICES, ids=lambda p: f"{p.parent.name}={p.stem}")
def test_each_choice_makes_a_study(path: Path, tmp_path: Path) -> None:
    own_text = [f"data.source.path={tmp_path}"] if path.stem == "local" else []
    (tmp_path / "own.txt").write_text("some text")
    assert plan_study(load(f"{path.parent.name}={path.stem}", f"cache={tmp_path / 'cache'}", *own_text)).points


def test_the_default_study_is_what_the_readme_says(tmp_path: Path) -> None:
    config = load(f"cache={tmp_path}")
    plan = plan_study(config)
    sizes = {run.size: run for run in plan.runs}
    assert len(sizes) == 6
    matrices = [12 * run.model.num_layers * run.model.d_model**2 for run in sizes.values()]
    assert max(matrices) / min(matrices) > 100
    for size in sizes:
        assert len({p.tokens for p in plan.points if p.size == size}) >= 5
    seeds_of_cells = Counter((point.size, point.tokens) for point in plan.points)
    assert sum(seeds == 3 for seeds in seeds_of_cells.values()) >= 2
    assert sum(p.held_out for p in plan.points) >= 4
    assert [finding for finding in check_plan(config, plan) if finding.level != "info"] == []


def test_sizes_are_named_by_their_matrices(tmp_path: Path) -> None:
    for run in plan_study(load(f"cache={tmp_path}")).runs:
        assert run.size == f"{round(12 * run.model.num_layers * run.model.d_model**2 / 1000)}k"


def test_a_study_is_judged_again_by_its_own_config(tmp_path: Path) -> None:
    """Under what the command line says; an experiment that it names is all of it."""
    where = ["study=old", f"runs={tmp_path}"]
    made = load(*where, "experiment=data_constrained", "force=[few_steps]")
    assert refit(*where).question is None, "there is no study yet"
    made.folder.mkdir()
    write_json(made.folder / CONFIG_FILE, made)
    assert refit(*where) == made
    assert refit(*where, "fit.bootstrap=7", "force=[]") == replace(made, fit=replace(made.fit, bootstrap=7), force=())
    assert refit(*where, "experiment=tiny") == load(*where, "experiment=tiny")


def refit(*typed: str) -> StudyConfig:
    return refit_config(load_root("sweep", *typed), typed)


@pytest.mark.parametrize("root", ["sweep", "fit"])
def test_hydra_leaves_loggers_alone(root: str) -> None:
    """Hydra's `disabled` logging would silence every logger that exists, so the second job of a multirun is mute."""
    with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
        composed = compose(root, ["source=x", "out=y"] if root == "fit" else [], return_hydra_config=True)
    for kind in ("job_logging", "hydra_logging"):
        assert composed.hydra[kind].disable_existing_loggers is False


def test_a_command_on_a_study_takes_no_other_study(tmp_path: Path) -> None:
    """What its sweep was given may be said again; another value would be passed over, and is refused."""
    where = ["study=old", f"runs={tmp_path}", "grid=isoflop", "grid.seed=3"]
    (tmp_path / "old").mkdir()
    write_json(tmp_path / "old" / CONFIG_FILE, load(*where))
    require_as_stored(load(*where), "status", where)
    require_as_stored(load(*where, "fit.level=0.9"), "fit", [*where, "fit.level=0.9"])
    for other in ("grid.seed=4", "grid=default", "recipe=cosine", "fit.level=0.9"):
        with pytest.raises(ConfigError, match=r"is given, and .*old was made with another"):
            require_as_stored(load(*where, other), "status", [*where, other])
