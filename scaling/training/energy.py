"""Seconds and joules of training. Joules are those that NVML counts for a whole GPU (Volta and later)."""

import logging
import time
from dataclasses import dataclass
from typing import Any

import torch

log = logging.getLogger(__name__)

MILLIJOULE = 1e-3


class EnergyMeter:
    """`joules()` only grows; None where nothing counts: no GPU, no `nvidia-ml-py`, a MIG slice, an older GPU.

    The counter is of the GPU, so for whoever shares one it counts in full.
    """

    def __init__(self, device: torch.device) -> None:
        self._nvml: Any = None
        if device.type != "cuda":
            return
        try:
            import pynvml
        except ImportError:
            log.info("energy is not measured: nvidia-ml-py is not installed (pip install 'scaling-sweep[nvml]')")
            return
        try:
            pynvml.nvmlInit()
            # NVML numbers GPUs its own way and knows nothing of CUDA_VISIBLE_DEVICES; both know the UUID.
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
            pynvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)
        except pynvml.NVMLError as error:
            log.info("energy is not measured: NVML says %s", error)
            return
        self._nvml = pynvml

    def joules(self) -> float | None:
        if self._nvml is None:
            return None
        return MILLIJOULE * float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))


@dataclass(frozen=True)
class Lap:
    seconds: float
    joules: float | None


class Stopwatch:
    """What passes between one reading and the next; `restart` leaves out what lay before it."""

    def __init__(self, meter: EnergyMeter) -> None:
        self._meter = meter
        self.restart()

    def restart(self) -> None:
        self._clock, self._joules = time.perf_counter(), self._meter.joules()

    def lap(self) -> Lap:
        clock, joules = self._clock, self._joules
        self.restart()
        spent = None if joules is None or self._joules is None else self._joules - joules
        return Lap(self._clock - clock, spent)
