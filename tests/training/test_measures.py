"""What a run costs: the device's peak, MFU, energy by NVML, and a trace."""

import gzip
import json
import sys
import threading
import time
import types
from pathlib import Path

import pytest
import torch

from scaling.curves import curve_path, read_curve
from scaling.model.counting import count_training_flops
from scaling.records import read_record, record_path
from scaling.training import peak
from scaling.training.config import Runtime
from scaling.training.device import choose_precision, matrix_products
from scaling.training.energy import EnergyMeter, Stopwatch
from scaling.training.peak import PEAKS_FILE, matmul_peak, measure_peak
from scaling.training.trajectory import Interrupted, Trajectory
from tests.tiny_run import make_run, make_spec

CPU = torch.device("cpu")


def test_a_peak_is_measured_once_for_all_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at once: the second waits for the first's answer instead of measuring against it."""
    measured = []

    def slow(device: torch.device, precision: str) -> float:
        measured.append(precision)
        time.sleep(0.2)
        return 1e9

    monkeypatch.setattr(peak, "measure_peak", slow)
    answers: list[float] = []
    others = [threading.Thread(target=lambda: answers.append(matmul_peak(CPU, "fp32", tmp_path))) for _ in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert answers == [1e9, 1e9]
    assert measured == ["fp32"]
    matmul_peak(CPU, "bf16", tmp_path)
    assert measured == ["fp32", "bf16"]
    (tmp_path / PEAKS_FILE).write_text("not json")
    assert matmul_peak(CPU, "fp32", tmp_path) == 1e9


def test_a_cache_that_cannot_be_written_costs_a_measurement_and_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(peak, "measure_peak", lambda device, precision: 2e9)
    (tmp_path / "file").write_text("")
    assert matmul_peak(CPU, "fp32", tmp_path / "file") == 2e9
    assert "cannot be kept" in caplog.text


def test_a_peak_is_what_a_product_takes() -> None:
    side = peak.CPU_SIDE
    left = torch.ones(side, side)
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        left @ left
        best = min(best, time.perf_counter() - start)
    # Both are minima of several; a busy machine parts them.
    assert measure_peak(CPU, "fp32") == pytest.approx(2 * side**3 / best, rel=0.7)


def test_a_record_has_its_mfu(tmp_path: Path, corpus_folder: Path) -> None:
    spec = make_spec(steps=(20,))
    job, folder = make_run(tmp_path, spec, corpus_folder)
    Trajectory(job, folder).run()
    record = read_record(record_path(folder, spec.budgets[0]))
    assert record.peak_flops_per_second == matmul_peak(CPU, "fp32", corpus_folder.parent)
    assert record.mfu is not None
    speed = record.tokens_per_second * count_training_flops(spec.model).total
    assert record.mfu == pytest.approx(speed / record.peak_flops_per_second, rel=1e-9)
    assert 0 < record.mfu < 1
    rows = [row for row in read_curve(curve_path(folder, None)) if row.train_loss_nats is not None]
    assert all(row.mfu is not None and row.power_watts is None and row.peak_memory_bytes for row in rows)


class FakeNVMLError(Exception):
    pass


def fake_nvml(joules: list[float] | None) -> types.ModuleType:
    """A counter in millijoules, as NVML has it; None is a GPU that counts nothing."""
    module = types.ModuleType("pynvml")
    handles: list[str] = []

    def energy(handle: str) -> int:
        if joules is None:
            raise FakeNVMLError("Not Supported")
        return round(1000 * (joules.pop(0) if len(joules) > 1 else joules[0]))

    module.NVMLError = FakeNVMLError  # type: ignore[attr-defined]
    module.nvmlInit = lambda: None  # type: ignore[attr-defined]
    module.nvmlDeviceGetHandleByUUID = lambda uuid: handles.append(uuid) or uuid  # type: ignore[attr-defined,func-returns-value]
    module.nvmlDeviceGetTotalEnergyConsumption = energy  # type: ignore[attr-defined]
    module.handles = handles  # type: ignore[attr-defined]
    return module


@pytest.fixture
def pretend_gpu(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: types.SimpleNamespace(uuid="1234-abcd"))
    return torch.device("cuda", 0)


def test_energy_is_a_difference_of_the_gpus_counter(pretend_gpu: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = fake_nvml([1000.0, 1000.0, 1250.5, 1300.0, 1310.0])
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    stopwatch = Stopwatch(EnergyMeter(pretend_gpu))
    assert nvml.handles == ["GPU-1234-abcd"]
    assert stopwatch.lap().joules == pytest.approx(250.5)
    stopwatch.restart()  # at 1300: what lay between is left out
    assert stopwatch.lap().joules == pytest.approx(10.0)


@pytest.mark.parametrize("module", [None, fake_nvml(None)], ids=["not installed", "not supported"])
def test_energy_is_none_where_nothing_counts(
    module: types.ModuleType | None, pretend_gpu: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", module)
    assert Stopwatch(EnergyMeter(pretend_gpu)).lap().joules is None
    assert EnergyMeter(CPU).joules() is None


def test_energy_reaches_the_record_and_the_curve(
    tmp_path: Path, corpus_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(steps=(20,))
    job, folder = make_run(tmp_path, spec, corpus_folder)
    counter = iter(range(10**6))
    monkeypatch.setattr(EnergyMeter, "joules", lambda self: float(next(counter)))
    Trajectory(job, folder).run()
    record = read_record(record_path(folder, spec.budgets[0]))
    # One joule a reading of the counter, and one reading a row: 4 in the trunk, 1 in the branch.
    assert record.energy_joules == 5.0
    assert all(row.power_watts for row in read_curve(curve_path(folder, None)) if row.train_loss_nats is not None)


def test_a_profile_is_a_trace_of_three_steps(tmp_path: Path, corpus_folder: Path) -> None:
    spec = make_spec(steps=(20,))
    job, folder = make_run(tmp_path, spec, corpus_folder, profile=True)
    Trajectory(job, folder).run()
    (path,) = (folder / "profile").glob("*.pt.trace.json.gz")
    with gzip.open(path, "rt") as file:
        events = json.load(file)["traceEvents"]
    names = [event.get("name", "") for event in events]
    assert (
        sum(
            name.startswith("ProfilerStep#") and event.get("ph") == "X"
            for name, event in zip(names, events, strict=True)
        )
        == 3
    )
    assert any(name.startswith("Optimizer.step") for name in names)
    assert any("aten::mm" in name for name in names)


def test_a_run_too_short_for_a_trace_says_so(
    tmp_path: Path, corpus_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job, folder = make_run(tmp_path, make_spec(steps=(5,)), corpus_folder, profile=True)
    Trajectory(job, folder).run()
    assert "no trace in" in caplog.text
    job, folder = make_run(tmp_path / "off", make_spec(steps=(5,)), corpus_folder)
    Trajectory(job, folder).run()
    assert not (folder / "profile").exists()


def test_tf32_is_asked_for_during_training_alone() -> None:
    before = torch.get_float32_matmul_precision()
    with matrix_products("tf32"):
        assert torch.get_float32_matmul_precision() == "high"
        with matrix_products("fp32"):  # an evaluation
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before


def test_a_device_without_tf32_records_what_it_did(caplog: pytest.LogCaptureFixture) -> None:
    assert choose_precision(Runtime(precision="tf32"), CPU) == "fp32"
    assert "no TensorFloat-32" in caplog.text
    assert choose_precision(Runtime(precision="auto"), CPU) == "fp32"


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_resumes_bit_for_bit_and_ends_near_fp32(
    precision: str, tmp_path: Path, corpus_folder: Path
) -> None:
    spec = make_spec(steps=(20,))
    losses = []
    for name, kind, stops in (("a", "fp32", []), ("b", precision, []), ("c", precision, [7, 17])):
        job, folder = make_run(tmp_path / name, spec, corpus_folder, precision=kind)
        for stop in stops:
            trajectory = Trajectory(job, folder)
            trajectory.should_stop = lambda at=stop, run=trajectory: run.state.step >= at
            with pytest.raises(Interrupted):
                trajectory.run()
        Trajectory(job, folder).run()
        record = read_record(record_path(folder, spec.budgets[0]))
        assert record.provenance.precision == kind
        losses.append(record.final_loss_nats)
    exact, straight, resumed = losses
    assert straight == resumed
    assert straight == pytest.approx(exact, rel=5e-3)
