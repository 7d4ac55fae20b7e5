"""Which code, on which machine: the part of a record that explains a difference nobody planned."""

import functools
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import torch

import scaling
from scaling.machine import driver_version, slot_kind
from scaling.records import Provenance
from scaling.training.choices import Choices
from scaling.training.device import device_name


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


@functools.cache
def git_commit() -> str | None:
    """Of this program's checkout, with "+" where it has changes; None outside one."""
    try:
        # An installed package may lie inside somebody else's checkout, which then does not know this file.
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        changed = _git("status", "--porcelain", "--untracked-files=no")
        return _git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def provenance(
    *,
    device: torch.device,
    precision: str,
    corpus: str,
    tokenizer: str,
    micro_batch_tokens: int,
    processes: int,
    parallel: str,
    choices: Choices,
) -> Provenance:
    return Provenance(
        code_version=scaling.__version__,
        git_commit=git_commit(),
        python=platform.python_version(),
        torch=torch.__version__,
        device=device_name(device),
        precision=precision,
        threads=torch.get_num_threads(),
        host=platform.node(),
        corpus=corpus,
        tokenizer=tokenizer,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        micro_batch_tokens=micro_batch_tokens,
        processes=processes,
        parallel=parallel,
        slot=slot_kind(),
        driver=driver_version() if device.type == "cuda" else None,
        attention=choices.attention,
        compiled=choices.compiled,
        captured=choices.captured,
        choices=choices.reasons or None,
    )
