"""Every command at a terminal: JSON for programs, no colour where none is wanted, a mistake told in one paragraph."""

import importlib
import json
from pathlib import Path

import pytest

from tests.planted_study import planted_study
from tests.test_usage import COMMANDS

ESCAPE = "\x1b["
# What each of them prints as JSON; what is not here prints no answer, or writes it into files.
ANSWERS = {
    "plan": ([], "points"),
    "status": ([], "points"),
    "fit": (["fit.bootstrap=0", "fit.figures=false"], "schema"),
    "recommend": (["flops=1e14"], "params"),
    "compare": (["a=runs/default", "b=runs/default"], "reference"),
    "tune": (["dry_run=true"], "proxy"),
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("terminal")
    planted_study(folder)
    return folder


def run(module: str, *arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(module).main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("command", ANSWERS)
def test_json_is_for_programs_and_words_are_plain_without_a_terminal(
    command: str, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workspace)
    arguments, key = ANSWERS[command]
    study = ["study=default"] if command == "recommend" else []
    assert run(f"scaling.{command}", *arguments, *study, "--json") == 0
    assert key in json.loads(capsys.readouterr().out)
    assert run(f"scaling.{command}", *arguments, *study) == 0
    words = capsys.readouterr()
    assert words.out.strip()
    assert ESCAPE not in words.out + words.err


@pytest.mark.parametrize("module", COMMANDS)
def test_a_mistake_is_one_paragraph(
    module: str, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workspace)
    assert run(module, "no_such_key=1") == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith("error: ")
    assert "no_such_key" in told
    assert "\n" not in told
    run(module, "no_such_key=1", "debug=true")
    assert "Traceback" in capsys.readouterr().err


def test_no_color_is_respected_on_a_terminal(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("FORCE_COLOR", "1")
    run("scaling.plan", "experiment=data_constrained")
    assert "\x1b[33m" in capsys.readouterr().out  # a warning is yellow
    monkeypatch.setenv("NO_COLOR", "1")
    run("scaling.plan", "experiment=data_constrained")
    assert "\x1b[33m" not in capsys.readouterr().out
