"""What a GPU would have met first: memory that others hold, devices that lack something, time that is no training."""

import gc
import time
import types
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from scaling.machine import CONTEXT_BYTES, GPU_SHARE
from scaling.model.decoder import Decoder
from scaling.records import read_record, record_path
from scaling.training import energy, parallel, trajectory
from scaling.training import engine as engine_module
from scaling.training import step as step_module
from scaling.training.checkpoint import OtherPrecision
from scaling.training.config import Runtime
from scaling.training.device import CrowdedOut, choose_precision, crowd, device_words, is_out_of_memory
from scaling.training.engine import Engine, equal_parts
from scaling.training.evaluate import evaluate, tokens_at_a_time
from scaling.training.step import MicroBatchTooLarge, StepResult
from scaling.training.team import Team
from scaling.training.trajectory import Interrupted, Trajectory
from tests.tiny_run import make_run, make_spec
from tests.training.test_micro_batch import Full
from tests.training.test_step import make_state, take_step, windows
from tests.training.test_trajectory import stop_after

CUDA = torch.device("cuda", 0)
GIB = 2**30


@pytest.mark.parametrize(
    ("capability", "precision"), [((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "fp16"), ((7, 0), "fp16")]
)
def test_auto_precision_is_what_the_gpu_has_units_for(
    capability: tuple[int, int], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA X")
    assert choose_precision(Runtime(), CUDA) == precision
    assert device_words(CUDA, precision).startswith("NVIDIA X, sm_{}{}, torch ".format(*capability))


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_memory_that_ran_out_is_known_by_all_its_names(words: str) -> None:
    assert is_out_of_memory(RuntimeError(words))
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))


def memory(monkeypatch: pytest.MonkeyPatch, *, free: int, mine: int, total: int = 80 * GIB) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, total))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: mine)


def test_a_crowd_is_what_others_hold_or_the_pool_gave_away(monkeypatch: pytest.MonkeyPatch) -> None:
    assert crowd(torch.device("cpu")) is None
    memory(monkeypatch, free=80 * GIB - 60 * GIB - CONTEXT_BYTES, mine=60 * GIB)
    assert crowd(CUDA) is None
    monkeypatch.setenv(GPU_SHARE, "0.25")
    assert crowd(CUDA) == "its share is 25% of its GPU's 80.0 GiB"
    memory(monkeypatch, free=2 * GIB, mine=30 * GIB)
    assert str(crowd(CUDA)).startswith("other processes hold 47.3 GiB")


