"""The benchmarks of speed run: ours and the plain loop in one race, and the naive sweep's model is our model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.peers.naive_sweep import PlainDecoder
from benchmarks.train_speed import Entry, race
from scaling.model.decoder import Decoder, initialise
from tests.tiny_run import make_spec

ROOT = Path(__file__).parents[1]


def test_the_naive_sweeps_decoder_is_ours() -> None:
    decoder = Decoder(make_spec().model)
    initialise(decoder, 0)
    windows = torch.randint(0, 256, (4, 33), generator=torch.Generator().manual_seed(0))
    ids, targets = windows[:, :-1], windows[:, 1:]
    torch.testing.assert_close(PlainDecoder(decoder)(ids, targets), decoder(ids, targets) / targets.numel())


@pytest.mark.slow  # two processes that import torch and train: half a minute, minutes on a busy machine
def test_a_race_measures_every_contestant() -> None:
    entries = [Entry("ours", "fp32", True), Entry("nanoGPT style", "fp32", False)]
    for contestant in race(entries, "37k", 2, rounds=2, seconds=0.2):
        assert len(contestant.per_cpu_second) == 2
        assert min(contestant.per_cpu_second) > 0
        assert min(contestant.per_wall_second) > 0


@pytest.mark.slow  # as above
def test_all_contestants_of_this_environment_learn_the_same_text() -> None:
    """Peers of other packages are left to the benchmark; these need torch alone."""
    for name in ("ours (gpt)", "nanoGPT style", "TransformerEncoder"):
        task = {"layers": 1, "width": 16, "heads": 1, "sequences": 4, "precision": "fp32", "compile": False}
        answer = subprocess.run(
            [sys.executable, "-m", "benchmarks.peers.worker", name, json.dumps(task)],
            input="until 60\n",
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        ).stdout.splitlines()
        first, last = (json.loads(line)["loss"] for line in answer)
        assert last < first
