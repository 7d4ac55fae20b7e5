"""Several runs on one GPU of a machine that pretends to have one: its memory, its service, its kept processes."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from scaling.launching import mps
from scaling.launching.kept import KeptWorkers
from scaling.launching.mps import serving
from scaling.launching.pool import PoolOptions, PoolState, run_pool
from scaling.launching.slots import Slot, Slots, cpu_environment
from scaling.launching.tasks import Task
from scaling.machine import GPU_SHARE
from scaling.records import RunStatus, record_path
from scaling.stages import gpu as gpu_stage
from scaling.stages.gpu import GpuFacts, memory_of_sizes, print_devices, settled_runtime
from scaling.stages.local import study_slots
from scaling.stages.study import plan_study
from scaling.values import read_json
from scaling.verdicts import Earned, Verdict, code_version, driver_version, read_verdict, verdict_path, write_verdict
from tests.conftest import TWO
from tests.test_configs import load
from tests.tiny_run import BATCH, make_run, make_spec

FACTS = GpuFacts("NVIDIA H200", "NVIDIA H200, sm_90, torch 2.13.0+cu130, bf16", "2.13.0+cu130", "bf16", 140 * 2**30)


def verdict(**features: bool) -> Verdict:
    earned = {name: Earned(passed, "measured") for name, passed in features.items()}
    return Verdict(FACTS.name, driver_version(), FACTS.torch, code_version(), "now", earned)


@pytest.fixture
def box(nvidia_smi: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(TWO)
    monkeypatch.setattr(gpu_stage, "gpu_facts", lambda *_: FACTS)


@pytest.mark.usefixtures("box")
def test_auto_shares_a_gpu_only_where_its_check_has_passed(tmp_path: Path) -> None:
    config = load(f"cache={tmp_path}")

    def workers() -> int:
        return len(study_slots(config.runtime, config.launch, config.cache_folder).free)

    assert workers() == 2
    write_verdict(tmp_path, verdict(sharing=False, capture=True))
    assert workers() == 2
    write_verdict(tmp_path, verdict(sharing=True))
    assert workers() == 16
    assert study_slots(config.runtime, config.launch, config.cache_folder).by_memory


@pytest.mark.parametrize("lie", [{"driver": "999.1"}, {"gpu": "NVIDIA T4"}, {"torch": "2.6.0"}, {"code": "older"}])
def test_a_verdict_of_other_conditions_earns_nothing(lie: dict[str, str], tmp_path: Path) -> None:
    """Also where somebody copied it to the right name; nor does half a file."""
    write_verdict(tmp_path, verdict(capture=True))
    assert read_verdict(tmp_path, FACTS.name, FACTS.torch).on("capture").passed
    path = verdict_path(tmp_path, FACTS.name, FACTS.torch)
    path.write_text(json.dumps({**json.loads(path.read_text()), **lie}))
    assert not read_verdict(tmp_path, FACTS.name, FACTS.torch).on("capture").passed
    path.write_text(path.read_text()[:40])
    assert not read_verdict(tmp_path, FACTS.name, FACTS.torch).features


@pytest.mark.usefixtures("box")
def test_the_dry_run_tells_device_memory_and_workers(tmp_path: Path) -> None:
    write_verdict(tmp_path, verdict(sharing=True, capture=False))
    config = load(f"cache={tmp_path}", f"runs={tmp_path}")
    plan, page = plan_study(config), StringIO()
    print_devices(config, plan, study_slots(config.runtime, config.launch, config.cache_folder), Console(file=page))
    told = page.getvalue()
    assert "NVIDIA H200, sm_90, torch 2.13.0+cu130, bf16" in told
    assert "sharing: used" in told
    assert "capture: not used" in told
    assert told.count("predicted") == len({run.size for run in plan.runs})
    memory_of = memory_of_sizes(config, {run.size: run for run in plan.runs}, "bf16")
    assert memory_of("983k")[0] > memory_of("10k")[0] > 2**27


@pytest.mark.usefixtures("box")
def test_small_models_take_tf32_where_it_is_earned_and_a_study_keeps_to_one_precision(tmp_path: Path) -> None:
    config = load(f"cache={tmp_path}", f"runs={tmp_path}")
    plan, slots = plan_study(config), study_slots(config.runtime, config.launch, config.cache_folder)
    assert settled_runtime(config, plan, slots).precision == "auto"
    write_verdict(tmp_path, verdict(tf32=True))
    assert settled_runtime(config, plan, slots).precision == "tf32"
    large = replace(
        plan.runs[0], model=replace(plan.runs[0].model, num_layers=12, d_model=400, num_heads=10, d_ff=1600)
    )
    assert settled_runtime(config, replace(plan, runs=(large, *plan.runs)), slots).precision == "auto"


def test_the_service_is_started_and_quit(
    tmp_path: Path,
    nvidia_smi: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nvidia_smi(TWO)
    calls = tmp_path / "control-calls"
    control = tmp_path / "bin" / mps.CONTROL
    control.write_text(
        f'#!/bin/sh\necho "$@ $(cat) $CUDA_VISIBLE_DEVICES $CUDA_MPS_PIPE_DIRECTORY" >> {calls}\n'
        f"exit $(cat {tmp_path}/code)\n"
    )
    control.chmod(0o755)
    (tmp_path / "code").write_text("0")
    with serving(["0", "GPU-bbbb-2"]) as service:
        assert service is not None
        folder = Path(service["CUDA_MPS_PIPE_DIRECTORY"])
        assert folder.exists()
    started, quit_ = calls.read_text().splitlines()
    assert started == f"-d  GPU-aaaa-1,GPU-bbbb-2 {folder}"
    assert quit_.strip().startswith("quit")
    assert not folder.exists()
    (tmp_path / "code").write_text("1")
    with serving(["0"]) as service:
        assert service is None
    control.unlink()
    with serving(["0"]) as service:
        assert service is None
    with serving(["MIG-x"]) as service:
        assert service is None


def place(name: str) -> Slot:
    """A GPU's place in name, a core's in fact."""
    return Slot(name, ("GPU-aaaa-1",), cpu_environment("1"))


def test_a_kept_process_takes_task_after_task(tmp_path: Path, corpus_folder: Path) -> None:
    """What they make is what fresh ones make; one that raised, and one that is killed, are followed by another."""
    spec = make_spec(steps=(20,))
    folders = [make_run(tmp_path / str(i), spec, corpus_folder)[1] for i in range(3)]
    _, bad = make_run(tmp_path / "bad", make_spec(steps=(20,), qk_norm=False), tmp_path / "nowhere")
    long = make_spec(steps=(50, 500), tied_embeddings=False)
    _, victim = make_run(tmp_path / "long", long, corpus_folder)
    tasks = [Task(folder, 9.0 - i, spec.budgets) for i, folder in enumerate([folders[0], bad, *folders[1:]])]
    tasks.append(Task(victim, 1.0, long.budgets))
    workers, killed, pids = KeptWorkers(), list[int](), dict[str, int]()

    def watch(state: PoolState) -> None:
        for running in state.running:
            status = running.status
            if running.task.folder == victim and status is not None and status.state == "running" and not killed:
                killed.append(status.pid)
                os.kill(status.pid, signal.SIGKILL)

    slots = Slots([place("gpu0")], by_memory={"GPU-aaaa-1": 10 * 2**30})
    options = PoolOptions(retry=1, memory_of=lambda task: 2**30)
    result = run_pool(tasks, slots, workers, options=options, on_change=watch)
    workers.close()
    for folder in (*folders, bad, victim):
        pids[folder.parent.name] = read_json(RunStatus, folder / "status.json").pid
    assert killed
    assert set(result.failed) == {bad.name}
    assert "nowhere" in result.failed[bad.name]
    assert len({record_path(f, BATCH * 20).read_text().split('"final_loss_nats": ')[1][:18] for f in folders}) == 1
    assert pids["0"] == pids["bad"] != pids["1"] == pids["2"], "after what raised there is another process"
    share = read_json(RunStatus, folders[0] / "status.json").gpu_share
    assert share == pytest.approx((2**30 * 1.15 + 700 * 2**20) / (10 * 2**30), rel=0.01)
    assert GPU_SHARE not in os.environ
