"""Devices, precisions and memory: what "auto" means here, and what a machine is called in a record."""

import logging
import platform
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from scaling.training.config import Runtime

log = logging.getLogger(__name__)

# How allocators that raise no torch.OutOfMemoryError say it.
OUT_OF_MEMORY_WORDS = ("DefaultCPUAllocator: can't allocate memory", "MPS backend out of memory")


class OutOfMemory(Exception):
    """One sequence at a time does not fit; the message says what was tried."""


def is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY_WORDS)


def release_memory(device: torch.device) -> None:
    """Give cached blocks back, so that a smaller attempt does not find them in pieces."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def choose_device(runtime: Runtime, local_rank: int = 0) -> torch.device:
    """Of this process; raises ValueError where the asked device is not there."""
    if runtime.device == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    else:
        kind = runtime.device
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if local_rank >= count:
            raise ValueError(
                f"runtime.device is {runtime.device} and process {local_rank} of this machine finds {count} CUDA "
                f"devices (torch {torch.__version__}): set runtime.device=cpu, install a CUDA build of torch, or start "
                "no more processes than there are GPUs"
            )
        torch.cuda.set_device(local_rank)
        return torch.device("cuda", local_rank)
    return torch.device(kind)


def choose_precision(runtime: Runtime, device: torch.device) -> str:
    """What is really used: `tf32` is fp32 on a device that has no TensorFloat-32, and the record says so."""
    if runtime.precision == "auto":
        return "bf16" if device.type == "cuda" else "fp32"
    if runtime.precision == "tf32" and not _has_tf32(device):
        log.warning("%s has no TensorFloat-32: training in fp32", device_name(device))
        return "fp32"
    return runtime.precision


def _has_tf32(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


@contextmanager
def matrix_products(precision: str) -> Iterator[None]:
    """fp32 products with TensorFloat-32's 10 bits of mantissa under "tf32", with all their bits under any other."""
    # The older of torch's two interfaces: the compiler asks for it in every version, and refuses a mixture.
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} {platform.machine()} {platform.processor()}".strip()


def peak_memory_bytes(device: torch.device) -> int:
    """Of the device's allocator on CUDA, of the process elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    kibibytes_on_linux = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kibibytes_on_linux if sys.platform == "darwin" else kibibytes_on_linux * 1024
