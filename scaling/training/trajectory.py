"""One trajectory: the trunk, a branch for each budget, and a record for each branch.

After a branch the trunk is read back from its checkpoint: the way a killed run resumes is the way every run goes.
"""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from scaling.curves import CurveRow
from scaling.records import recorded, set_aside_damaged, write_record
from scaling.training.checkpoint import (
    CheckpointError,
    previous,
    read_checkpoint,
    remove_checkpoints,
    restore,
    save_checkpoint,
)
from scaling.training.config import Job
from scaling.training.curve import CurveWriter
from scaling.training.device import OutOfMemory, matrix_products, peak_memory_bytes
from scaling.training.divergence import Diverged
from scaling.training.engine import Engine
from scaling.training.evaluate import Evaluation
from scaling.training.profile import PROFILE_FOLDER, profiling
from scaling.training.progress import Progress
from scaling.training.recording import Outcome, make_record
from scaling.training.schedule import learning_rate_share
from scaling.training.step import StepResult, TrainState
from scaling.training.team import Team

MOST_EVENTS = 200  # of a curve in TensorBoard, which draws no more and reads two hundred runs at a time

log = logging.getLogger(__name__)

TRUNK_FILE, BRANCH_FILE = "trunk.pt", "branch.pt"


class Interrupted(Exception):
    """Asked to stop; the state is on disk and the same command goes on from it."""


class StoppedEarly(Exception):
    """The trunk no longer improves; the message says since when, `evaluation` how it stands."""

    def __init__(self, message: str, evaluation: Evaluation) -> None:
        super().__init__(message)
        self.evaluation = evaluation


