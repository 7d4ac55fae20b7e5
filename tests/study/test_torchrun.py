"""The commands as torchrun starts them, with a study's overrides instead of a run's folder."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.study.test_commands import ROOT, command, losses, run, text_folder

__all__ = ["text_folder"]

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
ALIKE = 1e-5  # of two processes' losses and one's, which round differently


def shared(folder: Path, text: Path, *overrides: str, module: str = "train") -> subprocess.CompletedProcess[str]:
    python, *rest = command(folder, text, *overrides, module=module)
    return subprocess.run(
        [python, *TORCHRUN, *rest], capture_output=True, text=True, check=False, cwd=ROOT, timeout=300
    )


def processes(folder: Path) -> dict[str, int]:
    """How many trained each run."""
    records = [json.loads(path.read_text()) for path in (folder / "runs/tiny").glob("*/record-*.json")]
    return {record["run_id"]: record["provenance"]["processes"] for record in records}


@pytest.mark.slow  # torch is imported five times: by torchrun, and by two processes in each of two commands
def test_two_processes_share_a_point_and_several(tmp_path: Path, text_folder: Path) -> None:
    alone, team = tmp_path / "alone", tmp_path / "team"
    assert run(alone, text_folder, "-m", "point=1,4,7", module="train").returncode == 0
    one = shared(team, text_folder, "point=7")
    assert one.returncode == 0, one.stderr
    assert len(losses(team)) == 1
    several = shared(team, text_folder, "-m", "point=1,4")
    assert several.returncode == 0, several.stderr
    assert set(processes(team).values()) == {2}
    assert losses(team) == pytest.approx(losses(alone), abs=ALIKE)


@pytest.mark.slow  # as above
def test_what_cannot_be_shared_ends_all(tmp_path: Path, text_folder: Path) -> None:
    """A mistake is told once, by the leader; nobody waits for the other."""
    wrong = shared(tmp_path, text_folder, "-m", "point=99")
    assert wrong.returncode != 0
    assert wrong.stderr.count("it must be the number of a point of the plan") == 1
    too_many = shared(
        tmp_path, text_folder, "-m", "point=1", "recipe.batch_tokens=32", "force=[few_steps,unanswerable]"
    )
    assert too_many.returncode != 0
    assert "a batch of 1 sequences cannot be shared by 2 processes" in too_many.stderr
