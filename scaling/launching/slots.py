"""Places to run on one machine: GPUs, shared or grouped, or cores; and which of them are taken."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

# glibc gives freed memory back to the kernel and a small model's activations are page-faulted in again at each
# step; keeping it is worth 1.1 to 1.4 times the speed. Other C libraries ignore the names.
KEEP_FREED_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(1 << 26),
}
# Activations of a few MB each take fewer misses of the page table: 1.02 to 1.08 times.
HUGE_PAGES = "glibc.malloc.hugetlb=1"

# What a process takes of a GPU beside its tensors (context, kernels, cuBLAS' workspace), and the slack that
# fragmentation and another step's peak need over the measured peak.
CONTEXT_BYTES = 700 * 2**20
MEMORY_SLACK = 1.15
# Where memory would hold more, these still share one GPU's kernels queue and the host's cores.
MOST_WORKERS_PER_GPU = 8


@dataclass(frozen=True)
class Slot:
    """A place to run: its devices, and the environment that confines a worker to them or to its cores."""

    name: str
    gpus: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass
class Slots:
    """The slots of a machine. `take` gives one for a run of so many bytes of GPU memory (None: not yet measured)."""

    free: list[Slot]
    by_memory: Mapping[str, int] = field(default_factory=dict)
    used: dict[str, list[int | None]] = field(default_factory=dict)

    def take(self, memory_bytes: int | None = None) -> Slot | None:
        for slot in self.free:
            if slot.gpus and self.by_memory and not self._fits(slot.gpus[0], memory_bytes):
                continue
            self.free.remove(slot)
            if self.by_memory:
                self.used.setdefault(slot.gpus[0], []).append(memory_bytes)
            return slot
        return None

    def release(self, slot: Slot, memory_bytes: int | None = None) -> None:
        self.free.append(slot)
        if self.by_memory:
            self.used[slot.gpus[0]].remove(memory_bytes)

    def take_on(self, gpu: str | None) -> Slot | None:
        """The slot that a process of somebody else occupies: on its GPU, or any where it has none."""
        for slot in self.free:
            if gpu is None or not slot.gpus or set(gpu.split(",")) & set(slot.gpus):
                self.free.remove(slot)
                if self.by_memory:
                    self.used.setdefault(slot.gpus[0], []).append(None)
                return slot
        return None

    def _fits(self, gpu: str, memory_bytes: int | None) -> bool:
        """A run whose memory is unknown wants its GPU alone."""
        there = self.used.get(gpu, [])
        if not there:
            return True
        known = [used for used in (*there, memory_bytes) if used is not None]
        if len(known) <= len(there):
            return False
        return sum(used * MEMORY_SLACK + CONTEXT_BYTES for used in known) <= self.by_memory[gpu]


def make_slots(
    *,
    workers: int | None,
    threads: int,
    use_gpus: bool,
    workers_per_gpu: int | Literal["auto"] = 1,
    gpus_per_point: int = 1,
) -> Slots:
    """Slots for each GPU (or group of `gpus_per_point`), or for each `threads` cores; `workers` overrides their
    number, and GPUs are then shared in turn.

    Raises ValueError where fewer GPUs are visible than one point asks for.
    """
    gpus = visible_gpus() if use_gpus else []
    if not gpus:
        if gpus_per_point > 1:
            raise ValueError(
                f"launch.gpus_per_point is {gpus_per_point} and no GPU is visible: set it to 1, or make GPUs visible "
                "(CUDA_VISIBLE_DEVICES, nvidia-smi)"
            )
        count = workers or max(1, usable_cores() // threads)
        return Slots([Slot(f"cpu{i}", (), cpu_environment(str(threads))) for i in range(count)])
    if gpus_per_point > len(gpus):
        raise ValueError(
            f"launch.gpus_per_point is {gpus_per_point} and {len(gpus)} GPUs are visible ({', '.join(gpus)}): "
            "lower it, or make more visible"
        )
    groups = [tuple(gpus[i : i + gpus_per_point]) for i in range(0, len(gpus) - gpus_per_point + 1, gpus_per_point)]
    shares = MOST_WORKERS_PER_GPU if workers_per_gpu == "auto" else workers_per_gpu
    count = workers or len(groups) * shares
    # The shares of one GPU are far apart in the list, so that runs spread over the GPUs before they share one.
    slots = [
        Slot(f"gpu{'+'.join(group)}", group, {**_environment(str(threads)), "CUDA_VISIBLE_DEVICES": ",".join(group)})
        for group in (groups[i % len(groups)] for i in range(count))
    ]
    return Slots(slots, gpu_memory(gpus) if workers_per_gpu == "auto" else {})


def cpu_environment(threads: str) -> dict[str, str]:
    """Threads that wait for the next step sleep: spinning, they would take the other workers' cores."""
    return {**_environment(threads), "OMP_WAIT_POLICY": "PASSIVE"}


def _environment(threads: str) -> dict[str, str]:
    # What the user tunes stays.
    tunables = os.environ.get("GLIBC_TUNABLES") or HUGE_PAGES
    return {
        **KEEP_FREED_MEMORY,
        "GLIBC_TUNABLES": tunables if HUGE_PAGES in tunables else f"{tunables}:{HUGE_PAGES}",
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
    }


def usable_cores() -> int:
    """Cores this process may run on: a container's share, not the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """Ids from CUDA_VISIBLE_DEVICES, or else the UUIDs of nvidia-smi, without importing torch; none is no error.

    A GPU that is cut into MIG devices is not one itself: its parts stand for it.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [gpu.strip() for gpu in named.split(",") if gpu.strip() not in ("", "-1")]
    return parse_gpu_list(_nvidia_smi("-L"))


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


def gpu_memory(gpus: Sequence[str]) -> dict[str, int]:
    """Total bytes of each GPU by its index or UUID. One that nvidia-smi does not list (a MIG device) counts as empty,
    so that nothing shares it."""
    listing = _nvidia_smi("--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits")
    known: dict[str, int] = {}
    for line in listing.splitlines():
        index, uuid, mebibytes = (part.strip() for part in line.split(","))
        known[index] = known[uuid] = int(mebibytes) * 2**20
    return {gpu: known.get(gpu, 0) for gpu in gpus}


def _nvidia_smi(*arguments: str) -> str:
    try:
        return subprocess.run(["nvidia-smi", *arguments], capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
