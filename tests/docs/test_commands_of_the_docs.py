"""Every command that README, docs and examples show is carried out, in a folder of small planted studies and tables.

What would take minutes is planned instead (`dry_run=true`); benchmarks, `make` and `pip` are held to the flags, targets
and extras that exist. The rest says why it is not run, and there is little of it.
"""

import importlib
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from tests.docs.console import Shown, commands_of
from tests.planted_study import planted_study

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
SHOWN = [command for page in PAGES for command in commands_of(page, str(page.relative_to(ROOT)))]
COMMANDS = list({command.words: command for command in sorted(SHOWN, key=lambda c: bool(c.says))}.values())
OURS = re.compile(r"scaling[.-](sweep|plan|prepare|train|fit|status|recommend|compare|tune|truth)")
SCALING = [c for c in COMMANDS if not c.not_run and any(OURS.fullmatch(word) for word in c.words)]
OTHERS = [command for command in COMMANDS if not command.not_run and command not in SCALING]
NOT_RUN = [command for command in COMMANDS if command.not_run]
MOST_NOT_RUN = 12
# What keeps each small; a sweep is planned, and its training is the matter of tests/study.
SMALLER = {
    "sweep": ["dry_run=true", "calibrate=false"],
    "plan": ["calibrate=false"],
    "train": ["dry_run=true"],
    "tune": ["dry_run=true"],
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def name(command: Shown) -> str:
    return f"{command.page}:{command.line}"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages speak of: my/texts, tables of losses, the studies default and mine, a recipe that was tuned."""
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "my/texts").mkdir(parents=True)
    for i in range(40):
        words = " ".join(f"word{(i * 7919 + j * j) % 97}" for j in range(2000))
        (folder / f"my/texts/{i}.txt").write_text(words)
    for table, factor in (("points", 1.0), ("theirs", 1.0), ("ours", 0.98)):
        (folder / f"{table}.csv").write_text(table_of_losses(factor))
    for study in ("default", "mine", "adamw", "muon"):
        planted_study(folder, f"study={study}")
    (folder / "runs/lr/recipe").mkdir(parents=True)
    shutil.copy(ROOT / "configs/recipe/wsd.yaml", folder / "runs/lr/recipe/lr.yaml")
    shutil.copytree(ROOT / "docs/tables", folder / "docs/tables")
    if (ROOT / "examples").is_dir():
        shutil.copytree(ROOT / "examples", folder / "examples")
    return folder


def table_of_losses(factor: float) -> str:
    """A law with a scatter of 0.2%, under every name of a column that the pages use."""
    lines = ["params,N,tokens,D,loss,val_loss,N_noembed"]
    for i, params in enumerate((1e8, 2e8, 4e8, 8e8, 1.6e9, 3.2e9)):
        for j, tokens in enumerate((2e9, 6e9, 1.8e10, 5.4e10)):
            scatter = 1 + 0.002 * (((i * 7 + j * 3) % 5) - 2) / 2
            loss = (1.8 + 480 / params**0.35 + 2100 / tokens**0.37) * scatter * factor
            lines.append(f"{params},{params},{tokens},{tokens},{loss},{loss},{params * 0.9}")
    return "\n".join(lines)


@pytest.mark.parametrize("command", SCALING, ids=name)
def test_a_command_of_ours_works(
    command: Shown, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    *_, module, arguments = parsed(command)
    monkeypatch.chdir(workspace)
    entry = importlib.import_module(f"scaling.{module}")
    with pytest.raises(SystemExit) as ended:
        entry.main([*arguments, *smaller(module, arguments)])
    assert ended.value.code == 0, command.text
    printed = " ".join(capsys.readouterr().out.split())
    assert all(" ".join(line.split()) in printed for line in command.says), (command.says, printed)


def test_what_the_pages_show_of_a_file_is_how_it_begins() -> None:
    shown = [
        (name, text)
        for page in PAGES
        for name, text in re.findall(r'```\w+ title="(.+?)"\n(.*?)```', page.read_text(), flags=re.DOTALL)
    ]
    assert {name for name, _ in shown} == {f"docs/tables/{path.name}" for path in (ROOT / "docs/tables").iterdir()}
    for name, text in shown:
        assert (ROOT / name).read_text().startswith(text), name


def parsed(command: Shown) -> tuple[str, list[str]]:
    """The entry and its arguments: of `python -m scaling.plan ...`, of `scaling-plan ...`, of torchrun."""
    words = list(command.words)
    at = next(i for i, word in enumerate(words) if OURS.fullmatch(word))
    return re.split("[.-]", words[at])[1], words[at + 1 :]


def smaller(module: str, arguments: list[str]) -> list[str]:
    if "--help" in arguments:
        return []
    if module == "plan" and any(a.startswith("next=") for a in arguments):
        return []
    if module == "fit" and not any(a.startswith("source=") and a.endswith("fits.json") for a in arguments):
        prefix = "" if any(a.startswith("source=") for a in arguments) else "fit."
        return [f"{prefix}bootstrap=0", f"{prefix}figures=false"]
    return SMALLER.get(module, [])


@pytest.mark.parametrize("command", OTHERS, ids=name)
def test_what_another_program_is_asked_for_exists(command: Shown) -> None:
    program, *rest = command.words
    program = Path(program).name
    if program == "make":
        target = next(word for word in rest if "=" not in word)
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE), command.text
    elif program == "pip":
        for extra in re.findall(r"\[([\w,-]+)\]", command.text):
            assert set(extra.split(",")) <= set(PROJECT["optional-dependencies"]), command.text
    elif program == "python" and rest[:2] != ["-m", "venv"]:
        source = benchmark_of(rest).read_text()
        assert all(f'"{word}"' in source for word in rest if word.startswith("--")), command.text
    else:
        assert program in ("python", "touch", "git", "cd", "tensorboard"), (
            f"{command.text}: teach this test to check it"
        )


def benchmark_of(words: list[str]) -> Path:
    path = words[1].replace(".", "/") + ".py" if words[0] == "-m" else words[0]
    assert path.startswith("benchmarks/"), words
    return ROOT / path


def test_what_is_not_run_says_why_and_is_little() -> None:
    assert len(NOT_RUN) <= MOST_NOT_RUN, [command.text for command in NOT_RUN]
    assert len(SCALING) >= 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_command_hides_from_these_tests(page: Path) -> None:
    """Commands stand in `sh` blocks, not in indented ones or in blocks without a language."""
    inside: str | None = None
    for line in page.read_text().splitlines():
        if line.strip().startswith("```"):
            inside = line.strip()[3:] if inside is None else None
        elif inside != "sh":
            assert not re.match(r"^(    |\$ )\s*(python|make|pip|scaling-|torchrun)\b", line), line
