"""How this machine takes a step of a run: device, precision, micro-batch, and the processes that share it."""

import logging
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scaling.data.corpus import Corpus
from scaling.model.counting import count_training_flops
from scaling.model.decoder import Decoder, initialise
from scaling.records import ValidationLoss
from scaling.training.batches import Batches
from scaling.training.capture import CapturedStep, CaptureFailed
from scaling.training.checkpoint import restore
from scaling.training.choices import choose
from scaling.training.config import Job
from scaling.training.device import (
    OutOfMemory,
    choose_device,
    choose_precision,
    device_words,
    fix_workspaces,
    limit_memory,
    peak_memory_bytes,
    peak_reserved_bytes,
    squeezed,
    synchronize,
)
from scaling.training.energy import EnergyMeter, Stopwatch
from scaling.training.evaluate import Evaluation, evaluate
from scaling.training.optimizer import make_optimizer
from scaling.training.parallel import exact_twin, place
from scaling.training.peak import datasheet_peak, matmul_peak
from scaling.training.progress import Progress
from scaling.training.provenance import provenance
from scaling.training.recording import Execution
from scaling.training.step import MicroBatchTooLarge, StepResult, TrainState, accumulate_gradients, train_step
from scaling.training.team import Team, check_split
from scaling.training.validation_sets import evaluate_sets

log = logging.getLogger(__name__)