@pytest.mark.parametrize("where", ["training", "evaluation"])
@pytest.mark.parametrize("others", [None, "other processes hold 47.3 GiB of its GPU's 80.0 GiB"])
def test_a_neighbours_memory_is_no_final_record(
    others: str | None, where: str, tmp_path: Path, corpus_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(steps=(20, 30))
    job, folder = make_run(tmp_path, spec, corpus_folder)
    run = Trajectory(job, folder)
    run.crowd = lambda device: others
    if where == "training":
        run.state.forward = Full(run.state.decoder, 0)
    else:
        monkeypatch.setattr(run.state.decoder, "token_losses", Full(run.state.decoder.token_losses, 0))
    if others is None:
        run.run()
        assert [read_record(record_path(folder, b)).status for b in spec.budgets] == ["out_of_memory"] * 2
    else:
        with pytest.raises(CrowdedOut, match="other processes hold"):
            run.run()
        assert not list(folder.glob("record-*"))


def test_nothing_holds_the_graph_of_a_pass_that_failed_in_its_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    state = make_state()
    inner, kept = Full(state.forward, 0, in_backward=True), list[weakref.ref[Tensor]]()

    def forward(inputs: Tensor, targets: Tensor) -> Tensor:
        loss = inner(inputs, targets)
        kept.append(weakref.ref(loss))
        return loss

    alive: list[bool] = []
    state.forward = forward

    def release(device: torch.device) -> None:
        gc.collect()
        alive.extend(ref() is not None for ref in kept)

    monkeypatch.setattr(step_module, "release_memory", release)
    with pytest.raises(MicroBatchTooLarge):
        take_step(state)
    assert alive == [False]


def test_micro_batches_are_equal_parts_where_the_batch_has_any() -> None:
    assert [equal_parts(10, most) for most in (10, 9, 5, 4, 2, 1)] == [10, 5, 5, 2, 2, 1]
    assert [equal_parts(32, most) for most in (100, 31, 12, 3)] == [32, 16, 8, 2]
    # A prime number has only itself and one: two sizes rather than sixty-one passes.
    assert [equal_parts(61, most) for most in (61, 60, 20)] == [61, 31, 16]
    for count in range(1, 40):
        for most in range(1, 45):
            assert 1 <= equal_parts(count, most) <= min(count, most)


def test_an_allocator_that_looks_for_room_halves_once_more(
    tmp_path: Path, corpus_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = make_run(tmp_path, make_spec(steps=(20,)), corpus_folder)
    engine = Engine(job, Team())
    retries = iter([0, 3, 3, 3])
    monkeypatch.setattr(engine_module, "squeezed", lambda device: next(retries))
    sizes = []
    for _ in range(4):
        engine.relax()
        sizes.append(engine.micro_sequences)
    assert sizes == [4, 2, 2, 2]


class NoFloat64(TorchFunctionMode):
    """A device that has none: its tensors are those that were not brought to the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.on_cpu: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.double and not any(args[0] is mine for mine in self.on_cpu):
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        result = func(*args, **(kwargs or {}))
        if func is Tensor.cpu:
            self.on_cpu.append(result)
        return result


def test_a_device_without_float64_can_be_read(tmp_path: Path, corpus_folder: Path) -> None:
    job, _ = make_run(tmp_path, make_spec(steps=(20,)), corpus_folder)
    with NoFloat64():
        assert Engine(job, Team()).read([StepResult(torch.tensor(2.5), torch.tensor(1.5))]) == ([2.5], [1.5])


def test_evaluation_knows_the_vocabulary_and_what_did_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = {}
    for vocabulary in (256, 50_000):
        decoder = Decoder(replace(make_spec().model, vocab_size=vocabulary))
        tokens[vocabulary] = tokens_at_a_time(decoder, CUDA)
        assert tokens_at_a_time(decoder, torch.device("cpu")) == 2048
    assert tokens == {256: 65536, 50_000: 2684}
    state, data = make_state(), windows(200).numpy()
    inputs, targets = data[:, :-1].copy(), data[:, 1:].copy()
    whole = evaluate(state.decoder, inputs, targets, torch.device("cpu"))
    losses = Full(state.decoder.token_losses, 20)
    monkeypatch.setattr(state.decoder, "token_losses", losses)
    assert evaluate(state.decoder, inputs, targets, torch.device("cpu")).loss_nats == pytest.approx(
        whole.loss_nats, rel=1e-6
    )
    assert [size for size in losses.calls if size > 20] == [64, 32], "what did not fit is not tried with every chunk"


def test_a_run_keeps_to_the_precision_that_it_was_begun_in(tmp_path: Path, corpus_folder: Path) -> None:
    spec = make_spec(steps=(20,))
    job, folder = make_run(tmp_path, spec, corpus_folder, precision="bf16")
    with pytest.raises(Interrupted):
        Trajectory(job, folder, should_stop=stop_after(7)).run()
    other, _ = make_run(tmp_path, spec, corpus_folder)
    with pytest.raises(
        OtherPrecision, match=r"trained in bf16 so far .* in fp32: set runtime.precision=bf16, or delete"
    ):
        Trajectory(other, folder).run()
    Trajectory(job, folder).run()
    assert read_record(record_path(folder, spec.budgets[0])).provenance.precision == "bf16"


def test_peaks_are_of_the_run_alone(tmp_path: Path, corpus_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the operands of the measured product nor a larger point before it in this process count."""
    order: list[str] = []

    def measured(*_: object) -> float:
        order.append("peak")
        return 1e9

    monkeypatch.setattr(engine_module, "matmul_peak", measured)
    monkeypatch.setattr(trajectory, "forget_peak_memory", lambda device: order.append("forget"))
    job, folder = make_run(tmp_path, make_spec(steps=(5,)), corpus_folder)
    Trajectory(job, folder).run()
    assert order == ["peak", "forget"]


def test_blocks_are_compiled_once_for_all_and_before_time_is_taken(
    tmp_path: Path, corpus_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the compiler's front, which needs no C compiler: one unbroken graph for all blocks, none to evaluate."""
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        from torch._dynamo.backends.debugging import aot_eager

        graphs.append(graph)
        return aot_eager(graph, inputs)

    hours = types.SimpleNamespace(perf_counter=lambda: time.perf_counter() + 3600 * len(graphs))
    monkeypatch.setattr(energy, "time", hours)
    monkeypatch.setattr(parallel, "COMPILER", backend)
    losses = []
    for compiled in (False, True):
        spec = make_spec(steps=(20,))
        spec = replace(spec, model=replace(spec.model, num_layers=3))
        job, folder = make_run(tmp_path / str(compiled), spec, corpus_folder, precision="bf16", compile=compiled)
        Trajectory(job, folder).run()
        losses.append(read_record(record_path(folder, spec.budgets[0])))
    assert losses[1].final_loss_nats == pytest.approx(losses[0].final_loss_nats, rel=1e-3)
    assert len(graphs) == 1
    assert losses[1].seconds < 3600
