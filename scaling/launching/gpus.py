"""The GPUs of this machine, without importing torch: by CUDA_VISIBLE_DEVICES, nvidia-smi, or the driver's own files."""

import functools
import logging
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

log = logging.getLogger(__name__)

SECONDS_FOR_NVIDIA_SMI = 20
DRIVER_FILES = Path("/proc/driver/nvidia/gpus")
DEVICE_FILES = Path("/dev")

_hung: list[list[str]] = []


def visible_gpus() -> list[str]:
    """Ids from CUDA_VISIBLE_DEVICES, or else UUIDs from nvidia-smi or, as many containers lack that, from the driver's
    files; none is no error.

    A GPU that is cut into MIG devices is not one itself: its parts stand for it.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return _named(named)
    return parse_gpu_list(_nvidia_smi("-L")) or list(_driver_gpus())


def _named(named: str) -> list[str]:
    """As CUDA reads the list: what is no id (-1, all, NoDevFiles, an empty place) ends it; each device counts once."""
    gpus: list[str] = []
    for gpu in (part.strip() for part in named.split(",")):
        if not re.fullmatch(r"\d+|(GPU|MIG)-\S+", gpu):
            break
        if gpu not in gpus:
            gpus.append(gpu)
    return gpus


def parse_gpu_list(listing: str) -> list[str]:
    """UUIDs from `nvidia-smi -L`, in its order."""
    gpus: list[str] = []
    whole: str | None = None
    for line in listing.splitlines():
        found = re.search(r"UUID: ((?:GPU|MIG)-[^)\s]+)\)", line)
        if found is None:
            continue
        if found[1].startswith("GPU-"):
            whole = found[1]
        elif whole is not None and whole in gpus:
            gpus.remove(whole)
        gpus.append(found[1])
    return gpus


def _driver_gpus() -> Iterator[str]:
    """A container sees the files of all GPUs and the devices of its own."""
    for path in sorted(DRIVER_FILES.glob("*/information")):
        try:
            facts = dict(re.findall(r"^([^:\n]+):\s*(.*?)\s*$", path.read_text(), re.MULTILINE))
        except OSError:
            continue
        uuid, minor = facts.get("GPU UUID", ""), facts.get("Device Minor", "")
        if uuid.startswith("GPU-") and "?" not in uuid and (DEVICE_FILES / f"nvidia{minor}").exists():
            yield uuid


def gpu_memory(gpus: Sequence[str]) -> dict[str, int]:
    """Total bytes of each GPU by its index or UUID. One that nvidia-smi does not list (a MIG device) counts as empty,
    so that nothing shares it."""
    known: dict[str, int] = {}
    for index, uuid, mebibytes in _query("index,uuid,memory.total"):
        if mebibytes.isdecimal():
            known[index] = known[uuid] = int(mebibytes) * 2**20
    return {gpu: known.get(gpu, 0) for gpu in gpus}


def gpu_names() -> tuple[str, ...]:
    """The kinds of GPU that nvidia-smi lists, each once; empty where it lists none."""
    return tuple(dict.fromkeys(name for (name,) in _query("name")))


def same_gpu(one: str, other: str) -> bool:
    """Whether two ids mean one GPU: CUDA_VISIBLE_DEVICES may say `0` for what nvidia-smi calls by its UUID, and takes
    the beginning of a UUID."""
    first, second = uuid_of(one), uuid_of(other)
    if "-" in first and "-" in second:
        return first.startswith(second) or second.startswith(first)
    return first == second


def uuid_of(gpu: str) -> str:
    """The UUID of an index, where CUDA counts as nvidia-smi does: by bus, or among GPUs that are alike."""
    rows = list(_query("index,uuid,name"))
    if os.environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID" and len({name for _, _, name in rows}) > 1:
        return gpu
    return next((uuid for index, uuid, _ in rows if index == gpu), gpu)


def _query(columns: str) -> Iterator[tuple[str, ...]]:
    """Rows of nvidia-smi; lines that are none are passed over."""
    for line in _nvidia_smi(f"--query-gpu={columns}", "--format=csv,noheader,nounits").splitlines():
        row = tuple(part.strip() for part in line.split(","))
        if len(row) == columns.count(",") + 1:
            yield row


@functools.cache
def _nvidia_smi(*arguments: str) -> str:
    """Once a command: without the persistence daemon each call takes seconds. One that hung is asked nothing more."""
    if _hung:
        return ""
    command = ["nvidia-smi", *arguments]
    try:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace",
            start_new_session=True,
        )  # fmt: skip
    except OSError:
        return ""
    try:
        said, _ = process.communicate(timeout=SECONDS_FOR_NVIDIA_SMI)
    except subprocess.TimeoutExpired:
        _hung.append(command)
        log.warning("%s does not answer within %d s", " ".join(command), SECONDS_FOR_NVIDIA_SMI)
        # Not waited for: a process that hangs in its driver does not die of it.
        os.killpg(process.pid, signal.SIGKILL)
        process.poll()
        return ""
    return said if process.returncode == 0 else ""
