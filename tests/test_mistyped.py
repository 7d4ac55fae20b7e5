"""Every key, group, choice, folder and command has a mistyped twin, and none is accepted; each is told what was meant.

And no command accepts a key that it does not read.
"""

from importlib.util import find_spec
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf import DictConfig, OmegaConf

from scaling.command import explain
from scaling.config import ConfigError, of_study, study_config
from scaling.config_folder import config_folder
from scaling.data.config import DataError
from scaling.keys import NOT_READ, OF_A_STUDY, ONLY, as_used, key_paths, not_read, typed_keys
from scaling.names import nearest, nearest_path
from scaling.stages.study import plan_study
from tests.docs.test_commands_of_the_docs import SCALING, parsed

ROOTS = sorted(path.stem for path in config_folder().glob("*.yaml"))
GROUPS = sorted({path.parent.name for path in config_folder().glob("*/*.yaml")})
TYPED = [(parsed(command)[0], argument) for command in SCALING for argument in parsed(command)[1] if "=" in argument]


def twin(name: str) -> str:
    """The name with a letter too few in its middle."""
    at = len(name) // 2
    return name[:at] + name[at + 1 :] if len(name) > 2 else name + "x"


def composed(root: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
        return compose(root, list(overrides))


@pytest.fixture(scope="module")
def roots() -> dict[str, DictConfig]:
    return {root: composed(root) for root in ROOTS}


def leaves(config: DictConfig, at: str = "") -> list[str]:
    found = []
    for key in config:
        below = OmegaConf.select(config, str(key), throw_on_missing=False)
        found += leaves(below, f"{at}{key}.") if isinstance(below, DictConfig) else [f"{at}{key}"]
    return found


@pytest.mark.parametrize("root", ROOTS)
def test_no_mistyped_key_of_a_root_is_accepted(root: str, roots: dict[str, DictConfig]) -> None:
    config = roots[root]
    keys = [key for key in leaves(config) if not key.startswith("hydra.")]
    assert len(keys) > 20
    for key in keys:
        head, dot, last = key.rpartition(".")
        wrong = f"{head}{dot}{twin(last)}"
        (override,) = OverridesParser.create().parse_overrides([f"{wrong}=1"])
        with pytest.raises(ConfigCompositionException) as raised:
            ConfigLoaderImpl._apply_overrides_to_config([override], config)
        assert explain(raised.value).startswith(f"{wrong} is given, and no such key exists: ")


@pytest.mark.parametrize("group", [*GROUPS, "hydra/launcher"])
def test_a_mistyped_choice_is_told_the_nearest(group: str) -> None:
    choices = [path.stem for path in (config_folder() / group).glob("*.yaml")]
    if not choices:
        return
    root = "tune" if group == "space" else "sweep"
    with pytest.raises(MissingConfigException) as raised:
        composed(root, f"{group}={twin(choices[0])}")
    words = explain(raised.value)
    assert words.startswith(f"{group} is {twin(choices[0])}, and no such choice exists: did you mean ")
    assert choices[0] in words


def test_every_command_of_the_pages_reads_all_that_it_is_given() -> None:
    for command in SCALING:
        module, arguments = parsed(command)
        of_table = module == "fit" and any(argument.startswith("source=") for argument in arguments)
        arguments = [argument for argument in arguments if not argument.startswith("hydra.searchpath")]
        assert not_read("fit source=" if of_table else module, arguments) is None


def test_no_mistyped_command_is_there() -> None:
    modules = {module for module, _ in TYPED}
    assert len(modules) > 8
    assert not [module for module in modules if find_spec(f"scaling.{twin(module)}")]


@pytest.mark.parametrize("command", [*sorted(ONLY.keys() - set(OF_A_STUDY)), *NOT_READ])
def test_no_command_accepts_a_key_that_it_does_not_read(command: str) -> None:
    name, _, use = command.partition(" ")
    given = [f"{use}x" if use.endswith("=") else use] if "=" in use else []
    known = {key.partition(".")[0] for key in leaves(composed("tune" if name == "tune" else "sweep"))}
    unread = known - ONLY[command] - {"json", "debug", "hydra"} if command in ONLY else set(NOT_READ[command])
    if command == "compare studies":
        given = ["a=.", "b=."]
    for key in unread - {"next", "study", "corners", "gpu_hours"}:
        words = not_read(name, [*given, f"{key}=1"])
        assert words is not None
        assert words.startswith(f"{key} is given, and `python -m scaling.{command}` does not read it: ")


def test_what_is_typed_is_seen_without_its_signs() -> None:
    assert typed_keys(["+a.b=1", "~c=2", "d@e=3", "--multirun", "-m", "f"]) == {"a.b": "1", "c": "2", "d": "3"}
    assert as_used("plan", {"next": "null"}) == "plan"
    assert not_read("sweep", ["max_flops=1e15", "until=sd(ln N_opt) < 0.1"]) is None
    assert not_read("sweep", ["max_flops=1e15"]) is not None


def test_folders_that_are_not_there_are_told_what_is(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "runs/default").mkdir(parents=True)
    (tmp_path / "runs/default/plan.json").write_text("{}")
    with pytest.raises(ConfigError, match="did you mean default"):
        of_study(tmp_path / "runs/defualt", "plan.json")
    with pytest.raises(ConfigError, match="has no rnus, did you mean runs"):
        of_study(tmp_path / "rnus/default", "plan.json")
    assert "did you mean texts?" in str(not_read("plan", [f"hydra.searchpath=[pkg://here,file://{tmp_path}/txets]"]))
    assert not_read("plan", [f"hydra.searchpath=[file://{tmp_path}/texts]"]) is None
    config = study_config(composed("sweep", "data=local", f"data.source.path={tmp_path}/text", f"cache={tmp_path}"))
    with pytest.raises(DataError, match="did you mean texts"):
        plan_study(config)


def test_names_like_it_come_first_and_else_some_that_there_are() -> None:
    assert nearest("isoflp", ["default", "isoflop"]) == "did you mean isoflop?"
    assert nearest("zzz", ["a", "b", "c", "d"]) == "there is a, b, c and 1 more"
    assert nearest("x", []) == "there is none"
    assert nearest_path(Path("/nowhere/at/all")).startswith("in /, which has no nowhere, ")
    assert len(set(key_paths(type(study_config(composed("sweep")))))) > 100
