"""The captured step, played again operation by operation on a CPU: the eager step's losses, in every state it meets."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from scaling.curves import curve_path, read_curve
from scaling.data.corpus import Corpus
from scaling.machine import driver_version
from scaling.records import read_record, record_path
from scaling.speeds import code_version
from scaling.training import choices as choices_module
from scaling.training import engine as engine_module
from scaling.training.batches import Batches, on_device
from scaling.training.capture import CapturedStep, CaptureFailed
from scaling.training.choices import choose, choose_attention
from scaling.training.config import Runtime
from scaling.training.device import device_name
from scaling.training.optimizer import make_optimizer
from scaling.training.team import Team
from scaling.training.trajectory import Interrupted, Trajectory
from scaling.verdicts import FEATURES, Earned, Verdict, write_verdict
from tests.tiny_run import make_run, make_spec
from tests.training.test_micro_batch import Full
from tests.training.test_step import make_state, take_step
from tests.training.test_trajectory import outcome, stop_after

CPU = torch.device("cpu")


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_it_is_the_eager_step_also_when_stopped_and_gone_on_with_eagerly(
    optimizer: str, tmp_path: Path, corpus_folder: Path
) -> None:
    """Across branches, whose state comes from a checkpoint, and across processes that take steps in different ways."""
    spec = make_spec(steps=(20, 30), optimizer=optimizer)
    folders = {}
    for name, ways in (("eager", [False]), ("captured", [True]), ("mixed", [True, False, True])):
        for turn, captured in enumerate(ways):
            job, folder = make_run(tmp_path / name, spec, corpus_folder, capture=captured)
            last = turn == len(ways) - 1
            trajectory = Trajectory(job, folder, should_stop=(lambda: False) if last else stop_after(9))
            if last:
                trajectory.run()
            else:
                with pytest.raises(Interrupted):
                    trajectory.run()
        folders[name] = folder
    for name in ("captured", "mixed"):
        for budget in spec.budgets:
            eager, mine = (read_record(record_path(folders[key], budget)) for key in ("eager", name))
            assert outcome(mine) == outcome(eager)
            if name == "captured":
                assert (eager.provenance.captured, mine.provenance.captured) == (False, True)
        for segment in (None, *spec.budgets):
            rows, others = (read_curve(curve_path(folders[key], segment)) for key in ("eager", name))
            assert [row.train_loss_nats for row in rows] == [row.train_loss_nats for row in others]
            assert [row.grad_norm for row in rows] == [row.grad_norm for row in others]


def test_what_does_not_fit_is_halved_and_recorded_anew(tmp_path: Path, corpus_folder: Path) -> None:
    losses = []
    for captured in (False, True):
        job, folder = make_run(tmp_path / str(captured), make_spec(steps=(20,)), corpus_folder, capture=captured)
        trajectory = Trajectory(job, folder)
        trajectory.state.forward = Full(trajectory.state.decoder, 2)
        trajectory.run()
        losses.append(read_record(record_path(folder, job.spec.budgets[0])))
    assert losses[0].final_loss_nats == losses[1].final_loss_nats
    assert losses[1].provenance.micro_batch_tokens == 64


def test_where_recording_fails_the_eager_step_goes_on_and_the_record_says_so(
    tmp_path: Path, corpus_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise CaptureFailed("operation not permitted when stream is capturing")

    monkeypatch.setattr(engine_module, "CapturedStep", refuse)
    job, folder = make_run(tmp_path, make_spec(steps=(20,)), corpus_folder, capture=True)
    Trajectory(job, folder).run()
    provenance = read_record(record_path(folder, job.spec.budgets[0])).provenance
    assert (provenance.captured, provenance.choices) == (
        False, "capture: operation not permitted when stream is capturing",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "precision", "words"),
    [({"dropout": 0.1}, "fp32", "capture: dropout"), ({}, "fp16", "capture: the scaler of fp16")],
)
def test_what_needs_the_host_is_not_captured(
    changes: dict[str, object], precision: str, words: str, tmp_path: Path, corpus_folder: Path
) -> None:
    spec = make_spec(steps=(5,), **changes)
    job, folder = make_run(tmp_path, spec, corpus_folder, capture=True, precision=precision)
    Trajectory(job, folder).run()
    provenance = read_record(record_path(folder, spec.budgets[0])).provenance
    assert provenance.captured is False
    assert str(provenance.choices).startswith(words)


def test_windows_are_gathered_where_the_corpus_lies(corpus_folder: Path) -> None:
    """Tokens of 16 bits with the highest set, too: the device reads them without a sign."""
    spec, corpus = make_spec(), Corpus.open(corpus_folder)
    batches = Batches(corpus, spec, CPU, Team())
    expected = [batches.batch(step) for step in (0, 7, 10_000)]
    batches.tokens = on_device(corpus, CPU)
    for step, windows in zip((0, 7, 10_000), expected, strict=True):
        assert torch.equal(batches.batch(step), windows)
    high = corpus.__class__(corpus.manifest, corpus.train.copy() + 65_000, corpus.validation)
    assert high.train.dtype.itemsize == 2
    batches = Batches(high, spec, CPU, Team())
    batches.tokens = on_device(high, CPU)
    assert int(batches.batch(3).min()) >= 65_000


def test_losses_wait_in_a_ring_until_they_are_read(tmp_path: Path, corpus_folder: Path) -> None:
    job, _ = make_run(tmp_path, make_spec(), corpus_folder, capture=True)
    engine = engine_module.Engine(job, Team())
    recorded = engine._record()
    assert isinstance(recorded, CapturedStep)
    recorded = CapturedStep(
        engine.state, engine._batches, job.spec, device=CPU, precision="fp32", micro_sequences=4, ring=3
    )
    results = [recorded.step(1.0) for _ in range(3)]
    losses, norms = engine.read(results)
    assert len(set(losses)) == len(set(norms)) == 3
    assert engine.state.step == 3


def test_stacked_muon_is_torchs() -> None:
    """Matrices of one shape together; products of a batch sum in another order, and in bf16."""
    one, other = (make_state(optimizer="muon") for _ in "ab")
    other.optimizer = make_optimizer(other.decoder, make_spec(optimizer="muon").optimizer, stacked=True)
    for _ in range(5):
        losses = [float(take_step(state).loss) for state in (one, other)]
        assert losses[1] == pytest.approx(losses[0], rel=2e-3)
    for mine, theirs in zip(other.decoder.parameters(), one.decoder.parameters(), strict=True):
        assert float((mine - theirs).detach().norm()) <= 0.02 * float(theirs.detach().norm())
    kept = {name for state in other.optimizer.state.values() for name in state}
    assert kept == {"momentum_buffer", "step", "exp_avg", "exp_avg_sq"}, "a checkpoint of either is the other's"


def test_a_verdict_of_a_gpu_changes_nothing_on_a_cpu(tmp_path: Path, corpus_folder: Path) -> None:
    """Not even one that somebody kept under the CPU's own name."""
    earned = {feature: Earned(True, "forged") for feature in FEATURES}
    for name in (device_name(CPU), "NVIDIA H200"):
        write_verdict(tmp_path, Verdict(name, driver_version(), torch.__version__, code_version(), "now", earned))
    choices = choose(make_spec(), Runtime(), CPU, "fp32", Team(), tmp_path)
    assert (choices.captured, choices.compiled, choices.reasons) == (False, False, "")
    job, folder = make_run(tmp_path, make_spec(steps=(5,)), corpus_folder)
    Trajectory(job, folder).run()
    provenance = read_record(record_path(folder, job.spec.budgets[0])).provenance
    assert (provenance.captured, provenance.compiled, provenance.attention) == (False, False, "torch")


