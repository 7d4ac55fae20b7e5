"""What stands between a command and its first step: modules that neither a sweep nor a worker may wait for.

Held by their names, since seconds are the machine's. docs/limits.md has the seconds.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny_run import make_run, make_spec

ROOT = Path(__file__).parents[2]

# Modules that take a tenth of a second of a core or more, each with who brings it in.
OF_NOBODY = {"pandas", "datasets", "pyarrow", "tensorboard", "tokenizers", "huggingface_hub"}
COMPILER = {"torch._dynamo", "torch._inductor", "sympy", "torch.distributed.fsdp"}

RECORD_MODULES = """
import atexit, json, sys
atexit.register(lambda: print("MODULES", json.dumps(sorted(sys.modules))))
"""


def modules(code: str, *arguments: str) -> set[str]:
    """What a process had imported when it ended."""
    ended = subprocess.run(
        [sys.executable, "-c", RECORD_MODULES + code, *arguments], check=False, capture_output=True, text=True, cwd=ROOT
    )
    assert ended.returncode == 0, ended.stderr
    return set(json.loads(ended.stdout.rpartition("MODULES ")[2]))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_imports_neither_the_compiler_nor_a_config(optimizer: str, tmp_path: Path, corpus_folder: Path) -> None:
    _, folder = make_run(tmp_path, make_spec(steps=(5,), optimizer=optimizer), corpus_folder)
    known = modules("from scaling.train import main; main()", str(folder))
    assert "torch" in known
    assert not known & (COMPILER | OF_NOBODY | {"hydra", "omegaconf", "scipy", "optuna", "matplotlib", "botocore"})


def test_events_are_what_brings_tensorboard(tmp_path: Path, corpus_folder: Path) -> None:
    _, folder = make_run(tmp_path, make_spec(steps=(5,)), corpus_folder, tensorboard=True)
    known = modules("from scaling.train import main; main()", str(folder))
    assert "tensorboard" in known
    assert not known & COMPILER


def test_a_sweep_plans_and_launches_without_torch_and_figures(tmp_path: Path) -> None:
    """Up to its first worker, all that is launched with included."""
    code = "import scaling.stages.local; from scaling.sweep import main; main()"
    known = modules(code, "experiment=tiny", "dry_run=true", f"runs={tmp_path}", f"cache={tmp_path}")
    assert {"hydra", "scaling.stages.sweeping", "scaling.launching.pool"} <= known
    assert not known & (OF_NOBODY | {"torch", "optuna", "matplotlib", "botocore", "scipy.optimize", "scipy.stats"})
