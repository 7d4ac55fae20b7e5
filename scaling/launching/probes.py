"""The training room's probe on every slot at once, so that workers disturb each other as they will in the study."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from scaling.launching.slots import Slot


class ProbeError(RuntimeError):
    """A probe that ended without an answer; the message has its last words."""


def probe_on(slots: Sequence[Slot], request: Path, folder: Path) -> list[Path]:
    """The answers, one file a slot. Raises ProbeError."""
    answers = [folder / f"{i}.json" for i in range(len(slots))]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "scaling.training.probe", str(request), str(answer)],
            env={**os.environ, **slot.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for slot, answer in zip(slots, answers, strict=True)
    ]
    complaints = [process.communicate()[1] for process in processes]
    for process, complaint in zip(processes, complaints, strict=True):
        if process.returncode:
            last = complaint.strip().splitlines()[-1:] or ["(nothing)"]
            raise ProbeError(f"a probe ended with exit code {process.returncode}: {last[0]}")
    return answers
