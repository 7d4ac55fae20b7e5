"""Places to run on one machine: GPUs, shared or grouped, or cores; and which of them are taken."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from scaling.launching.gpus import gpu_memory, same_gpu, visible_gpus
from scaling.machine import CONTEXT_BYTES, GPU_SHARE, SLOT

# glibc gives freed memory back to the kernel and a small model's activations are page-faulted in again at each
# step; keeping it is worth 1.1 to 1.4 times the speed. Other C libraries ignore the names.
KEEP_FREED_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(1 << 26),
}
# Activations of a few MB each take fewer misses of the page table: 1.02 to 1.08 times.
HUGE_PAGES = "glibc.malloc.hugetlb=1"

# What fragmentation and another step's peak need over the measured peak.
MEMORY_SLACK = 1.15
# Blocks that grow in place: activations of another shape find room among what is freed.
ALLOCATOR = "expandable_segments:True"
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
    """The slots of a machine. `take` gives one for a run of so many bytes of GPU memory; None wants its GPU alone, as
    does a run whose memory nobody knows. Without `by_memory` bytes do not matter, and a slot is a place on its GPU."""

    free: list[Slot]
    by_memory: Mapping[str, int] = field(default_factory=dict)
    used: dict[str, list[int | None]] = field(default_factory=dict)

    @property
    def on_gpus(self) -> bool:
        return any(slot.gpus for slot in self.free)

    def take(self, memory_bytes: int | None = None) -> Slot | None:
        for slot in self.free:
            if slot.gpus and not self._fits(slot.gpus[0], memory_bytes):
                continue
            self.free.remove(slot)
            if slot.gpus:
                self.used.setdefault(slot.gpus[0], []).append(memory_bytes)
            return slot
        return None

    def place(self, slot: Slot, memory_bytes: int | None) -> Slot:
        """A taken slot as its worker has it: held to a share of a GPU that others may join, with all of one that it has
        alone."""
        if not slot.gpus or (memory_bytes is not None and not self.by_memory):
            return slot
        total = self.by_memory.get(slot.gpus[0], 0)
        share = 1.0 if memory_bytes is None or not total else min(1.0, room(memory_bytes, total) / total)
        return replace(slot, environment={**slot.environment, GPU_SHARE: f"{share:.6f}"})

    def release(self, slot: Slot, memory_bytes: int | None = None) -> None:
        self.free.append(slot)
        if slot.gpus:
            self.used[slot.gpus[0]].remove(memory_bytes)

    def take_on(self, gpu: str | None) -> Slot | None:
        """The slot that a process of somebody else occupies: on its GPU, or any where it has none."""
        for slot in self.free:
            if gpu is None or not slot.gpus or any(same_gpu(a, b) for a in gpu.split(",") for b in slot.gpus):
                self.free.remove(slot)
                if slot.gpus:
                    self.used.setdefault(slot.gpus[0], []).append(self.of_somebody)
                return slot
        return None

    @property
    def of_somebody(self) -> int | None:
        """What another process counts for: by memory it might take all."""
        return None if self.by_memory else 0

    def _fits(self, gpu: str, memory_bytes: int | None) -> bool:
        there = self.used.get(gpu, [])
        if not there:
            return True
        if not self.by_memory:
            return memory_bytes is not None and None not in there
        known = [used for used in (*there, memory_bytes) if used is not None]
        if len(known) <= len(there):
            return False
        return sum(room(used, self.by_memory[gpu]) for used in known) <= self.by_memory[gpu]


def room(memory_bytes: int, total: int) -> float:
    """Bytes of a GPU that a run is given: what it needs, and more where the others that may come leave it."""
    return max(memory_bytes * MEMORY_SLACK + CONTEXT_BYTES, total / MOST_WORKERS_PER_GPU)


def make_slots(
    *,
    workers: int | None,
    threads: int,
    use_gpus: bool | None,
    workers_per_gpu: int | Literal["auto"] = 1,
    gpus_per_point: int = 1,
) -> Slots:
    """Slots for each GPU (or group of `gpus_per_point`), or for each `threads` cores; `workers` overrides their
    number, and GPUs are then shared in turn. `use_gpus` None takes GPUs where there are any.

    Raises ValueError where fewer GPUs are visible than one point asks for, or none although they are to be used.
    """
    gpus = [] if use_gpus is False else visible_gpus()
    if not gpus and use_gpus:
        raise ValueError(
            f"runtime.device is cuda and no GPU is found (CUDA_VISIBLE_DEVICES is "
            f"{os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')}; nvidia-smi and the driver's files list none): make "
            "one visible, or set runtime.device=cpu"
        )
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
    at_once = -(-count // len(groups))
    share = {GPU_SHARE: f"{1 / at_once:.6f}"} if at_once > 1 and workers_per_gpu != "auto" else {}
    # The shares of one GPU are far apart in the list, so that runs spread over the GPUs before they share one.
    slots = [
        Slot(f"gpu{'+'.join(group)}", group, {**gpu_environment(str(threads), group), **share})
        for group in (groups[i % len(groups)] for i in range(count))
    ]
    return Slots(slots, gpu_memory(gpus) if workers_per_gpu == "auto" else {})


def cpu_environment(threads: str) -> dict[str, str]:
    """Threads that wait for the next step sleep: spinning, they would take the other workers' cores. No GPU is seen."""
    return {**_environment(threads), "OMP_WAIT_POLICY": "PASSIVE", SLOT: "cpu", "CUDA_VISIBLE_DEVICES": ""}


def gpu_environment(threads: str, gpus: tuple[str, ...] | None = None) -> dict[str, str]:
    """`gpus` None leaves those that are visible already, as Slurm gives them."""
    visible = {} if gpus is None else {"CUDA_VISIBLE_DEVICES": ",".join(gpus)}
    # The second name is that of torch before 2.9. What the user tunes stays.
    names = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
    allocator = {} if set(names) & os.environ.keys() else dict.fromkeys(names, ALLOCATOR)
    return {**_environment(threads), **allocator, **visible, SLOT: "gpu"}


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