class Trajectory:
    """A run and the verbs that advance it. `should_stop` is asked after every step; `on_progress` is told
    (steps done of all segments, tokens per second) at every logged row. In a team the leader alone writes."""

    def __init__(
        self,
        job: Job,
        folder: Path,
        team: Team | None = None,
        *,
        should_stop: Callable[[], bool] = lambda: False,
        on_progress: Callable[[int, float], None] = lambda steps, speed: None,
    ) -> None:
        self.spec, self.runtime, self.folder = job.spec, job.runtime, folder
        self.team = team or Team()
        self.should_stop, self.on_progress = should_stop, on_progress
        self.engine = Engine(job, self.team)
        self.steps_before_segment = 0
        self._after_step: Callable[[], None] = lambda: None
        # Of the segment under way: None is the trunk.
        self._segment: int | None = None
        self._progress = Progress()

    @property
    def state(self) -> TrainState:
        return self.engine.state

    def run(self) -> None:
        """Make every missing record, in the order of budgets. Raises Interrupted when asked to stop."""
        pending = self.team.told([b for b in self.spec.budgets if recorded(self.folder, b) is None])
        if not pending:
            return
        if self.team.leads:
            set_aside_damaged(self.folder, pending)
        trace_folder = self.folder / PROFILE_FOLDER if self.runtime.profile and self.team.leads else None
        with matrix_products(self.engine.precision), profiling(trace_folder, self.engine.device) as self._after_step:
            self._run(pending)

    def _run(self, pending: list[int]) -> None:
        for budget in pending:
            progress = self._resume(TRUNK_FILE, budget=None)
            if progress is None:
                progress = Progress()
                if self.state.step > 0:
                    self.engine.state = self.engine.fresh_state()
            try:
                self._reach(budget, progress)
            except (Diverged, OutOfMemory, StoppedEarly, torch.OutOfMemoryError) as error:
                if isinstance(error, torch.OutOfMemoryError) and self.team.size > 1:
                    raise  # this rank alone knows of it
                outcome = self._ended(error)
                in_trunk = self._segment is None
                for lost in pending[pending.index(budget) :] if in_trunk else [budget]:
                    self._write_record(lost, self._progress, outcome)
                if in_trunk:
                    return

    def _ended(self, error: Exception) -> Outcome:
        reason = str(error).split("\n", maxsplit=1)[0]
        if isinstance(error, StoppedEarly):
            sets = self.engine.evaluate_sets()
            return Outcome("stopped_early", self.state.step, error.evaluation, sets, reason=reason)
        if isinstance(error, Diverged):
            return Outcome("diverged", error.what.step + 1, reason=reason, divergence=error.what)
        return Outcome("out_of_memory", self.state.step, reason=reason)

    def _reach(self, budget: int, trunk: Progress) -> None:
        """Train the trunk to the budget's branch, then the branch, then record the point."""
        start = self.spec.cooldown_start(budget)
        self.steps_before_segment = sum(
            self.spec.steps(b) - self.spec.cooldown_start(b) for b in self.spec.budgets if b < budget
        )
        progress = self._resume(BRANCH_FILE, budget=budget)
        if progress is None:
            if self.state.step > start:  # a budget that was added below those already made
                self.engine.state, trunk = self.engine.fresh_state(), Progress()
            if self.state.step < start:
                self._train(trunk, until=start, budget=budget, segment=None)
            progress = trunk.branch()
        evaluation = self._train(progress, until=self.spec.steps(budget), budget=budget, segment=budget)
        assert evaluation is not None  # a branch takes one
        outcome = Outcome("done", self.state.step, evaluation, self.engine.evaluate_sets())
        self._write_record(budget, progress, outcome)
        if self.team.leads:
            remove_checkpoints(self.folder / BRANCH_FILE)

    def _train(self, progress: Progress, *, until: int, budget: int, segment: int | None) -> Evaluation | None:
        """Advance `state` to step `until` along the way to `budget`, evaluate, and save the trunk if it is one.

        `segment` names what is trained: None for the trunk, else the branch's budget. A trunk is evaluated where the
        rule asks for it, or its text is repeated, so that its loss may rise again: an evaluation costs what training
        on a third of the split does, which is a quarter of a small study's time.
        """
        self._segment, self._progress = segment, progress
        checkpoint = self.folder / (TRUNK_FILE if segment is None else BRANCH_FILE)
        saved_at = time.monotonic()

        def save() -> None:
            save_checkpoint(checkpoint, self.state, progress, run_id=self.spec.id, budget=segment, team=self.team)

        if segment is None:
            self._stop_if_exhausted(progress)
        with self._curve(segment, progress) as curve:
            results: list[StepResult] = []
            self.engine.stopwatch.restart()
            while self.state.step < until:
                share = learning_rate_share(self.spec, self.state.step, budget)
                results.append(self.engine.step(share))
                self._after_step()
                ended = self.state.step == until
                logged = self.state.step % self.runtime.log_every_steps == 0 or ended
                due = self.spec.evaluations.due(self.state.step)
                overdue = time.monotonic() - saved_at >= self.runtime.checkpoint_every_seconds
                stopping, saving = self.team.any(self.should_stop(), overdue)
                if not (logged or due or stopping or saving):
                    continue
                self._account(progress, results)
                results = []
                if logged:
                    self._log(curve, progress, share)
                if ended:
                    break  # evaluated first: a state saved here would resume without its evaluation
                if due:
                    self._evaluate(curve, progress, share)
                    if segment is None:
                        self._stop_if_exhausted(progress)
                if stopping:
                    save()
                    raise Interrupted(f"stopped at step {self.state.step} of {until}")
                if saving:
                    save()
                    saved_at = time.monotonic()
                self.engine.stopwatch.restart()
            evaluation = None
            if segment is not None or self.spec.evaluations.due(self.state.step) or self._repeats_text():
                last_share = learning_rate_share(self.spec, self.state.step - 1, budget)
                evaluation = self._evaluate(curve, progress, last_share)
        if segment is None:
            save()
        return evaluation

    def _repeats_text(self) -> bool:
        tokens = self.state.step * self.spec.optimizer.batch_tokens
        return self.engine.corpus.epochs(tokens, self.spec.model.context) > 1

    def _evaluate(self, curve: CurveWriter | None, progress: Progress, share: float) -> Evaluation:
        """The loss as it stands, put into the curve, the best loss and the count towards an early stop."""
        evaluation, rule = self.engine.evaluate(), self.spec.evaluations
        loss, tokens = evaluation.loss_nats, self.state.step * self.spec.optimizer.batch_tokens
        if progress.best_loss_nats is None or loss < progress.best_loss_nats:
            progress.best_loss_nats, progress.best_loss_tokens = loss, tokens
        if rule.due(self.state.step):
            reference = progress.reference_loss_nats
            if reference is None or loss < reference - rule.min_delta_nats:
                progress.reference_loss_nats, progress.stale_evaluations = loss, 0
            else:
                progress.stale_evaluations += 1
        if curve is not None:
            progress.curve_bytes = curve.write(CurveRow(tokens, None, self._learning_rate(share), None, None, loss))
        return evaluation

    def _stop_if_exhausted(self, progress: Progress) -> None:
        """Raises StoppedEarly. Not asked where a branch begins: what the trunk has reached is cooled."""
        rule = self.spec.evaluations
        if not rule.exhausted(progress.stale_evaluations):
            return
        tokens = self.state.step * self.spec.optimizer.batch_tokens
        raise StoppedEarly(
            f"the trunk stopped at {tokens} tokens, before its cooldown: {progress.stale_evaluations} evaluations in a "
            f"row, one every {rule.every_steps} steps, were not below {progress.reference_loss_nats} nats by more than "
            f"{rule.min_delta_nats:g}",
            self.engine.evaluate(),
        )

    def _curve(self, segment: int | None, progress: Progress) -> AbstractContextManager[CurveWriter | None]:
        if not self.team.leads:
            return nullcontext()
        last = segment or self.spec.budgets[-1]
        return CurveWriter(
            self.folder,
            segment,
            keep_bytes=progress.curve_bytes,
            tokens=self.state.step * self.spec.optimizer.batch_tokens,
            event_tokens=max(1, last // MOST_EVENTS) if self.runtime.tensorboard else None,
        )

    def _account(self, progress: Progress, results: list[StepResult]) -> None:
        """Add the steps since the last reading to the sums. Raises Diverged."""
        losses, norms = self.engine.read(results)
        lap = self.engine.stopwatch.lap()
        skipped = progress.watch.look(
            self.spec.divergence,
            losses,
            norms,
            first_step=self.state.step - len(results),
            scaled=self.engine.precision == "fp16",
        )
        progress.add(losses, norms, skipped=skipped, lap=lap)

    def _log(self, curve: CurveWriter | None, progress: Progress, share: float) -> None:
        interval = progress.take_interval()
        if curve is None:
            return
        tokens = interval.steps * self.spec.optimizer.batch_tokens
        row = CurveRow(
            tokens=self.state.step * self.spec.optimizer.batch_tokens,
            train_loss_nats=interval.loss / interval.steps,
            learning_rate=self._learning_rate(share),
            grad_norm=interval.mean_grad_norm,
            tokens_per_second=tokens / max(interval.seconds, 1e-9),
            mfu=self.engine.mfu(tokens, interval.seconds),
            power_watts=interval.power_watts,
            peak_memory_bytes=peak_memory_bytes(self.engine.device),
        )
        progress.curve_bytes = curve.write(row)
        self.on_progress(self.steps_before_segment + self.state.step, row.tokens_per_second or 0.0)

    def _learning_rate(self, share: float) -> float:
        """Of the hidden matrices."""
        return self.spec.optimizer.matrix_lr * share

    def _resume(self, name: str, *, budget: int | None) -> Progress | None:
        """The saved progress of a segment with `state` set to it, or None where there is nothing usable."""
        found = self._usable(self.folder / name, budget) if self.team.leads else None
        path = self.team.told(None if found is None else found[0])
        if path is None:
            return None
        return restore(self._read(path, budget) if found is None else found[1], self.state)

    def _usable(self, path: Path, budget: int | None) -> tuple[Path, dict[str, Any]] | None:
        """The checkpoint with its contents, or the one before it."""
        for file in (path, previous(path)):
            try:
                return file, self._read(file, budget)
            except FileNotFoundError:
                continue
            except CheckpointError as error:
                # A branch left over from an earlier budget is stale, not broken; either way its trunk serves.
                log.warning("%s; going on without it", error)
        return None

    def _read(self, path: Path, budget: int | None) -> dict[str, Any]:
        return read_checkpoint(path, run_id=self.spec.id, budget=budget, device=self.engine.device)

    def _write_record(self, budget: int, progress: Progress, outcome: Outcome) -> None:
        execution = self.engine.execution(progress)
        if self.team.leads:
            write_record(self.folder, make_record(self.spec, budget, self.engine.corpus, progress, outcome, execution))
