"""Settings of every test, the corpus that tests of training share, and a machine that pretends to have GPUs."""

import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# One thread: two that spin against each other on a busy machine take ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell's background job is started with interrupts ignored, and so would be all that its tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from scaling.data.config import DataConfig, SourceConfig, TokenizerConfig
from scaling.data.prepare import prepare
from scaling.launching import gpus

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    generator = random.Random(0)
    for i in range(30):
        (root / f"{i}.txt").write_text(" ".join(generator.choice(WORDS) for _ in range(300)))
    config = DataConfig(
        name="words",
        source=SourceConfig(kind="local", path=str(root)),
        tokenizer=TokenizerConfig(kind="bytes"),
        licence="none",
        description="random words",
        validation_fraction=0.1,
    )
    return prepare(config, tmp_path_factory.mktemp("cache"))


TWO = """case "$1" in
-L) echo "GPU 0: NVIDIA H200 (UUID: GPU-aaaa-1)"; echo "GPU 1: NVIDIA H200 (UUID: GPU-bbbb-2)";;
*memory*) echo "0, GPU-aaaa-1, 143771"; echo "1, GPU-bbbb-2, 143771";;
*index*) echo "0, GPU-aaaa-1, NVIDIA H200"; echo "1, GPU-bbbb-2, NVIDIA H200";;
*) echo "NVIDIA H200"; echo "NVIDIA H200";;
esac
"""


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """A machine whose nvidia-smi is the given lines of shell; returns the file of its calls, a line for each."""

    def pretend(lines: str) -> Path:
        calls, command = tmp_path / "calls", tmp_path / "bin" / "nvidia-smi"
        command.parent.mkdir(exist_ok=True)
        command.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n{lines}\n')
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{command.parent}:/usr/bin:/bin")
        forget()
        return calls

    def forget() -> None:
        gpus._nvidia_smi.cache_clear()
        gpus._hung.clear()

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "DRIVER_FILES", tmp_path / "driver")
    monkeypatch.setattr(gpus, "DEVICE_FILES", tmp_path / "dev")
    yield pretend
    forget()
