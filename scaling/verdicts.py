"""What `python -m scaling.gpu_check` found on a machine: which features have earned their use there.

A verdict belongs to one GPU, driver, torch and code of the step. Under any other it is none, whatever file it is in.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from scaling.machine import driver_version
from scaling.speeds import code_version
from scaling.values import ValueMismatch, read_json, write_json

# capture   the step as a CUDA graph       compile  blocks by the compiler
# sharing   several workers under MPS      tf32     TensorFloat-32 for models whose step waits for launches
Feature = Literal["capture", "compile", "sharing", "tf32"]
FEATURES: tuple[Feature, ...] = ("capture", "compile", "sharing", "tf32")


@dataclass(frozen=True)
class Earned:
    """Whether a feature computed what it must and was worth it, and by what measure."""

    passed: bool
    words: str


@dataclass(frozen=True)
class Verdict:
    gpu: str
    driver: str
    torch: str
    code: str
    made_at: str
    features: dict[str, Earned] = field(default_factory=dict)

    def on(self, feature: Feature) -> Earned:
        return self.features.get(
            feature, Earned(False, "no check of this GPU, driver, torch and code has looked at it")
        )


def verdict_path(cache: Path, gpu: str, torch: str) -> Path:
    conditions = [gpu, driver_version(), torch, code_version()]
    return cache / "gpu-checks" / f"{hashlib.sha256(json.dumps(conditions).encode()).hexdigest()[:16]}.json"


def read_verdict(cache: Path, gpu: str, torch: str) -> Verdict:
    """Of this GPU under this machine's driver and this code; one without features where there is none, or where the
    file tells of another or is not whole."""
    none = Verdict(gpu, driver_version(), torch, code_version(), "never")
    try:
        found = read_json(Verdict, verdict_path(cache, gpu, torch))
    except (OSError, ValueMismatch):
        return none
    same = (found.gpu, found.driver, found.torch, found.code) == (none.gpu, none.driver, none.torch, none.code)
    return found if same else none


def write_verdict(cache: Path, verdict: Verdict) -> Path:
    path = verdict_path(cache, verdict.gpu, verdict.torch)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, verdict)
    return path
