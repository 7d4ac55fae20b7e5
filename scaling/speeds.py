"""How long this machine takes for a step of each shape: measured once, kept in the cache, read by the planner.

A speed belongs to the conditions that it was measured under: processor, GPUs, torch, precision, threads, workers at a
time, and the code of the step itself. Under other conditions it is another file.
"""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from scaling.specs import RunSpec
from scaling.values import ValueMismatch, read_json, to_plain

# What a step consists of: a change in one of them is another speed.
STEP_SOURCES = (
    "model/*.py",
    "training/step.py",
    "training/optimizer.py",
    "training/evaluate.py",
    "training/device.py",
    "training/capture.py",
    "training/muon.py",
    "training/choices.py",
)


@dataclass(frozen=True)
class ShapeSpeed:
    """Seconds of one optimiser step, and of the evaluation of one validation token, with every worker at work.
    `peak_reserved_bytes` is what both took of a GPU's memory, None on a CPU."""

    shape: str
    seconds_per_step: float
    seconds_per_validation_token: float
    peak_reserved_bytes: int | None = None

    def __post_init__(self) -> None:
        if not (self.seconds_per_step > 0 and self.seconds_per_validation_token >= 0):
            raise ValueError(f"{self.shape} takes {self.seconds_per_step} s a step; that must be positive")


@dataclass(frozen=True)
class Calibration:
    conditions: dict[str, str]
    speeds: tuple[ShapeSpeed, ...] = ()

    @cached_property
    def by_shape(self) -> dict[str, ShapeSpeed]:
        return {speed.shape: speed for speed in self.speeds}


def shape_of(run: RunSpec) -> str:
    """What decides the time of a step: architecture, batch, optimiser; no seed, no rate, no corpus."""
    plain = [to_plain(run.model), run.optimizer.kind, run.optimizer.batch_tokens]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def conditions(**circumstances: object) -> dict[str, str]:
    """Those of this machine and this code, and what the caller adds: how the workers run."""
    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = "none"
    return {
        "processor": processor_name(),
        "torch": torch,
        "code": code_version(),
        **{name: str(value) for name, value in circumstances.items()},
    }


def calibration_path(cache: Path, under: Mapping[str, str]) -> Path:
    digest = hashlib.sha256(json.dumps(dict(under), sort_keys=True).encode()).hexdigest()[:16]
    return cache / "speeds" / f"{digest}.json"


def read_calibration(cache: Path, under: Mapping[str, str]) -> Calibration:
    """What was measured under these conditions; no speeds where nothing was, or where the file is not whole."""
    try:
        return read_json(Calibration, calibration_path(cache, under))
    except (FileNotFoundError, ValueMismatch):
        return Calibration(dict(under))


def processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return named[0] if named else platform.machine()


def code_version() -> str:
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for pattern in STEP_SOURCES:
        for path in sorted(package.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
