"""Strings of users and of files are text wherever they go: no markup, no terminal code, no interpolation, no path."""

import ast
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from rich.table import Table

from scaling import status
from scaling.config import ConfigError, study_config
from scaling.config_folder import config_folder
from scaling.experiments import literal, write_experiment
from scaling.findings import Finding
from scaling.launching.slurm import Submission
from scaling.planning.table import print_findings
from scaling.records import RunStatus, record_path
from scaling.terminal import PlainConsole, visible
from scaling.values import from_file, require_name, write_json
from tests.planted_study import planted_study
from tests.test_configs import load

PACKAGE = Path(__file__).parents[1] / "scaling"
NASTY = "[/red] [bold]x[/bold] :smile: [link=file:///etc]y[/link] \x1b[31mred\x1b[0m \u202egnp \x07 ${oc.env:HOME} `id`"
PARTS = ["$", "{", "}", "\\", "${", "'", '"', ":", " ", "#", "\n", "a", "oc.env:HOME"]


def test_everything_is_printed_through_the_plain_console() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rich.") and path.stem != "terminal":
                assert not {alias.name for alias in node.names} & {"Console", "print", "escape"}, path


def test_markup_emoji_and_codes_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(title=NASTY)
    table.add_column(NASTY)
    table.add_row(NASTY)
    console = PlainConsole(width=1000)
    console.print(table)
    console.print(NASTY, soft_wrap=True)
    print_findings((Finding(NASTY, "warn", NASTY, NASTY, NASTY),), console)
    shown = capsys.readouterr().out
    assert shown.count(visible(NASTY)) == 8
    assert not set("\x1b\x07\u202e") & set(shown)


def test_an_error_with_brackets_neither_ends_status_nor_is_swallowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config, plan = planted_study(Path(), "recipe=cosine")
    point = plan.points[0]
    record_path(config.folder / point.run_id, point.tokens).unlink()
    failed = RunStatus("failed", 1, 2, 1.0, time.time(), "h", 1, error=f"ValueError: {NASTY}")
    write_json(config.folder / point.run_id / "status.json", failed)
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit) as ended:
        status.main(["study=default"])
    assert ended.value.code == 0
    assert visible(NASTY) in capsys.readouterr().out


@given(st.lists(st.sampled_from(PARTS), max_size=9).map("".join))
def test_any_text_comes_back_from_yaml_as_it_was(text: str) -> None:
    written = OmegaConf.to_yaml(OmegaConf.create(literal({"question": text, "deep": [{"a": text}]})))
    assert OmegaConf.to_container(OmegaConf.create(written), resolve=True) == {"question": text, "deep": [{"a": text}]}


def test_a_question_does_not_come_to_life_in_an_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "hunter2")
    asked = "Is ${oc.env:A_SECRET} here? \\${x} ${"
    data = replace(load().data, description=asked)
    config = replace(load(), question=asked, data=data)
    write_experiment(tmp_path, "again", config, f"about\n{asked}\nevil: true", in_study=False)
    text = (tmp_path / "experiment/again.yaml").read_text()
    with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
        read = study_config(compose("sweep", ["experiment=again", f"hydra.searchpath=[file://{tmp_path}]"]))
    assert (read.question, read.data.description) == (asked, asked)
    assert "hunter2" not in text + json.dumps(read.question)
    write_experiment(tmp_path, "again", config, "again", in_study=False)
    (tmp_path / "data/mine.yaml").write_text("name: mine")
    with pytest.raises(ConfigError, match=r"data/mine\.yaml is there"):
        write_experiment(tmp_path, "mine", config, "about", in_study=False)
    assert (tmp_path / "data/mine.yaml").read_text() == "name: mine"
    assert not (tmp_path / "experiment/mine.yaml").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\\b", "a\0b", "a\nb", "x" * 300])
def test_a_name_from_a_file_is_one_files_name(name: str) -> None:
    with pytest.raises(ValueError, match=r"names a file|longer than"):
        require_name("size", name)
    plain = {"number": 1, "kind": "runs", "wave": 1, "groups": [[name]], "seconds": 1.0}
    with pytest.raises(ValueError, match=r"slurm/1\.json"):
        from_file(Submission, plain, Path("slurm/1.json"))


def test_a_studys_name_is_no_way_out() -> None:
    config = load()
    for study in (".", "..", "...", "a/b", "a b", "", "../x", "a\0"):
        with pytest.raises(ValueError, match="study is"):
            replace(config, study=study)
