"""A machine that pretends to have GPUs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scaling.launching import gpus

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
