"""What a worker is told of its place, by its environment: whether it has a GPU, and how much of it.

The launching room writes these variables, the training room reads them; a process that nobody launched has none.
"""

import os
import re
from pathlib import Path
from typing import Literal

SLOT = "SCALING_SLOT"  # gpu: a CUDA device or an error; cpu: none, whatever is visible
GPU_SHARE = "SCALING_GPU_SHARE"  # of the memory of its GPU that a worker may take; without it all

DRIVER_FILE = Path("/proc/driver/nvidia/version")

SlotKind = Literal["cpu", "gpu"]

# What a process takes of a GPU beside its tensors: context, kernels, cuBLAS' workspace.
CONTEXT_BYTES = 700 * 2**20


def slot_kind() -> SlotKind | None:
    """Of this process; None where no pool gave it a place."""
    kind = os.environ.get(SLOT)
    return "gpu" if kind == "gpu" else "cpu" if kind == "cpu" else None


def driver_version() -> str:
    """Of the NVIDIA driver that this machine runs; none where there is none, or where it keeps that to itself."""
    try:
        told = re.search(r"Kernel Module\D*(\d+(?:\.\d+)+)", DRIVER_FILE.read_text())
    except OSError:
        return "none"
    return told[1] if told else "unknown"


def gpu_share() -> float:
    """Of its GPU's memory, that of this process: above 0 and at most 1."""
    try:
        share = float(os.environ.get(GPU_SHARE, "1"))
    except ValueError:
        return 1.0
    return share if 0.0 < share <= 1.0 else 1.0
