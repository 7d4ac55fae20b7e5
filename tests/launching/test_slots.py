"""Slots: GPUs by their ids, shared, grouped or packed by measured memory; cores; what others occupy."""

import os

import pytest

from scaling.launching import gpus as gpus_module
from scaling.launching.gpus import gpu_memory, parse_gpu_list, visible_gpus
from scaling.launching.slots import (
    KEEP_FREED_MEMORY,
    MEMORY_SLACK,
    Slot,
    Slots,
    cpu_environment,
    make_slots,
)
from scaling.machine import CONTEXT_BYTES

GIB = 2**30


def devices(slots: Slots) -> list[str]:
    return [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in slots.free]


def test_slots_are_gpus_or_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-ab12")
    assert visible_gpus() == ["3", "GPU-ab12"]
    assert devices(make_slots(workers=None, threads=1, use_gpus=True)) == ["3", "GPU-ab12"]
    assert devices(make_slots(workers=3, threads=1, use_gpus=True)) == ["3", "GPU-ab12", "3"]
    shared = make_slots(workers=None, threads=1, use_gpus=True, workers_per_gpu=2)
    assert devices(shared) == ["3", "GPU-ab12", "3", "GPU-ab12"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    cores = make_slots(workers=None, threads=1, use_gpus=None).free
    assert len(cores) == len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    assert all(slot.environment["OMP_NUM_THREADS"] == "1" for slot in cores)
    assert all(KEEP_FREED_MEMORY.items() <= slot.environment.items() for slot in cores)


def test_what_the_user_tunes_of_the_allocator_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    alone = cpu_environment("1")["GLIBC_TUNABLES"]
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=1")
    both = cpu_environment("1")["GLIBC_TUNABLES"]
    assert both == f"glibc.malloc.check=1:{alone}"
    monkeypatch.setenv("GLIBC_TUNABLES", both)
    assert cpu_environment("1")["GLIBC_TUNABLES"] == both


def test_a_point_may_have_several_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4")
    assert devices(make_slots(workers=None, threads=1, use_gpus=True, gpus_per_point=2)) == ["0,1", "2,3"]
    with pytest.raises(ValueError, match=r"gpus_per_point is 8 and 5 GPUs are visible.*lower it"):
        make_slots(workers=None, threads=1, use_gpus=True, gpus_per_point=8)
    with pytest.raises(ValueError, match="no GPU is visible"):
        make_slots(workers=None, threads=1, use_gpus=False, gpus_per_point=2)


def test_a_gpu_in_mig_parts_is_its_parts() -> None:
    listing = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6)
  MIG 3g.20gb     Device  0: (UUID: MIG-c7384736)
  MIG 3g.20gb     Device  1: (UUID: MIG-a28ad590)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa0000)
"""
    assert parse_gpu_list(listing) == ["MIG-c7384736", "MIG-a28ad590", "GPU-aaaa0000"]
    assert parse_gpu_list("") == []


def packed() -> Slots:
    return Slots([Slot("gpu0", ("0",), {}) for _ in range(8)], by_memory={"0": 10 * GIB})


def test_auto_packs_as_many_as_the_measured_memory_allows() -> None:
    slots = packed()
    each = 2 * GIB
    fit = int(10 * GIB // (each * MEMORY_SLACK + CONTEXT_BYTES))
    taken = [slots.take(each) for _ in range(8)]
    assert sum(slot is not None for slot in taken) == fit == 3
    assert taken[0] is not None
    slots.release(taken[0], each)
    assert slots.take(each) is not None


def test_an_unmeasured_run_has_its_gpu_alone() -> None:
    slots = packed()
    alone = slots.take(None)
    assert alone is not None
    assert slots.take(GIB) is None
    slots.release(alone, None)
    assert slots.take(GIB) is not None
    assert slots.take(None) is None


def test_what_nvidia_smi_says_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus_module, "_nvidia_smi", lambda *_: "0, GPU-ab, 40960\n1, GPU-cd, 81920\n")
    assert gpu_memory(["GPU-ab", "1", "MIG-x"]) == {"GPU-ab": 40 * GIB, "1": 80 * GIB, "MIG-x": 0}


def test_an_orphan_keeps_its_gpu() -> None:
    slots = Slots([Slot(f"gpu{gpu}", (gpu,), {}) for gpu in ("0", "1")])
    occupied = slots.take_on("1")
    assert occupied is not None
    assert [slot.gpus for slot in slots.free] == [("0",)]
    assert slots.take_on("1") is None
    slots.release(occupied, slots.of_somebody)
    assert len(slots.free) == 2
