"""What the pages show in Python and as diffs is carried out too."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scaling import laws
from scaling.checks.catalogue import NAMES
from scaling.laws import registry
from scaling.laws.analysis import analyse
from scaling.laws.payload import fits_payload
from scaling.laws.stored import stored_forecaster
from scaling.values import write_json
from tests.docs.test_commands_of_the_docs import ROOT, table_of_losses
from tests.planted_study import planted_study


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.+?)```", (ROOT / "docs" / page).read_text(), flags=re.DOTALL)


def test_the_laws_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "points.csv").write_text(table_of_losses(1.0))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict[str, Any] = {}
    for block in blocks("laws-api.md", "python"):
        if "laws/fits.json" in block:  # which the command writes
            (tmp_path / "laws").mkdir()
            rows = names["forecast"].rows
            write_json(tmp_path / "laws/fits.json", fits_payload(analyse(rows, resamples=0), source=""))
        exec(block, names)
    assert names["best"].params == pytest.approx(2e9, rel=1.0)
    assert names["again"].predict(7e9, 1.4e11).loss == names["loss"]


def test_the_block_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "points.csv").write_text(table_of_losses(1.0))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    (block,) = blocks("../README.md", "python")
    names: dict[str, Any] = {}
    exec(block, names)
    assert names["low"] < names["loss"] < names["high"]


@pytest.mark.slow
def test_the_notebook_goes_from_a_table_to_a_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "examples")
    monkeypatch.setenv("MPLBACKEND", "agg")
    cells = json.loads(Path("your_losses.ipynb").read_text())["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert names["fit"].usable
    assert names["loss"] == pytest.approx(2.2, rel=0.02)
    assert sum(cell["cell_type"] == "code" for cell in cells) == 10


def test_a_study_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted_study(tmp_path, noise=0.001)
    planted_study(tmp_path, "study=other", noise=0.001)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks("study-api.md", "python"):
        exec(block, names)
    assert names["fit"].rows == names["report"].fitted


@pytest.fixture
def forms_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FORMS", dict(registry._FORMS))


@pytest.mark.usefixtures("forms_as_they_were")
def test_a_law_of_ones_own_is_fitted_reported_and_a_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "points.csv").write_text(table_of_losses(1.0))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks("your-own-law.md", "python"):
        exec(block, names)
    content = fits_payload(analyse(names["fit"].rows, resamples=0), source="")
    assert "shared_term" in {one["law"] for one in content["fits"]}
    assert "shared_term" in {one["law"] for one in content["selected"]["candidates"]}
    assert stored_forecaster(content["selected"]).predict(laws.points(7e9, 1.4e11)).loss > 1


CHECK = """
import torch
from dataclasses import replace
from scaling.model.config import ModelConfig
from scaling.model.counting import count_parameters
from scaling.model.decoder import Decoder, initialise
model = ModelConfig(2, 16, 2, 50, 8, 32, activation="geglu")
decoder = Decoder(model)
initialise(decoder, 0)
assert sum(p.numel() for p in decoder.parameters()) == count_parameters(model).total
ids = torch.randint(0, 50, (2, 9))
swiglu = Decoder(replace(model, activation="swiglu"))
initialise(swiglu, 0)
loss = decoder(ids[:, :-1], ids[:, 1:])
assert torch.isfinite(loss).all() and not torch.equal(loss, swiglu(ids[:, :-1], ids[:, 1:]))
"""


SIN = """
from types import SimpleNamespace
from scaling.checks.catalogue import NAMES, PLAN
(narrow,) = (check for check in PLAN if check.__name__ == "narrow_sizes")
def seen(*sizes):
    points = [SimpleNamespace(params=size) for size in sizes]
    return [finding.level for finding in narrow(SimpleNamespace(plan=SimpleNamespace(points=points)))]
assert "narrow_sizes" in NAMES and seen(100, 900) == ["warn"] and seen(100, 1000) == []
"""


@pytest.mark.parametrize(("page", "then"), [("your-own-architecture.md", CHECK), ("your-own-check.md", SIN)])
def test_a_worked_change_applies_and_does_what_it_says(page: str, then: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scaling", tmp_path / "scaling", ignore=shutil.ignore_patterns("__pycache__"))
    (diff,) = blocks(page, "diff")
    applied = subprocess.run(
        ["git", "apply", "-"], input=diff, text=True, cwd=tmp_path, capture_output=True, check=False, timeout=60
    )
    assert applied.returncode == 0, applied.stderr
    ran = subprocess.run([sys.executable, "-c", then], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)},
                         capture_output=True, text=True, check=False, timeout=120)  # fmt: skip
    assert ran.returncode == 0, ran.stderr


def test_the_table_of_checks_has_each_check_and_no_other() -> None:
    table = (ROOT / "docs/checks.md").read_text().partition("## Every check")[2].partition("Prevented by")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == NAMES
