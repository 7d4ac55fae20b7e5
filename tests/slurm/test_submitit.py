"""Submitit's own Slurm launcher on the throw-away cluster, whose jobs it knows through a planted `sacct`."""

import importlib.util
import os
from pathlib import Path

import pytest

from tests.launching.test_any_launcher import check, six_points

# The lab has no accounting. What submitit asks of it (JobID|State|NodeList) the controller knows as well.
SACCT = r"""#!/bin/sh
echo 'JobID|State|NodeList'
scontrol --oneliner show job | awk '{
  split("", job)
  for (i = 1; i <= NF; i++) if (at = index($i, "=")) job[substr($i, 1, at - 1)] = substr($i, at + 1)
  id = ("ArrayTaskId" in job) ? job["ArrayJobId"] "_" job["ArrayTaskId"] : job["JobId"]
  print id "|" job["JobState"] "|" job["NodeList"]
}'
"""


@pytest.mark.slurm
@pytest.mark.skipif(
    importlib.util.find_spec("submitit") is None, reason="it is not installed: pip install 'scaling-sweep[submitit]'"
)
def test_one_raises_one_is_killed_and_four_are_trained(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, root = tmp_path / "bin", tmp_path / "root"
    programs.mkdir()
    root.mkdir()
    (programs / "sacct").write_text(SACCT)
    (programs / "sacct").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    launcher = ("hydra/launcher=submitit_slurm", "hydra.launcher.partition=low", "hydra.launcher.timeout_min=20")
    done, runs = six_points(root, "train", "-m", *launcher)
    check(root, done, runs)
