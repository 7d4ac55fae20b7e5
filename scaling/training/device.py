"""Devices, precisions and memory: what "auto" means here, and what a machine is called in a record."""

import gc
import logging
import os
import platform
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from scaling.machine import CONTEXT_BYTES, gpu_share, slot_kind
from scaling.training.config import Runtime

log = logging.getLogger(__name__)

# How allocators and libraries that raise no torch.OutOfMemoryError say it.
OUT_OF_MEMORY_WORDS = (
    "DefaultCPUAllocator: can't allocate memory",
    "MPS backend out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
# The first with tensor cores for bfloat16: older ones emulate it, and torch says nothing.
BF16_SINCE = (8, 0)


class OutOfMemory(Exception):
    """One sequence at a time does not fit; the message says what was tried."""


class CrowdedOut(Exception):
    """Memory ran out on a GPU that others share: that says nothing of the run, which another try may find room for."""


def is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY_WORDS)


def release_memory(device: torch.device) -> None:
    """Give cached blocks back, so that a smaller attempt does not find them in pieces."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def release_everything() -> None:
    """Of a run that is over, before the next in this process."""
    gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def crowd(device: torch.device) -> str | None:
    """Who else this GPU's memory belongs to, in words; None where it is this process' alone.

    Others are other processes, whoever started them, or the pool, which gave this one a share.
    """
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    others = total - free - torch.cuda.memory_reserved(device) - CONTEXT_BYTES
    if others > CONTEXT_BYTES:
        return f"other processes hold {others / 2**30:.1f} GiB of its GPU's {total / 2**30:.1f} GiB"
    if gpu_share() < 1.0:
        return f"its share is {gpu_share():.0%} of its GPU's {total / 2**30:.1f} GiB"
    return None


def choose_device(runtime: Runtime, local_rank: int = 0) -> torch.device:
    """Of this process; raises ValueError where the asked device, or that of its slot, is not there."""
    slot = slot_kind()
    if runtime.device == "auto" and slot is not None:
        kind = "cuda" if slot == "gpu" else "cpu"
    elif runtime.device == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    else:
        kind = runtime.device
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if local_rank >= count:
            wants = "this is the slot of a GPU" if slot == "gpu" else f"runtime.device is {runtime.device}"
            raise ValueError(
                f"{wants} and process {local_rank} of this machine finds {count} CUDA devices (torch "
                f"{torch.__version__}, built for {built_for()}): install a CUDA build of torch that the driver can "
                "run, start no more processes than there are GPUs, or set runtime.device=cpu"
            )
        torch.cuda.set_device(local_rank)
        return torch.device("cuda", local_rank)
    return torch.device(kind)


def built_for() -> str:
    if torch.version.hip:
        return f"ROCm {torch.version.hip}"
    return f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPUs alone"


def limit_memory(device: torch.device) -> None:
    """Hold this process to its share of its GPU."""
    if device.type == "cuda":
        total = torch.cuda.mem_get_info(device)[1]
        share = 1.0 if gpu_share() == 1.0 else max(0.01, gpu_share() - CONTEXT_BYTES / total)
        torch.cuda.set_per_process_memory_fraction(share, device)


def choose_precision(runtime: Runtime, device: torch.device) -> str:
    """What is really used: `tf32` is fp32 on a device that has no TensorFloat-32, and the record says so."""
    if runtime.precision == "auto":
        if device.type != "cuda":
            return "fp32"
        return "bf16" if torch.cuda.get_device_capability(device) >= BF16_SINCE else "fp16"
    if runtime.precision == "tf32" and not _has_tf32(device):
        log.warning("%s has no TensorFloat-32: training in fp32", device_name(device))
        return "fp32"
    return runtime.precision


def _has_tf32(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def fix_workspaces() -> None:
    """What `deterministic` needs of cuBLAS, which reads it when it is first used."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Kernels that sum in a fixed order, where `wanted`."""
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


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


def device_words(device: torch.device, precision: str) -> str:
    """The line that a worker logs: `NVIDIA H200, sm_90, torch 2.13.0+cu130, bf16`."""
    parts = [device_name(device), f"torch {torch.__version__}", precision]
    if device.type == "cuda":
        parts.insert(1, "sm_{}{}".format(*torch.cuda.get_device_capability(device)))
    return ", ".join(parts)


def forget_peak_memory(device: torch.device) -> None:
    """From here on the peaks are of what is allocated now and later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_bytes(device: torch.device) -> int:
    """Of the tensors of the device's allocator on CUDA, of the process elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    kibibytes_on_linux = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kibibytes_on_linux if sys.platform == "darwin" else kibibytes_on_linux * 1024


def peak_reserved_bytes(device: torch.device) -> int | None:
    """What the allocator took of a GPU for its tensors: by this, not by theirs, GPUs are shared."""
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else None


def squeezed(device: torch.device) -> int:
    """How often the allocator had to give blocks back to find room: a step that needs that is slow and silent."""
    if device.type != "cuda":
        return 0
    return int(torch.cuda.memory_stats(device).get("num_alloc_retries", 0))
