"""The throw-away cluster that the tests of this folder share."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

LAB = Path(__file__).parents[2] / "scripts" / "slurm-lab.sh"


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("lab")
    up = subprocess.run([LAB, "up", folder], capture_output=True, text=True, check=False, timeout=300)
    if up.returncode == 3:
        subprocess.run([LAB, "down", folder], check=False, timeout=60)
        pytest.skip(f"no Slurm on this machine: {up.stderr.strip()}")
    assert up.returncode == 0, up.stderr
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    yield folder
    del os.environ["SLURM_CONF"]
    subprocess.run([LAB, "down", folder], check=True, timeout=120)
