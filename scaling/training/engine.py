"""How this machine takes a step of a run: device, precision, micro-batch, and the processes that share it."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from scaling.data.corpus import Corpus
from scaling.model.counting import count_training_flops
from scaling.model.decoder import Decoder, initialise
from scaling.records import ValidationLoss
from scaling.training.batches import Batches
from scaling.training.config import Job
from scaling.training.device import OutOfMemory, choose_device, choose_precision, peak_memory_bytes
from scaling.training.energy import EnergyMeter, Stopwatch
from scaling.training.evaluate import Evaluation, evaluate
from scaling.training.optimizer import make_optimizer
from scaling.training.parallel import place
from scaling.training.peak import matmul_peak
from scaling.training.progress import Progress
from scaling.training.provenance import provenance
from scaling.training.recording import Execution
from scaling.training.step import MicroBatchTooLarge, StepResult, TrainState, accumulate_gradients, train_step
from scaling.training.team import Team, check_split
from scaling.training.validation_sets import evaluate_sets

log = logging.getLogger(__name__)


class Engine:
    """A run's training state on this machine and what advances it. All ranks of a team do the same with theirs."""

    def __init__(self, job: Job, team: Team) -> None:
        check_split(job.spec, job.runtime, team)
        self.spec, self.runtime, self.team = job.spec, job.runtime, team
        self.device = choose_device(job.runtime, team.local_rank)
        self.precision = choose_precision(job.runtime, self.device)
        self.stopwatch = Stopwatch(EnergyMeter(self.device))
        self.corpus = Corpus.open(Path(job.corpus_folder), self.spec.unique_tokens)
        self._batches = Batches(self.corpus, self.spec, self.device, team)
        self._validation = self.corpus.validation_windows(self.spec.model.context)
        wanted = self.runtime.micro_batch_tokens
        most = self._batches.num_sequences if wanted == "auto" else max(1, wanted // self.spec.model.context)
        self.micro_sequences = min(most, self._batches.num_sequences)
        # A peak is asked for by the leader alone, so that ranks of one machine do not measure against each other.
        cache = Path(job.corpus_folder).parent
        self.peak_flops_per_second = team.size * team.told(
            matmul_peak(self.device, self.precision, cache) if team.leads else 0.0
        )
        self.state = self.fresh_state()
        self._fitted = team.size == 1

    def fresh_state(self) -> TrainState:
        decoder = Decoder(self.spec.model, z_loss=self.spec.optimizer.z_loss)
        initialise(decoder, self.spec.init_seed)
        placed = place(decoder.train(), self.runtime, self.team, self.device)
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        optimizer = make_optimizer(decoder, self.spec.optimizer)
        return TrainState(
            decoder, placed.forward, optimizer, scaler, processes=self.team.size, exchange=placed.exchange
        )

    def step(self, learning_rate_share: float) -> StepResult:
        """One optimiser step; micro-batches that do not fit are halved. Raises OutOfMemory at one sequence."""
        if not self._fitted:
            self._fit_micro_batch()
        windows = self._batches.batch(self.state.step)
        while True:
            try:
                return train_step(
                    self.state,
                    windows,
                    num_tokens=self.spec.optimizer.batch_tokens,
                    learning_rate_share=learning_rate_share,
                    grad_clip=self.spec.optimizer.grad_clip,
                    precision=self.precision,
                    micro_sequences=self.micro_sequences,
                    dropout_seed=self._dropout_seed(),
                )
            except MicroBatchTooLarge as error:
                if self.team.size > 1:
                    # The other ranks are in the middle of an exchange by now and cannot go back with this one.
                    raise RuntimeError(
                        f"process {self.team.rank} of {self.team.size} ran out of memory at step {self.state.step} "
                        f"({error}): "
                        f"set runtime.micro_batch_tokens below {self.micro_batch_tokens} and run the same command"
                    ) from None
                self._halve(str(error))

    def _fit_micro_batch(self) -> None:
        """Halve until a pass fits on every rank, before any of them waits for another inside a step."""
        self._fitted = True
        if self.runtime.parallel == "fsdp":
            return  # each of its passes is an exchange
        windows = self._batches.batch(self.state.step)
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
                    exchange=False,
                )
            except MicroBatchTooLarge as error:
                reason = str(error)
            self.state.optimizer.zero_grad(set_to_none=True)
            (too_large,) = self.team.any(reason is not None)
            if not too_large:
                del reserve
                return
            self._halve(reason or "another process ran out of memory")

    def _halve(self, reason: str) -> None:
        if self.micro_sequences == 1:
            raise OutOfMemory(f"one sequence of {self.spec.model.context} tokens at a time does not fit: {reason}")
        self.micro_sequences = (self.micro_sequences + 1) // 2
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
        return evaluate_sets(self.corpus, self.spec.model.context, self._evaluate)

    def _evaluate(self, inputs_WxT: NDArray[np.int64], targets_WxT: NDArray[np.int64]) -> Evaluation:
        return evaluate(self.state.decoder, inputs_WxT, targets_WxT, self.device, self.team)

    def read(self, results: Sequence[StepResult]) -> tuple[list[float], list[float]]:
        """The batches' losses, in nats/token, and gradient norms; this is where the device is waited for."""
        losses = self.team.sum(torch.stack([result.loss for result in results]).double().cpu()) / self.team.size
        return losses.tolist(), torch.stack([result.grad_norm for result in results]).double().tolist()

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
            ),
            peak_memory_bytes=self.team.most(peak_memory_bytes(self.device)),
            peak_flops_per_second=self.peak_flops_per_second,
            energy_joules=None if uncounted else float(joules),
        )