def equal_parts(count: int, most: int) -> int:
    """The largest part of at most `most` into which `count` divides, or, where that would be less than half of it, the
    one that leaves fewest parts and the last of them smaller: each further size costs plans, compilation, a graph."""
    fewest = -(-count // max(1, most))
    even = next((n for n in range(fewest, min(count, 2 * fewest) + 1) if count % n == 0), fewest)
    return -(-count // even)


class Engine:
    """A run's training state on this machine and what advances it. All ranks of a team do the same with theirs."""

    def __init__(self, job: Job, team: Team) -> None:
        self.spec, self.runtime, self.team = job.spec, job.runtime, team
        self.device = choose_device(job.runtime, team.local_rank)
        self.precision = choose_precision(job.runtime, self.device)
        check_split(job.spec, job.runtime, team, self.precision)
        if self.runtime.deterministic:
            fix_workspaces()
        log.info("device: %s", device_words(self.device, self.precision))
        limit_memory(self.device)
        self.stopwatch = Stopwatch(EnergyMeter(self.device))
        self.corpus = Corpus.open(Path(job.corpus_folder), self.spec.unique_tokens)
        self._batches = Batches(self.corpus, self.spec, self.device, team)
        self._validation = self.corpus.validation_windows(
            self.spec.model.context, most_tokens=self.spec.evaluations.most_tokens
        )
        wanted = self.runtime.micro_batch_tokens
        most = self._batches.num_sequences if wanted == "auto" else max(1, wanted // self.spec.model.context)
        self.micro_sequences = equal_parts(self._batches.num_sequences, most)
        # A peak is asked for by the leader alone, so that ranks of one machine do not measure against each other.
        cache = Path(job.corpus_folder).parent
        self.peak_flops_per_second = team.size * team.told(
            matmul_peak(self.device, self.precision, cache) if team.leads else 0.0
        )
        self.choices = choose(self.spec, self.runtime, self.device, self.precision, team, cache)
        if self.choices.compiled:  # what was compiled for one shape serves all studies
            os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str((cache / "inductor").absolute()))
        self._recorded: CapturedStep | None = None
        self.datasheet_peak = datasheet_peak(self.device, self.precision)
        self.state = self.fresh_state()
        self._warm, self._squeezed = False, 0
        self._twin: Decoder | None = None

    def start_over(self) -> None:
        """From the first step, without two states at a time."""
        self._recorded = None
        del self.state
        self.state = self.fresh_state()

    def fresh_state(self) -> TrainState:
        decoder = Decoder(self.spec.model, z_loss=self.spec.optimizer.z_loss)
        initialise(decoder, self.spec.init_seed)
        placed = place(decoder.train(), self.runtime, self.team, self.device, self.precision, self.choices.compiled)
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        optimizer = make_optimizer(decoder, self.spec.optimizer)
        return TrainState(
            decoder,
            placed.forward,
            optimizer,
            scaler,
            processes=self.team.size,
            exchange=placed.exchange,
            attending=self.choices.attending,
            casts_itself=placed.casts_itself,
        )

    def restore(self, content: dict[str, Any]) -> Progress:
        """Put a checkpoint's contents into the state. Raises OtherPrecision."""
        self._recorded = None
        return restore(content, self.state, self.precision)

    def step(self, learning_rate_share: float) -> StepResult:
        """One optimiser step; micro-batches that do not fit are halved. Raises OutOfMemory at one sequence."""
        while True:
            try:
                if self.choices.captured and (recorded := self._record()) is not None:
                    return recorded.step(learning_rate_share)
                return train_step(
                    self.state,
                    self._batches.batch(self.state.step),
                    num_tokens=self.spec.optimizer.batch_tokens,
                    learning_rate_share=learning_rate_share,
                    grad_clip=self.spec.optimizer.grad_clip,
                    precision=self.precision,
                    micro_sequences=self.micro_sequences,
                    dropout_seed=self._dropout_seed(),
                )
            except MicroBatchTooLarge as error:
                if self.team.size > 1:
                    raise self._lost_rank(error) from None
                self._halve(str(error))

    def warm_up(self) -> None:
        """Before the first step: a pass forwards and backwards without an update, in which kernels are loaded, planned
        and compiled, and which halves the micro-batch until it fits on every rank, before any of them waits for another
        inside a step. On a CPU a process alone needs neither."""
        if self._warm:
            return
        self._warm = True
        if self.device.type == "cpu" and self.team.size == 1 and not self.choices.compiled:
            return
        windows = self._batches.batch(self.state.step)
        fsdp = self.team.size > 1 and self.runtime.parallel == "fsdp"
        # The optimiser's two moments come with the first step.
        reserve = [torch.empty_like(p) for p in self.state.decoder.parameters() for _ in range(2)]
        while True:
            reason = None
            try:
                accumulate_gradients(
                    self.state,
                    windows[: self.micro_sequences],
                    num_tokens=self.spec.optimizer.batch_tokens,
                    precision=self.precision,
                    micro_sequences=self.micro_sequences,
                    dropout_seed=self._dropout_seed(),
                    exchange=fsdp,  # each of its passes is an exchange
                )
            except MicroBatchTooLarge as error:
                if fsdp:
                    raise self._lost_rank(error) from None
                reason = str(error)
            self.state.optimizer.zero_grad(set_to_none=True)
            (too_large,) = self.team.any(reason is not None)
            if not too_large:
                break
            self._halve(reason or "another process ran out of memory")
        del reserve
        synchronize(self.device)
        self._squeezed = squeezed(self.device)

    def relax(self) -> None:
        """Halve once more where the allocator had to look for room in the steps since the last question: a batch that
        only just fits makes it do so in every step."""
        if self.team.size == 1 and (now := squeezed(self.device)) > self._squeezed:
            if self.micro_sequences > 1:
                self._halve(f"the allocator gave blocks back {now - self._squeezed} times to find room")
            self._squeezed = now

    def _record(self) -> CapturedStep | None:
        """The step as a graph; None where it cannot be one, which is said once and then left alone."""
        if self._recorded is not None:
            return self._recorded
        try:
            self._recorded = CapturedStep(
                self.state,
                self._batches,
                self.spec,
                device=self.device,
                precision=self.precision,
                micro_sequences=self.micro_sequences,
                ring=self.runtime.log_every_steps + 1,
            )
        except CaptureFailed as failure:
            log.warning("the step is not captured: %s", failure)
            reasons = "; ".join(filter(None, [self.choices.reasons, f"capture: {failure}"]))
            self.choices = replace(self.choices, captured=False, reasons=reasons)
        return self._recorded

    def _lost_rank(self, error: MicroBatchTooLarge) -> RuntimeError:
        # The other ranks are in the middle of an exchange by now and cannot go back with this one.
        return RuntimeError(
            f"process {self.team.rank} of {self.team.size} ran out of memory at step {self.state.step} ({error}): "
            f"set runtime.micro_batch_tokens below {self.micro_batch_tokens} and run the same command"
        )

    def _halve(self, reason: str) -> None:
        if self.micro_sequences == 1:
            raise OutOfMemory(f"one sequence of {self.spec.model.context} tokens at a time does not fit: {reason}")
        self.micro_sequences = equal_parts(self._batches.num_sequences, self.micro_sequences // 2)
        self._recorded = None
        log.info("out of memory (%s); going on with micro-batches of %d tokens", reason, self.micro_batch_tokens)

    def _dropout_seed(self) -> int:
        """Its own for each step and rank."""
        return (self.team.rank << 56) + (self.spec.init_seed << 32) + self.state.step

    @property
    def micro_batch_tokens(self) -> int:
        return self.micro_sequences * self.spec.model.context

    def evaluate(self) -> Evaluation:
        return self._evaluate(*self._validation)

    def evaluate_sets(self) -> dict[str, ValidationLoss]:
        """On the corpus' further validation sets."""
        most = self.spec.evaluations.most_tokens
        return evaluate_sets(self.corpus, self.spec.model.context, self._evaluate, most)

    def _evaluate(self, inputs_WxT: NDArray[np.int64], targets_WxT: NDArray[np.int64]) -> Evaluation:
        """By the same operations whether training is compiled or not, and without a graph for each odd last chunk."""
        with torch.compiler.set_stance("force_eager") if self.choices.compiled else nullcontext():
            decoder = self.state.decoder
            if self.state.casts_itself:
                decoder = self._twin = exact_twin(decoder, self._twin, self.team, self.device)
            return evaluate(decoder, inputs_WxT, targets_WxT, self.device, self.team)

    def read(self, results: Sequence[StepResult]) -> tuple[list[float], list[float]]:
        """The batches' losses, in nats/token, and gradient norms; this is where the device is waited for."""
        # Some devices have no float64.
        losses, norms = (
            torch.stack(numbers).cpu().double()
            for numbers in ([result.loss for result in results], [result.grad_norm for result in results])
        )
        return (self.team.sum(losses) / self.team.size).tolist(), norms.tolist()

    def mfu(self, tokens: int, seconds: float) -> float:
        """Counted FLOPs over what the devices can do in that time."""
        flops = tokens * count_training_flops(self.spec.model).total
        return flops / max(seconds, 1e-9) / self.peak_flops_per_second

    def execution(self, progress: Progress) -> Execution:
        """What the run took on all ranks, for a record."""
        (uncounted,) = self.team.any(progress.energy_joules is None)
        joules = self.team.sum(torch.tensor(progress.energy_joules or 0.0, dtype=torch.float64))
        manifest = self.corpus.manifest
        return Execution(
            provenance(
                device=self.device,
                precision=self.precision,
                corpus=manifest.fingerprint,
                tokenizer=manifest.tokenizer_sha256,
                micro_batch_tokens=self.micro_batch_tokens,
                processes=self.team.size,
                parallel=self.runtime.parallel if self.team.size > 1 else "none",
                choices=self.choices,
            ),
            peak_memory_bytes=self.team.most(peak_memory_bytes(self.device)),
            peak_reserved_bytes=None if (most := peak_reserved_bytes(self.device)) is None else self.team.most(most),
            peak_flops_per_second=self.peak_flops_per_second,
            datasheet_flops_per_second=None if (sheet := self.datasheet_peak) is None else self.team.size * sheet,
            energy_joules=None if uncounted else float(joules),
        )
