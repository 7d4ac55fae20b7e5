"""What a device can do at most: the speed of one large matrix product, measured once and kept in the cache."""

import logging
import platform
import time
from pathlib import Path

import torch
from filelock import FileLock

from scaling.datasheets import data_sheet
from scaling.training.device import device_name, matrix_products, synchronize
from scaling.values import ValueMismatch, read_json, write_json

log = logging.getLogger(__name__)

PEAKS_FILE = "matmul-peaks.json"
DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# Large enough for the full rate, small enough for a fraction of a second: 0.3 GFLOP on a core, 1 TFLOP on a GPU.
CPU_SIDE, GPU_SIDE = 512, 8192
PROBE_SECONDS, MIN_PROBES = 0.2, 3
# Of the data sheet; less was measured beside somebody else's work, and is measured again.
LOWEST_SHARE = 0.6


def matmul_peak(device: torch.device, precision: str, cache: Path) -> float:
    """FLOP/s of this process on `device`, from `cache` or measured into it.

    Who finds another process at the measurement waits for its answer, and so does not disturb it by training.
    """
    threads = torch.get_num_threads() if device.type == "cpu" else 0
    key = f"{platform.node()}: {device_name(device)}, {precision}, {threads} threads, torch {torch.__version__}"
    path = cache / PEAKS_FILE
    try:
        with FileLock(path.with_suffix(".lock")):
            known = _read(path)
            if key not in known or known[key] < LOWEST_SHARE * (datasheet_peak(device, precision) or 0.0):
                known[key] = max(measure_peak(device, precision), known.get(key, 0.0))
                write_json(path, known)
            return known[key]
    except OSError as error:
        log.warning("%s cannot be kept (%s); measuring for this process alone", path, error)
        return measure_peak(device, precision)


def datasheet_peak(device: torch.device, precision: str) -> float | None:
    """What the vendor says of the same product; None where no sheet is known."""
    sheet = data_sheet(device_name(device)) if device.type == "cuda" else None
    return None if sheet is None else sheet.flops_per_second(precision)


def _read(path: Path) -> dict[str, float]:
    try:
        known = read_json(dict[str, float], path)
    except (FileNotFoundError, ValueMismatch):
        return {}
    return {key: peak for key, peak in known.items() if peak > 0}


def measure_peak(device: torch.device, precision: str) -> float:
    """FLOP/s of the fastest of several square products; other work on the machine can only make the rest slower."""
    side = GPU_SIDE if device.type == "cuda" else CPU_SIDE
    # Ones draw less power than what a model multiplies, and run a tenth faster where power is the limit.
    generator = torch.Generator(device).manual_seed(0)
    left, right = (
        torch.randn(side, side, generator=generator, dtype=DTYPES[precision], device=device) for _ in range(2)
    )
    seconds: list[float] = []
    with matrix_products(precision):
        left @ right
        while len(seconds) < MIN_PROBES or sum(seconds) < PROBE_SECONDS:
            synchronize(device)
            start = time.perf_counter()
            left @ right
            synchronize(device)
            seconds.append(time.perf_counter() - start)
    return 2.0 * side**3 / min(seconds)