@pytest.mark.parametrize(
    ("width", "context", "usable", "deterministic", "expected"),
    [
        (64, 2048, {"cudnn", "flash", "efficient"}, False, "cudnn"),
        (64, 2048, {"flash", "efficient"}, False, "flash"),
        (16, 2048, {"cudnn", "flash", "efficient"}, False, "flash"),
        (64, 512, {"cudnn", "flash", "efficient"}, False, "flash"),
        (64, 512, {"cudnn", "efficient"}, False, "efficient"),
        (64, 2048, {"cudnn", "efficient"}, True, "math"),
        (64, 512, set(), False, "math"),
    ],
)
def test_attentions_kernel_is_ours_to_choose(
    width: int, context: int, usable: set[str], deterministic: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choices_module, "_is_usable", lambda name, *_: name in usable)
    model = replace(make_spec().model, d_model=2 * width, context=context)
    found = choose_attention(model, torch.device("cuda", 0), "bf16", deterministic=deterministic)
    assert found == expected


def test_deterministic_algorithms_are_asked_for_while_it_trains(tmp_path: Path, corpus_folder: Path) -> None:
    """And cuBLAS is told in time; on a CPU the bits are those without."""
    losses = []
    for wanted in (False, True):
        job, folder = make_run(tmp_path / str(wanted), make_spec(steps=(5,)), corpus_folder, deterministic=wanted)
        trajectory, asked = Trajectory(job, folder), list[bool]()
        trajectory.should_stop = lambda asked=asked: bool(  # type: ignore[misc]
            asked.append(torch.are_deterministic_algorithms_enabled())
        )
        trajectory.run()
        assert set(asked) == {wanted}
        losses.append(read_record(record_path(folder, job.spec.budgets[0])).final_loss_nats)
    assert losses[0] == losses[1]
    assert not torch.are_deterministic_algorithms_enabled()
    assert os.environ.pop("CUBLAS_WORKSPACE_CONFIG") == ":4096:8"
