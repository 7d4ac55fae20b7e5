"""What people install: configs, plugins and types are in the wheel, and its commands run from any folder."""

import os
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import scaling

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return folder


def test_one_version_everywhere() -> None:
    cited = OmegaConf.load(ROOT / "CITATION.cff")
    assert PROJECT["version"] == scaling.__version__ == cited.version == cited["preferred-citation"].version
    assert f"\n## {scaling.__version__} " in (ROOT / "CHANGELOG.md").read_text()


def test_the_wheel_has_configs_plugins_types_and_every_command(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (scripts,) = (name for name in names if name.endswith("entry_points.txt"))
        text = archive.read(scripts).decode()
    shipped = {f"scaling/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.yaml")}
    plugins = {str(path.relative_to(ROOT)) for path in (ROOT / "hydra_plugins").rglob("*.py")}
    assert shipped | plugins | {"scaling/py.typed"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert all(f"{name} = {target}" in text for name, target in PROJECT["scripts"].items())
    assert not {name.split("/")[0] for name in names} & {"tests", "benchmarks", "docs", "examples"}


def test_the_sdist_builds_and_tests_itself(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"pyproject.toml", "constraints.txt", "Makefile", "LICENSE", "CITATION.cff", "configs/sweep.yaml"}
    assert needed | {"hydra_plugins/scaling/study_sweeper.py", "tests/conftest.py", "scaling/py.typed"} <= names
    assert not any(name.startswith(("runs/", "cache/", ".venv/", "site/")) for name in names)


def test_the_wheel_alone_plans_from_any_folder(built: Path, tmp_path: Path) -> None:
    """Unpacked, beside this environment's packages and away from the checkout."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "scaling.sweep", "experiment=tiny", "dry_run=true"],
        cwd=elsewhere, env={**os.environ, "PYTHONPATH": str(tmp_path / "site")}, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "tiny: 14 points" in ran.stdout
    assert not list(elsewhere.iterdir())


@pytest.mark.slow  # minutes: torch and everything else is installed anew
def test_pip_install_in_a_clean_environment(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    bin_folder = tmp_path / "venv/bin"
    pip = [str(bin_folder / "python"), "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([*pip, "torch==2.13.0", str(wheel)], check=True, env=environment, timeout=1800)
    for command in ([str(bin_folder / "scaling-sweep")], [str(bin_folder / "python"), "-m", "scaling.sweep"]):
        words = [*command, "experiment=tiny", "fit.figures=false", f"runs={tmp_path}/runs", f"cache={tmp_path}/cache"]
        subprocess.run(words, check=True, cwd=tmp_path, env=environment, timeout=600)
    assert (tmp_path / "runs/tiny/report/index.html").exists()
    for name in PROJECT["scripts"]:
        subprocess.run([bin_folder / name, "--help"], check=True, cwd=tmp_path, env=environment, capture_output=True)
