"""One trajectory: the trunk, a branch for each budget, and a record for each branch.

After a branch the trunk is read back from its checkpoint: the way a killed run resumes is the way every run goes.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import torch

from scaling.curves import CurveRow
from scaling.data.corpus import Corpus
from scaling.model.counting import (
    chinchilla_training_flops,
    count_parameters,
    count_training_flops,
    kaplan_training_flops,
)
from scaling.model.decoder import Decoder, initialise
from scaling.records import (
    RECORD_SCHEMA,
    PointStatus,
    RunRecord,
    ValidationLoss,
    record_path,
    write_record,
)
from scaling.training.batches import Batches
from scaling.training.checkpoint import CheckpointError, Progress, load_checkpoint, save_checkpoint
from scaling.training.config import Job
from scaling.training.curve import CurveWriter
from scaling.training.device import choose_device, choose_precision, peak_memory_bytes
from scaling.training.evaluate import Evaluation, evaluate
from scaling.training.optimizer import make_optimizer
from scaling.training.provenance import provenance
from scaling.training.schedule import learning_rate_share
from scaling.training.step import StepResult, TrainState, train_step
from scaling.training.validation_sets import evaluate_sets

log = logging.getLogger(__name__)

TRUNK_FILE, BRANCH_FILE = "trunk.pt", "branch.pt"


class Interrupted(Exception):
    """Asked to stop; the state is on disk and the same command goes on from it."""


class Diverged(Exception):
    """The loss or the gradient is no longer finite; the message gives step and numbers."""


class StoppedEarly(Exception):
    """The trunk no longer improves; the message says since when, `evaluation` how it stands."""

    def __init__(self, message: str, evaluation: Evaluation, progress: Progress) -> None:
        super().__init__(message)
        self.evaluation, self.progress = evaluation, progress


class Trajectory:
    """A run's state and the verbs that advance it. `should_stop` is asked after every step; `on_progress` is told
    (steps done of all segments, tokens per second) at every logged row."""

    def __init__(
        self,
        job: Job,
        folder: Path,
        *,
        should_stop: Callable[[], bool] = lambda: False,
        on_progress: Callable[[int, float], None] = lambda steps, speed: None,
    ) -> None:
        self.spec, self.runtime, self.folder = job.spec, job.runtime, folder
        self.should_stop, self.on_progress = should_stop, on_progress
        self.device = choose_device(job.runtime)
        self.precision = choose_precision(job.runtime, self.device)
        self.corpus = Corpus.open(Path(job.corpus_folder), self.spec.unique_tokens)
        self.batches = Batches(self.corpus, self.spec, self.device)
        context = self.spec.model.context
        self.validation = self.corpus.validation_windows(context)
        micro_tokens = self.runtime.micro_batch_tokens or self.spec.optimizer.batch_tokens
        self.micro_sequences = max(1, micro_tokens // context)
        self.state = self._fresh_state()
        self.steps_before_segment = 0

    def _fresh_state(self) -> TrainState:
        decoder = Decoder(self.spec.model, z_loss=self.spec.optimizer.z_loss)
        initialise(decoder, self.spec.init_seed)
        decoder.to(self.device).train()
        forward = torch.compile(decoder) if self.runtime.compile else decoder
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        return TrainState(decoder, forward, make_optimizer(decoder, self.spec.optimizer), scaler)

    def run(self) -> None:
        """Make every missing record, in the order of budgets. Raises Interrupted when asked to stop."""
        pending = [b for b in self.spec.budgets if not record_path(self.folder, b).exists()]
        if not pending:
            return
        progress = self._resume(TRUNK_FILE, budget=None) or Progress()
        for budget in pending:
            try:
                self._reach(budget, progress)
            except (Diverged, torch.OutOfMemoryError) as error:
                status: PointStatus = "diverged" if isinstance(error, Diverged) else "out_of_memory"
                in_branch = self.state.step > self.spec.cooldown_start(budget)
                lost = [budget] if in_branch else pending[pending.index(budget) :]
                for lost_budget in lost:
                    reason = str(error).splitlines()[0]
                    self._write_record(lost_budget, progress, None, status=status, reason=reason)
                if not in_branch:
                    return
            except StoppedEarly as stop:
                for lost_budget in pending[pending.index(budget) :]:
                    self._write_record(
                        lost_budget, stop.progress, stop.evaluation, status="stopped_early", reason=str(stop)
                    )
                return
            if budget != pending[-1]:
                resumed = self._resume(TRUNK_FILE, budget=None)
                assert resumed is not None, "the trunk's checkpoint was written before the branch"
                progress = resumed

    def _reach(self, budget: int, trunk: Progress) -> None:
        """Train the trunk to the budget's branch, then the branch, then record the point."""
        start = self.spec.cooldown_start(budget)
        self.steps_before_segment = sum(
            self.spec.steps(b) - self.spec.cooldown_start(b) for b in self.spec.budgets if b < budget
        )
        progress = self._resume(BRANCH_FILE, budget=budget)
        if progress is None:
            if self.state.step > start:  # a budget that was added below those already made
                self.state, trunk = self._fresh_state(), Progress()
            if self.state.step < start:
                self._train(trunk, until=start, budget=budget, segment=None)
            progress = Progress(trunk.seconds, trunk.best_loss_nats, trunk.best_loss_tokens)
        evaluation = self._train(progress, until=self.spec.steps(budget), budget=budget, segment=budget)
        self._write_record(budget, progress, evaluation, status="done", reason=None)
        (self.folder / BRANCH_FILE).unlink(missing_ok=True)

    def _train(self, progress: Progress, *, until: int, budget: int, segment: int | None) -> Evaluation:
        """Advance `state` to step `until` along the way to `budget`, evaluate, and save the trunk if it is one.

        `segment` names what is trained: None for the trunk, else the branch's budget.
        """
        checkpoint = self.folder / (TRUNK_FILE if segment is None else BRANCH_FILE)
        batch_tokens = self.spec.optimizer.batch_tokens
        saved_at = time.monotonic()

        def save() -> None:
            save_checkpoint(checkpoint, self.state, progress, run_id=self.spec.id, budget=segment)

        if segment is None and self.state.step < until:
            self._stop_if_exhausted(progress)
        with CurveWriter(
            self.folder,
            segment,
            keep_bytes=progress.curve_bytes,
            tokens=self.state.step * batch_tokens,
            tensorboard=self.runtime.tensorboard,
        ) as curve:
            results: list[StepResult] = []
            clock = time.perf_counter()
            while self.state.step < until:
                results.append(self._step(budget))
                stopping = self.should_stop()
                due = self.spec.evaluations.due(self.state.step)
                logged = self.state.step % self.runtime.log_every_steps == 0
                if not (stopping or logged or due) and self.state.step < until:
                    continue
                clock = self._account(progress, results, clock)
                results = []
                if logged or self.state.step == until:
                    self._log(curve, progress, budget)
                    clock = time.perf_counter()
                if self.state.step == until:
                    break  # evaluated first: a state saved here would resume without its evaluation
                if due:
                    self._evaluate(curve, progress, budget)
                    if segment is None:
                        self._stop_if_exhausted(progress)
                    clock = time.perf_counter()
                if stopping:
                    save()
                    raise Interrupted(f"stopped at step {self.state.step} of {until}")
                if time.monotonic() - saved_at >= self.runtime.checkpoint_every_seconds:
                    save()
                    saved_at, clock = time.monotonic(), time.perf_counter()
            evaluation = self._evaluate(curve, progress, budget)
        if segment is None:
            save()
        return evaluation

    def _evaluate(self, curve: CurveWriter, progress: Progress, budget: int) -> Evaluation:
        """The loss as it stands, put into the curve, the best loss and the count towards an early stop."""
        evaluation = evaluate(self.state.decoder, *self.validation, self.device)
        loss, tokens = evaluation.loss_nats, self.state.step * self.spec.optimizer.batch_tokens
        if progress.best_loss_nats is None or loss < progress.best_loss_nats:
            progress.best_loss_nats, progress.best_loss_tokens = loss, tokens
        if self.spec.evaluations.due(self.state.step):
            reference, needed = progress.reference_loss_nats, self.spec.evaluations.min_delta_nats
            if reference is None or loss < reference - needed:
                progress.reference_loss_nats, progress.stale_evaluations = loss, 0
            else:
                progress.stale_evaluations += 1
        progress.curve_bytes = curve.write(CurveRow(tokens, None, self._learning_rate(budget), None, None, loss))
        return evaluation

    def _stop_if_exhausted(self, progress: Progress) -> None:
        """Raises StoppedEarly. Not asked where a branch begins: what the trunk has reached is cooled."""
        if not self.spec.evaluations.exhausted(progress.stale_evaluations):
            return
        rule = self.spec.evaluations
        tokens = self.state.step * self.spec.optimizer.batch_tokens
        raise StoppedEarly(
            f"the trunk stopped at {tokens} tokens, before its cooldown: {progress.stale_evaluations} evaluations in a "
            f"row, one every {rule.every_steps} steps, were not below {progress.reference_loss_nats} nats by more than "
            f"{rule.min_delta_nats:g}",
            evaluate(self.state.decoder, *self.validation, self.device),
            progress,
        )

    def _step(self, budget: int) -> StepResult:
        step = self.state.step
        return train_step(
            self.state,
            self.batches.batch(step),
            learning_rate_share=learning_rate_share(self.spec, step, budget),
            grad_clip=self.spec.optimizer.grad_clip,
            precision=self.precision,
            micro_sequences=self.micro_sequences,
            dropout_seed=(self.spec.init_seed << 32) + step,
        )

    def _account(self, progress: Progress, results: list[StepResult], clock: float) -> float:
        """Add the steps since the last reading to the interval's sums. Raises Diverged."""
        losses = torch.stack([r.loss for r in results]).double().cpu()
        norms = torch.stack([r.grad_norm for r in results]).double().cpu()
        now = time.perf_counter()
        first = self.state.step - len(results)
        # Under fp16 a non-finite gradient is the scaler's business: it skips the step and counts it.
        suspects = losses if self.precision == "fp16" else losses + norms
        if not bool(torch.isfinite(suspects).all()):
            bad = int((~torch.isfinite(suspects)).nonzero()[0])
            raise Diverged(
                f"at step {first + bad} the loss is {float(losses[bad])} and the gradient norm {float(norms[bad])}"
            )
        progress.interval_loss += float(losses.sum())
        progress.interval_grad_norm += float(norms.sum())
        progress.interval_steps += len(results)
        progress.interval_seconds += now - clock
        progress.seconds += now - clock
        return now

    def _log(self, curve: CurveWriter, progress: Progress, budget: int) -> None:
        steps = progress.interval_steps
        tokens_per_second = steps * self.spec.optimizer.batch_tokens / max(progress.interval_seconds, 1e-9)
        row = CurveRow(
            tokens=self.state.step * self.spec.optimizer.batch_tokens,
            train_loss_nats=progress.interval_loss / steps,
            learning_rate=self._learning_rate(budget),
            grad_norm=progress.interval_grad_norm / steps,
            tokens_per_second=tokens_per_second,
        )
        progress.curve_bytes = curve.write(row)
        progress.interval_loss = progress.interval_grad_norm = progress.interval_seconds = 0.0
        progress.interval_steps = 0
        self.on_progress(self.steps_before_segment + self.state.step, tokens_per_second)

    def _evaluate_sets(self) -> dict[str, ValidationLoss]:
        return evaluate_sets(
            self.corpus,
            self.spec.model.context,
            lambda inputs, targets: evaluate(self.state.decoder, inputs, targets, self.device),
        )

    def _learning_rate(self, budget: int) -> float:
        """Of the hidden matrices, at the last step taken."""
        share = learning_rate_share(self.spec, max(0, self.state.step - 1), budget)
        return self.spec.optimizer.matrix_lr * share

    def _resume(self, name: str, *, budget: int | None) -> Progress | None:
        """The saved progress of a segment with `state` set to it, or None where there is nothing usable."""
        path = self.folder / name
        if not path.exists():
            return None
        try:
            return load_checkpoint(path, self.state, run_id=self.spec.id, budget=budget, device=self.device)
        except CheckpointError as error:
            # A branch left over from an earlier budget is stale, not broken; either way its trunk serves.
            log.warning("%s; going on without it", error)
            return None

    def _write_record(
        self,
        budget: int,
        progress: Progress,
        evaluation: Evaluation | None,
        *,
        status: PointStatus,
        reason: str | None,
    ) -> None:
        spec, manifest, done = self.spec, self.corpus.manifest, evaluation
        tokens = self.state.step * spec.optimizer.batch_tokens
        record = RunRecord(
            schema=RECORD_SCHEMA,
            run_id=spec.id,
            size=spec.size,
            init_seed=spec.init_seed,
            data_seed=spec.data_seed,
            budget_tokens=budget,
            status=status,
            reason=reason,
            params=count_parameters(spec.model),
            tokens=tokens,
            steps=self.state.step,
            unique_tokens=min(tokens, self.corpus.num_windows(spec.model.context) * spec.model.context),
            epochs=self.corpus.epochs(tokens, spec.model.context),
            flops=tokens * count_training_flops(spec.model).total,
            flops_kaplan=tokens * kaplan_training_flops(spec.model),
            flops_chinchilla=tokens * chinchilla_training_flops(spec.model),
            final_loss_nats=None if evaluation is None else evaluation.loss_nats,
            best_loss_nats=progress.best_loss_nats,
            best_loss_tokens=progress.best_loss_tokens,
            loss_sem_nats=None if evaluation is None else evaluation.loss_sem_nats,
            bits_per_byte=None if done is None else done.bits_per_byte(manifest.validation.bytes_per_token),
            perplexity=None if evaluation is None else evaluation.perplexity,
            validation_tokens=0 if evaluation is None else evaluation.num_tokens,
            skipped_steps=self.state.skipped_steps,
            seconds=progress.seconds,
            tokens_per_second=tokens / max(progress.seconds, 1e-9),
            peak_memory_bytes=peak_memory_bytes(self.device),
            word_perplexity=None if done is None else done.word_perplexity(manifest.validation.words_per_token),
            validation_sets={} if done is None else self._evaluate_sets(),
            provenance=provenance(
                device=self.device,
                precision=self.precision,
                corpus=manifest.fingerprint,
                tokenizer=manifest.tokenizer_sha256,
                finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
            ),
        )
        write_record(self.folder, record)
