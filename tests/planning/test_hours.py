"""Hours become a grid: within the hours, answering, soon; and as an experiment that runs."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from scaling.config import ConfigError, StudyConfig, shipped_time_model, study_config
from scaling.datasheets import SHEETS, data_sheet
from scaling.findings import refusals
from scaling.model.counting import count_parameters
from scaling.planning.time_models import time_model
from scaling.stages.checkup import check_plan
from scaling.stages.hours import chosen, plan_by_hours
from scaling.stages.study import here, plan_study
from tests.conftest import TWO
from tests.test_configs import load, load_root


def asked(tmp_path: Path, *overrides: str) -> StudyConfig:
    return load("experiment=gpu", f"cache={tmp_path}", f"runs={tmp_path}", *overrides)


@pytest.mark.parametrize(
    ("overrides", "most_sd"),
    [
        (("gpu_hours=8", "time_model=h100"), 0.3),
        (("gpu_hours=8", "time_model=h100", "gpus=8"), 0.3),
        (("gpu_hours=8", "time_model=h200"), 0.3),  # where one more size is a leap of two hours
        (("gpu_hours=24", "time_model=rtx4090"), 0.3),
        (("gpu_hours=2", "time_model=l4", "sizes=[3e5,3e7]"), 0.5),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_the_hours_are_used_and_answer(overrides: tuple[str, ...], most_sd: float, tmp_path: Path) -> None:
    config = asked(tmp_path, *overrides)
    began = time.process_time()
    found = chosen(config)
    assert time.process_time() - began < 10
    assert config.gpu_hours is not None
    assert 0.85 <= found.wall_seconds / 3600 / config.gpu_hours <= 1.0
    assert found.sd <= most_sd
    for run in found.plan.runs:
        assert run.model.head_dim == 64
        assert run.model.d_model % 64 == 0
        ratios = [budget / count_parameters(run.model).total for budget in run.budgets]
        assert min(ratios) > 1
    assert any(point.held_out for point in found.plan.points)
    assert any(point.replicate for point in found.plan.points)


def test_it_is_written_as_an_experiment_that_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = asked(tmp_path, "gpu_hours=1", "time_model=a100")
    assert plan_by_hours(config) == 0
    told = capsys.readouterr().out
    assert "sd of ln N*" in told
    assert "kWh" in told
    folder = tmp_path / "gpu" / "hours"
    assert f"--config-dir={folder} experiment=hours-1" in told
    written = study_config(load_root("sweep", f"hydra.searchpath=[file://{folder}]", "experiment=hours-1"))
    assert written.gpu_hours is None
    plan = plan_study(written)
    assert plan.total_flops == chosen(config).plan.total_flops
    assert not refusals(check_plan(written, plan))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("gpu_hours=0.0001",), "no study of 4 sizes fits .* give more hours"),
        (("gpu_hours=-1",), "gpu_hours is -1; it must be at least 1e-09"),
        (("gpu_hours=1", "gpus=0"), "gpus is 0; it must be at least 1"),
        (("gpu_hours=1", "sizes=[1e8,1e6]"), r"sizes is \[1e\+08, 1e\+06\]; give the least and the most"),
    ],
)
def test_what_no_study_fits_is_told(overrides: tuple[str, ...], words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        chosen(asked(tmp_path, "time_model=l4", *overrides))


@pytest.mark.parametrize(
    ("name", "gpu"),
    [("h100", "NVIDIA H100 80GB HBM3"), ("h200", "NVIDIA H200"), ("a100", "NVIDIA A100-SXM4-80GB"),
     ("rtx4090", "NVIDIA GeForce RTX 4090"), ("l4", "NVIDIA L4")],
)  # fmt: skip
def test_shipped_time_models_are_those_of_the_data_sheets(name: str, gpu: str) -> None:
    sheet = data_sheet(gpu)
    assert sheet is not None
    shipped, written = shipped_time_model(name), time_model(sheet, name)
    for field in vars(written):
        value = getattr(written, field)
        assert getattr(shipped, field) == (pytest.approx(value, rel=1e-3) if isinstance(value, float) else value), field


def test_names_of_gpus_find_their_sheet() -> None:
    assert data_sheet("NVIDIA H100 PCIe") is not data_sheet("NVIDIA H100 80GB HBM3")
    assert data_sheet("NVIDIA L40S") is not data_sheet("NVIDIA L4")
    for none in ("NVIDIA H20", "NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA A100 MIG 3g.20gb"):
        assert data_sheet(none) is None
    assert all(data_sheet(f"NVIDIA {sheet.name}") is sheet for sheet in SHEETS)


def test_auto_plans_by_the_gpu_that_is_there(
    tmp_path: Path,
    nvidia_smi,
    monkeypatch: pytest.MonkeyPatch,  # type: ignore[no-untyped-def]
) -> None:
    """On cores by the numbers of cpu, and what is set by hand holds on either."""
    nvidia_smi("exit 127")
    auto, cpu = load(f"cache={tmp_path}"), load(f"cache={tmp_path}", "time_model=cpu")
    assert replace(here(auto), name="") == cpu.time_model
    nvidia_smi(TWO)
    sheet = data_sheet("NVIDIA H200")
    assert sheet is not None
    assert here(auto).flops_per_second == time_model(sheet, "").flops_per_second
    assert here(load(f"cache={tmp_path}", "runtime.device=cpu")).flops_per_second == cpu.time_model.flops_per_second
    by_hand = here(load(f"cache={tmp_path}", "time_model.flops_per_second=1e14"))
    assert (by_hand.flops_per_second, by_hand.watts) == (1e14, 700)
