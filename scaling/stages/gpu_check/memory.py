"""Memory that runs out: in forward, in backward, at the update, in evaluation, and because of a neighbour."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from scaling.records import RunRecord, read_record, record_path
from scaling.specs import RunSpec
from scaling.stages.gpu_check.finding import Bench, Finding, at_most, model_of, run_of
from scaling.stages.gpu_check.numbers import make_corpus, make_run, train
from scaling.training.device import CrowdedOut
from scaling.training.trajectory import Trajectory

# Of the GPU: so little that a batch of a small decoder does not fit at once.
SMALL_SHARE = 0.02


class Planted:
    """What a CPU that never runs out shows in its place: a pass that raises above `most` sequences."""

    def __init__(self, inner: Callable[[Tensor, Tensor], Tensor], most: int, *, backward: bool = False) -> None:
        self.inner, self.most, self.backward = inner, most, backward

    def __call__(self, inputs: Tensor, targets: Tensor) -> Tensor:
        if len(inputs) <= self.most:
            return self.inner(inputs, targets)
        if not self.backward:
            raise torch.OutOfMemoryError("planted")
        loss = self.inner(inputs, targets)
        loss.register_hook(_raise)  # type: ignore[no-untyped-call]
        return loss


def _raise(gradient: Tensor) -> None:
    raise torch.OutOfMemoryError("planted in the backward pass")


def memory(bench: Bench) -> Iterator[Finding]:
    corpus = make_corpus(bench.folder)
    spec = run_of(model_of(2, 128, 4, vocab=256, context=128), 512 * (256 if bench.on_gpu else 1), steps=(4,))
    options: dict[str, object] = {"device": bench.device.type, "precision": "fp32", "micro_batch_tokens": 128}
    roomy = {**options, "micro_batch_tokens": spec.optimizer.batch_tokens // 4}
    (whole,) = train(bench.folder / "whole", spec, corpus, **roomy)
    for place in ("forward", "backward", "evaluation"):
        record = _short(bench, spec, corpus, place)
        off = abs((record.final_loss_nats or 0.0) - (whole.final_loss_nats or 0.0)) / (whole.final_loss_nats or 1.0)
        tokens = record.provenance.micro_batch_tokens or 0
        yield at_most("memory", f"short in {place}", off, 1e-4, f"went on with {tokens} tokens at a time")
    yield _neighbour(bench, spec, corpus)


def _short(bench: Bench, spec: RunSpec, corpus: Path, place: str) -> RunRecord:
    job, folder = make_run(bench.folder / place, spec, corpus, device=bench.device.type, precision="fp32")
    run = Trajectory(job, folder)
    if bench.on_gpu and place == "forward":
        torch.cuda.set_per_process_memory_fraction(SMALL_SHARE, bench.device)
    elif place == "evaluation":
        decoder = run.state.decoder
        setattr(decoder, "token_losses", Planted(decoder.token_losses, 2))  # noqa: B010 - no method is put back
    else:
        sequences = spec.optimizer.batch_tokens // spec.model.context
        run.state.forward = Planted(run.state.forward, sequences // 2, backward=place == "backward")
    try:
        run.run()
    finally:
        if bench.on_gpu:
            torch.cuda.set_per_process_memory_fraction(1.0, bench.device)
    return read_record(record_path(folder, spec.budgets[0]))


def _neighbour(bench: Bench, spec: RunSpec, corpus: Path) -> Finding:
    """Another process holds what the GPU has left: nothing of that is a record."""
    job, folder = make_run(bench.folder / "neighbour", spec, corpus, device=bench.device.type, precision="fp32")
    run = Trajectory(job, folder)
    if not bench.on_gpu:
        run.state.forward = Planted(run.state.forward, 0)
        run.crowd = lambda device: "planted"
    with _holding_the_rest(bench):
        try:
            run.run()
            words = "it went on as if there were nobody"
        except CrowdedOut as error:
            words = str(error)
    return Finding("memory", "a neighbour", not list(folder.glob("record-*.json")), words=words)


HOLD = """
import sys, torch
free, _ = torch.cuda.mem_get_info()
held = [torch.empty(1 << 20, dtype=torch.uint8, device="cuda") for _ in range(max(0, (free >> 20) - 16))]
print(len(held), flush=True)
sys.stdin.read()
"""


@contextmanager
def _holding_the_rest(bench: Bench) -> Iterator[None]:
    if not bench.on_gpu:
        yield
        return
    torch.cuda.empty_cache()
    holder = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        holder.stdout.readline()
        yield
    finally:
        holder.stdin.close()
        holder.wait()
