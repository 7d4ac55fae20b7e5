"""Devices and precisions: what "auto" means, and what a machine is called in a record."""

import platform
import resource
import sys

import torch

from scaling.training.config import Runtime


def choose_device(runtime: Runtime) -> torch.device:
    """Raises ValueError where the asked device is not there."""
    if runtime.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(runtime.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"runtime.device is {runtime.device} and this torch ({torch.__version__}) sees no CUDA device: set "
            "runtime.device=cpu, or install a CUDA build of torch"
        )
    return device


def choose_precision(runtime: Runtime, device: torch.device) -> str:
    if runtime.precision != "auto":
        return runtime.precision
    return "bf16" if device.type == "cuda" else "fp32"


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
