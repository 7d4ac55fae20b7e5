"""What only a GPU can show: run by `make test-gpu` where there is one."""

from pathlib import Path

import pytest
import torch

from scaling.records import read_record, record_path
from scaling.training.peak import measure_peak
from scaling.training.trajectory import Trajectory
from tests.tiny_run import make_run, make_spec

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "fp16"])
def test_every_precision_trains_to_the_loss_of_the_cpu(precision: str, tmp_path: Path, corpus_folder: Path) -> None:
    spec = make_spec(steps=(20,))
    losses = []
    for device, kind in (("cpu", "fp32"), ("cuda", precision)):
        job, folder = make_run(tmp_path / device, spec, corpus_folder, device=device, precision=kind)
        Trajectory(job, folder).run()
        losses.append(read_record(record_path(folder, spec.budgets[0])).final_loss_nats)
    assert losses[1] == pytest.approx(losses[0], rel=1e-4 if precision == "fp32" else 5e-3)


def test_a_gpu_counts_its_memory_and_its_speed(tmp_path: Path, corpus_folder: Path) -> None:
    spec = make_spec(steps=(20,))
    job, folder = make_run(tmp_path, spec, corpus_folder, device="cuda", profile=True)
    Trajectory(job, folder).run()
    record = read_record(record_path(folder, spec.budgets[0]))
    assert 0 < record.peak_memory_bytes < torch.cuda.get_device_properties(0).total_memory
    assert record.mfu is not None
    assert 0 < record.mfu < 1
    assert list((folder / "profile").glob("*.json.gz"))
    assert measure_peak(torch.device("cuda"), "bf16") >= measure_peak(torch.device("cuda"), "fp32")
