"""The command as a person types it, killed on its way, on the machine's own workers."""

import random
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

ROOT = Path(__file__).parents[2]
WORDS = ["alpha", "beta", "gamma", "delta"]


def command(folder: Path, module: str, *overrides: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        f"scaling.{module}",
        "experiment=tiny",
        "data=local",
        f"data.source.path={folder / 'text'}",
        "data.validation_fraction=0.1",
        f"runs={folder / 'runs'}",
        f"cache={folder / 'cache'}",
        "runtime.tensorboard=false",
        *overrides,
    ]


@pytest.mark.slow  # ten runs in processes of their own, two of them killed: a minute
def test_killed_on_its_way_a_search_goes_on_to_a_recipe_that_a_study_takes(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    generator = random.Random(0)
    for i in range(20):
        (tmp_path / "text" / f"{i}.txt").write_text(" ".join(generator.choices(WORDS, k=300)))
    search = command(
        tmp_path,
        "tune",
        *("study=lr", "size=6k", "tokens=256000", "trials=3", "finalists=1", "seeds=[1, 2]", "space=rates"),
        "runtime.checkpoint_every_seconds=0.5",
    )
    storage = f"sqlite:///{tmp_path / 'runs/lr/tune.db'}"
    first = subprocess.Popen(search, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while (
        time.monotonic() < deadline
        and first.poll() is None
        and not list((tmp_path / "runs/lr/trials").glob("*/trunk.pt"))
    ):
        time.sleep(0.2)
    assert first.poll() is None
    first.kill()
    first.wait()
    begun = {t.number: t.params for t in optuna.load_study(study_name="lr", storage=storage).trials}
    assert begun
    done = subprocess.run(search, cwd=ROOT, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    assert "than the default recipe" in done.stdout or "indistinguishable" in done.stdout
    trials = optuna.load_study(study_name="lr", storage=storage).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3
    assert {number: trials[number].params for number in begun} == begun
    sweep = command(tmp_path, "sweep", "study=mine", "recipe=lr", f"hydra.searchpath=[file://{tmp_path / 'runs/lr'}]")
    planned = subprocess.run([*sweep, "dry_run=true"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert planned.returncode == 0, planned.stderr
