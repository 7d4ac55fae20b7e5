"""Every command says what it does, with an example and its keys, before it composes anything."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scaling.usage import usage, with_flags_as_overrides

ROOT = Path(__file__).parents[1]
SCRIPTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
NOT_INSTALLED = {"scaling.cluster", "scaling.truth"}  # what a job of a cluster starts, and what `make truth` asks
COMMANDS = sorted(target.partition(":")[0] for target in SCRIPTS.values())


def test_each_entry_is_a_console_script() -> None:
    modules = (ROOT / "scaling").glob("*.py")
    entries = {f"scaling.{path.stem}" for path in modules if "\ndef main(" in path.read_text()}
    assert entries - NOT_INSTALLED == set(COMMANDS)
    assert all(name == "scaling-" + target.split(":")[0].removeprefix("scaling.") for name, target in SCRIPTS.items())


@pytest.mark.parametrize("module", COMMANDS)
def test_help_gives_one_example_of_the_command_itself(module: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60
    )
    assert shown.returncode == 0, shown.stderr
    examples = re.findall(r"^Example: (.+)$", shown.stdout, flags=re.MULTILINE)
    assert len(examples) == 1
    assert shlex.split(examples[0])[:3] == ["python", "-m", module]
    assert "json" in shown.stdout
    assert "hydra:" not in shown.stdout


def test_keys_are_those_of_the_root_config_and_groups_those_it_composes(tmp_path: Path) -> None:
    (tmp_path / "root.yaml").write_text(
        "# a comment\ndefaults:\n  - data: a\n  - _self_\n\n"
        "study: x  # its name\nfit:\n  level: 0.9\nhydra:\n  run: y\n"
    )
    for name in ("data/a", "data/b", "unused/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.yaml").write_text("{}\n")
    text = usage("What it does.\n", tmp_path, "root")
    assert "  study: x  # its name\n  fit:\n    level: 0.9\n" in text
    assert "data           a, b" in text
    assert "unused" not in text
    assert "run: y" not in text


def test_json_flag_is_an_override() -> None:
    assert with_flags_as_overrides(["study=a", "--json"]) == ["study=a", "json=true"]
