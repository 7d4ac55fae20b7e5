"""Hydra finds the plugins from anywhere, other applications too; the sweeper takes points and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper

from hydra_plugins.scaling._register import register
from hydra_plugins.scaling.study_sweeper import _axes, _points, named_after
from scaling.config import ConfigError

ROOT = Path(__file__).parents[2]

OTHER_APPLICATION = """
import hydra
@hydra.main(version_base="1.3", config_path=None)
def main(config):
    print(config.data.name)
main()
"""


def test_the_plugins_register() -> None:
    register()
    for kind, name in ((Sweeper, "StudySweeper"), (Launcher, "PoolLauncher"), (SearchPathPlugin, "ScalingSearchPath")):
        assert name in {plugin.__name__ for plugin in Plugins.instance().discover(kind)}


def test_another_application_finds_our_groups(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(OTHER_APPLICATION)
    done = subprocess.run(
        [sys.executable, "app.py", "+data=wikitext2", "hydra.run.dir=out"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "wikitext2"


@pytest.mark.parametrize(
    ("arguments", "points"),
    [
        (["study=x"], None),
        (["point=3"], {3}),
        (["point=1,4", "recipe=cosine"], {1, 4}),
        (["point=range(2,5)"], {2, 3, 4}),
        (["point=null"], None),
    ],
)
def test_points_are_the_only_axis(arguments: list[str], points: set[int] | None) -> None:
    assert _points(OverridesParser.create().parse_overrides(arguments)) == points


def test_every_other_axis_is_a_study_named_after_its_own() -> None:
    typed = ["recipe.matrix_lr=.002,.004", "model.activation=gelu,swiglu", "study=x", "point=1,2", "grid.seed=3"]
    axes = _axes(OverridesParser.create().parse_overrides(typed))
    assert len(axes) == 4
    assert {tuple(axis) for axis in axes} >= {("recipe.matrix_lr=0.002", "model.activation=swiglu")}
    assert named_after("x", axes[0]) == ["study='x-matrix_lr_0.002-activation_gelu'"]
    assert named_after("x", ["data.source.path='a b/c'"]) == ["study='x-path_a_b_c'"]
    assert _axes([]) == [[]]
    assert named_after("x", []) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["point=a,b"], "names no points"), (["point=-1"], "no points")],
)
def test_another_axis_is_refused(arguments: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        _points(OverridesParser.create().parse_overrides(arguments))
