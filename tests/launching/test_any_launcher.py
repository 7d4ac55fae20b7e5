"""Other people's Hydra launchers: six points, of which one raises and one is killed, and four are trained."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What each wants beside its name, and the module that has it; basic comes with Hydra.
LAUNCHERS = {
    "basic": ("hydra", ()),
    "joblib": ("hydra_plugins.hydra_joblib_launcher", ("hydra.launcher.n_jobs=2",)),
    "submitit_local": ("hydra_plugins.hydra_submitit_launcher", ("hydra.launcher.timeout_min=20",)),
    "ray": (
        "hydra_plugins.hydra_ray_launcher",
        ("+hydra.launcher.ray.init.num_cpus=2", "+hydra.launcher.ray.remote.max_retries=0"),
    ),
}


def command(module: str, root: Path, *overrides: str) -> list[str]:
    return [
        sys.executable, "-m", f"scaling.{module}", "experiment=tiny", "data=local", f"data.source.path={root / 'text'}",
        "data.validation_fraction=0.1", f"runs={root / 'runs'}", f"cache={root / 'cache'}", "recipe=cosine",
        "recipe.warmup_min_steps=10", "grid.budgets=[16000,24000]", "grid.replicates=[]", "grid.holdout_share=0",
        "grid.sizes=[{name: a, num_layers: 1, d_model: 8, num_heads: 1}, {name: b, num_layers: 1, d_model: 16, "
        "num_heads: 1}, {name: c, num_layers: 2, d_model: 16, num_heads: 1}]", "runtime.tensorboard=false",
        "force=[few_steps,unanswerable,unidentifiable_design,warmup_share]", "retry=0", *overrides,
    ]  # fmt: skip


def six_points(root: Path, module: str, *overrides: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run them through a launcher, one planted to raise and one to be killed; returns also the six run ids."""
    (root / "text").mkdir()
    for i in range(20):
        words = [f"word{(i * 7 + j * j) % 13}" for j in range(400)]
        (root / "text" / f"{i}.txt").write_text(" ".join(words))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    prepared = subprocess.run(command("prepare", root), capture_output=True, text=True, check=False, env=environment)
    assert prepared.returncode == 0, prepared.stderr
    planned = subprocess.run(
        command("plan", root, "json=true"), capture_output=True, text=True, check=False, env=environment
    )
    runs = [point["run_id"] for point in json.loads(planned.stdout)["points"]]
    assert len(set(runs)) == 6
    (root / "runs" / "tiny" / runs[1] / "curve-trunk.jsonl").mkdir(parents=True)  # the one that raises
    victim, over = root / "runs" / "tiny" / runs[4] / "status.json", threading.Event()

    def kill() -> None:
        while not over.wait(0.005):
            try:
                os.kill(json.loads(victim.read_text())["pid"], signal.SIGKILL)
            except (FileNotFoundError, json.JSONDecodeError, ProcessLookupError):
                continue

    killer = threading.Thread(target=kill)
    killer.start()
    done = subprocess.run(
        command(module, root, *overrides),
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=root,
        timeout=500,
    )
    over.set()
    killer.join()
    return done, runs


def check(root: Path, done: subprocess.CompletedProcess[str], runs: list[str]) -> None:
    """Four are there, two are named with their reasons, the exit code tells, and nothing lies about."""
    assert done.returncode == 1, done.stderr
    trained = {path.parent.name for path in (root / "runs" / "tiny").glob("*/record-*.json")}
    assert trained == set(runs) - {runs[1], runs[4]}, done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
    assert any(runs[1] in line and "IsADirectoryError" in line for line in told), done.stderr
    assert any(runs[4] in line for line in told), done.stderr
    assert "Is a directory" in (root / "runs" / "tiny" / runs[1] / "log.txt").read_text()
    assert {path.name for path in root.iterdir()} == {"text", "runs", "cache"}


@pytest.mark.slow  # a fresh process and its import of torch for each of six points
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_one_raises_one_is_killed_and_four_are_trained(launcher: str, tmp_path: Path) -> None:
    module, overrides = LAUNCHERS[launcher]
    if importlib.util.find_spec(module.split(".")[0]) is None or importlib.util.find_spec(module) is None:
        pytest.skip(f"{launcher} is not installed: pip install 'scaling-sweep[{launcher.split('_')[0]}]'")
    done, runs = six_points(tmp_path, "train", "-m", f"hydra/launcher={launcher}", *overrides)
    check(tmp_path, done, runs)


@pytest.mark.slow
def test_the_pool_does_the_same(tmp_path: Path) -> None:
    done, runs = six_points(tmp_path, "train", "-m")
    check(tmp_path, done, runs)
