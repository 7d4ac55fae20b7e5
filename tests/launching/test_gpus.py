"""Which GPUs there are, on a machine that pretends to have some; and that a slot is what it says."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from scaling.config import ConfigError
from scaling.launching import gpus
from scaling.launching.batches import SlurmOptions
from scaling.launching.config import LaunchConfig
from scaling.launching.early import dismiss, warm_up
from scaling.launching.gpus import gpu_names, same_gpu, visible_gpus
from scaling.launching.slots import Slot, Slots, make_slots
from scaling.launching.workers import WarmWorkers
from scaling.machine import SLOT
from scaling.stages.local import study_slots
from scaling.stages.on_slurm import asks_for_no_gpu
from scaling.stages.slurm_job import job_environment
from scaling.training.config import Runtime
from scaling.training.device import choose_device
from tests.conftest import TWO
from tests.test_configs import load


def test_nvidia_smi_is_asked_once_for_each_fact(nvidia_smi: Callable[[str], Path]) -> None:
    calls = nvidia_smi(TWO)
    for _ in range(3):
        slots = make_slots(workers=None, threads=1, use_gpus=None, workers_per_gpu="auto")
        assert {slot.gpus for slot in slots.free} == {("GPU-aaaa-1",), ("GPU-bbbb-2",)}
    assert len(calls.read_text().splitlines()) == 2
    assert gpu_names() == ("NVIDIA H200",)


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("0,1", ["0", "1"]),
        ("-1", []),
        ("0,-1,1", ["0"]),  # as CUDA reads it: what is no device ends the list
        ("", []),
        ("all", []),
        ("NoDevFiles", []),
        (" 1 , 0 ", ["1", "0"]),
        ("0,0", ["0"]),
        ("GPU-aaaa,MIG-x/1/0", ["GPU-aaaa", "MIG-x/1/0"]),
    ],
)
def test_odd_lists_are_read_as_cuda_reads_them(
    named: str, expected: list[str], nvidia_smi: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(TWO)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == expected


@pytest.mark.parametrize(
    "lines",
    [
        "sleep 60",
        "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18",
        "printf '\\377\\376 x,'",
    ],
    ids=["hangs", "fails", "prints garbage"],
)
def test_a_broken_nvidia_smi_is_none(
    lines: str, nvidia_smi: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that hangs is not asked again, whatever the question; cores are left."""
    monkeypatch.setattr(gpus, "SECONDS_FOR_NVIDIA_SMI", 0.2)
    calls = nvidia_smi(lines)
    assert visible_gpus() == []
    assert gpu_names() == ()
    assert len(calls.read_text().splitlines()) == (1 if "sleep" in lines else 2)
    assert not make_slots(workers=1, threads=1, use_gpus=None).on_gpus


def test_without_nvidia_smi_the_drivers_files_tell(tmp_path: Path, nvidia_smi: Callable[[str], Path]) -> None:
    """Of a container with one of two GPUs: the files of both are there, and one device."""
    nvidia_smi("exit 127")
    for minor, uuid in ((0, "GPU-aaaa-1"), (1, "GPU-bbbb-2")):
        facts = tmp_path / "driver" / f"0000:0{minor}:00.0" / "information"
        facts.parent.mkdir(parents=True)
        facts.write_text(f"Model: \t\t NVIDIA H200\nGPU UUID: \t {uuid}\nDevice Minor: \t {minor}\n")
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidia1").touch()
    assert visible_gpus() == ["GPU-bbbb-2"]


def test_one_gpu_by_two_names_is_one(nvidia_smi: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(TWO)
    assert same_gpu("0", "GPU-aaaa-1")
    assert same_gpu("GPU-bbbb", "GPU-bbbb-2")
    assert not same_gpu("0", "GPU-bbbb-2")
    slots = Slots([Slot("gpu", (gpu,), {}) for gpu in ("GPU-aaaa-1", "GPU-bbbb-2")])
    taken = slots.take_on("1")
    assert taken is not None
    assert taken.gpus == ("GPU-bbbb-2",)
    # CUDA counts the fastest first, so among GPUs that differ an index is nobody's UUID, but where it counts by bus.
    nvidia_smi(TWO.replace('"1, GPU-bbbb-2, NVIDIA H200"', '"1, GPU-bbbb-2, NVIDIA T4"'))
    assert not same_gpu("0", "GPU-aaaa-1")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert same_gpu("0", "GPU-aaaa-1")


def test_cuda_without_a_gpu_is_refused_before_anything_runs(nvidia_smi: Callable[[str], Path]) -> None:
    nvidia_smi("exit 127")
    with pytest.raises(ConfigError, match=r"runtime.device is cuda and no GPU is found.*runtime.device=cpu"):
        study_slots(Runtime(device="cuda"), LaunchConfig())
    assert not study_slots(Runtime(device="auto", workers=1), LaunchConfig()).on_gpus


@pytest.mark.parametrize("torch_sees", [True, False])
def test_a_slot_is_what_it_says(
    torch_sees: bool, nvidia_smi: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU slot without a GPU fails in one line, a core's slot never touches a GPU that torch could see."""
    nvidia_smi(TWO)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: torch_sees)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: None)
    gpu = make_slots(workers=1, threads=1, use_gpus=None).free[0].environment
    cpu = make_slots(workers=1, threads=1, use_gpus=False).free[0].environment
    assert cpu["CUDA_VISIBLE_DEVICES"] == ""
    assert "expandable_segments" in gpu["PYTORCH_ALLOC_CONF"]
    monkeypatch.setenv(SLOT, cpu[SLOT])
    assert choose_device(Runtime()).type == "cpu"
    monkeypatch.setenv(SLOT, gpu[SLOT])
    if torch_sees:
        assert choose_device(Runtime()).type == "cuda"
    else:
        with pytest.raises(ValueError, match=r"^this is the slot of a GPU and process 0 .* finds 0 CUDA devices"):
            choose_device(Runtime())
    assert choose_device(Runtime(device="cpu")).type == "cpu"


def test_what_the_user_says_of_the_gpus_allocator_stays(
    nvidia_smi: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(TWO)
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:128")
    assert "PYTORCH_ALLOC_CONF" not in make_slots(workers=1, threads=1, use_gpus=None).free[0].environment


def test_no_worker_of_cores_is_warmed_up_on_a_gpu_box(
    nvidia_smi: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr(WarmWorkers, "warm_up", lambda self: started.append("warm"))
    nvidia_smi(TWO)
    for arguments, expected in ((["study=x"], 0), (["runtime.device=cpu"], 1)):
        started.clear()
        warm_up(arguments)
        assert len(started) == (expected if sys.platform.startswith("linux") else 0)
        dismiss()


def test_slurm_says_when_auto_asks_for_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for overrides, options, heard in (
        ((), SlurmOptions(), True),
        (("runtime.device=cuda",), SlurmOptions(), False),
        (("runtime.device=cpu",), SlurmOptions(), False),
        ((), SlurmOptions(gpus=1), False),
    ):
        note = asks_for_no_gpu(load(*overrides), options)
        assert (note is not None) is heard
    for name in ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS"):
        monkeypatch.delenv(name, raising=False)
    assert job_environment(1)[SLOT] == "gpu"
    assert "CUDA_VISIBLE_DEVICES" not in job_environment(1), "Slurm has set it"
    assert job_environment(0)["CUDA_VISIBLE_DEVICES"] == ""
    monkeypatch.setenv("SLURM_JOB_GPUS", "0")  # asked for by the user's own options
    assert job_environment(0)[SLOT] == "gpu"
