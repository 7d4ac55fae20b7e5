"""The training loop over one segment of a trajectory: its trunk up to a step, or a branch."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from scaling.curves import CurveRow
from scaling.training.curve import CurveWriter
from scaling.training.device import peak_memory_bytes
from scaling.training.engine import Engine
from scaling.training.evaluate import Evaluation
from scaling.training.progress import Progress
from scaling.training.saving import Saver
from scaling.training.schedule import learning_rate_share
from scaling.training.step import StepResult

MOST_EVENTS = 200  # of a curve in TensorBoard, which draws no more and reads two hundred runs at a time

log = logging.getLogger(__name__)


class Interrupted(Exception):
    """Asked to stop; the state is on disk and the same command goes on from it."""


class StoppedEarly(Exception):
    """The trunk no longer improves; the message says since when, `evaluation` how it stands."""

    def __init__(self, message: str, evaluation: Evaluation) -> None:
        super().__init__(message)
        self.evaluation = evaluation


@dataclass
class Watchers:
    """Who is asked and told on the way: `should_stop` after every step; `on_progress` at every logged row (steps done
    of the segment's beginning and since, tokens per second); `after_step` is the profiler's."""

    should_stop: Callable[[], bool]
    on_progress: Callable[[int, float], None]
    after_step: Callable[[], None] = lambda: None


@dataclass
class Segment:
    """What is trained towards `horizon` tokens: the trunk (`budget` None) or that budget's branch.

    `checkpoint` is the file of its state; `curve_folder` the run's, None for a trunk whose curve is another process'.
    `steps_before` of other segments are told along with this one's.
    """

    engine: Engine
    saver: Saver
    progress: Progress
    watchers: Watchers
    budget: int | None
    horizon: int
    checkpoint: Path
    curve_folder: Path | None
    steps_before: int

    def train(self, until: int) -> Evaluation | None:
        """Advance the state to step `until` and evaluate it.

        A trunk is evaluated where the rule asks for it, or its text is repeated, so that its loss may rise again: an
        evaluation costs what training on a third of the split does, which is a quarter of a small study's time.
        Raises Interrupted, StoppedEarly, Diverged, OutOfMemory.
        """
        engine, state, runtime = self.engine, self.engine.state, self.engine.runtime
        if self.budget is None:
            self._stop_if_exhausted()
        with self._curve() as curve:
            results: list[StepResult] = []
            if state.step < until:
                engine.warm_up()
            engine.stopwatch.restart()
            while state.step < until:
                share = self._share(state.step)
                results.append(engine.step(share))
                self.watchers.after_step()
                ended = state.step == until
                logged = state.step % runtime.log_every_steps == 0 or ended
                due = engine.spec.evaluations.due(state.step)
                overdue = engine.team.leads and self.saver.due(runtime.checkpoint_every_seconds)
                stopping, saving = engine.team.any(self.watchers.should_stop(), overdue)
                if not (logged or due or stopping or saving):
                    continue
                self._account(results)
                results = []
                if logged:
                    self._log(curve, share)
                if ended:
                    break  # evaluated first: a state saved here would resume without its evaluation
                if due:
                    self._evaluate(curve, share)
                    if self.budget is None:
                        self._stop_if_exhausted()
                if stopping:
                    self.save()
                    self.saver.wait()
                    raise Interrupted(f"stopped at step {state.step} of {until}")
                if saving:
                    self.save()
                engine.relax()
                engine.stopwatch.restart()
            if self.budget is not None or engine.spec.evaluations.due(state.step) or self._repeats_text():
                return self._evaluate(curve, self._share(state.step - 1))
        return None

    def save(self) -> None:
        self.saver.save(self.checkpoint, self.engine.state, self.progress, budget=self.budget)

    @property
    def tokens(self) -> int:
        return self.engine.state.step * self.engine.spec.optimizer.batch_tokens

    def _share(self, step: int) -> float:
        return learning_rate_share(self.engine.spec, step, self.horizon)

    def _repeats_text(self) -> bool:
        return self.engine.corpus.epochs(self.tokens, self.engine.spec.model.context) > 1

    def _evaluate(self, curve: CurveWriter | None, share: float) -> Evaluation:
        """The loss as it stands, put into the curve, the best loss and the count towards an early stop."""
        evaluation, rule, progress = self.engine.evaluate(), self.engine.spec.evaluations, self.progress
        loss = evaluation.loss_nats
        if progress.best_loss_nats is None or loss < progress.best_loss_nats:
            progress.best_loss_nats, progress.best_loss_tokens = loss, self.tokens
        if rule.due(self.engine.state.step):
            reference = progress.reference_loss_nats
            if reference is None or loss < reference - rule.min_delta_nats:
                progress.reference_loss_nats, progress.stale_evaluations = loss, 0
            else:
                progress.stale_evaluations += 1
        if curve is not None:
            row = CurveRow(self.tokens, None, self._learning_rate(share), None, None, loss)
            progress.curve_bytes = curve.write(row)
        return evaluation

    def _stop_if_exhausted(self) -> None:
        """Raises StoppedEarly. Not asked where a branch begins: what the trunk has reached is cooled."""
        rule, progress = self.engine.spec.evaluations, self.progress
        if not rule.exhausted(progress.stale_evaluations):
            return
        raise StoppedEarly(
            f"the trunk stopped at {self.tokens} tokens, before its cooldown: {progress.stale_evaluations} evaluations "
            f"in a row, one every {rule.every_steps} steps, were not below {progress.reference_loss_nats} nats by more "
            f"than {rule.min_delta_nats:g}",
            self.engine.evaluate(),
        )

    def _curve(self) -> AbstractContextManager[CurveWriter | None]:
        if not self.engine.team.leads or self.curve_folder is None:
            return nullcontext()
        last = self.budget or self.engine.spec.budgets[-1]
        return CurveWriter(
            self.curve_folder,
            self.budget,
            keep_bytes=self.progress.curve_bytes,
            tokens=self.tokens,
            event_tokens=max(1, last // MOST_EVENTS) if self.engine.runtime.tensorboard else None,
        )

    def _account(self, results: list[StepResult]) -> None:
        """Add the steps since the last reading to the sums. Raises Diverged."""
        losses, norms = self.engine.read(results)
        lap = self.engine.stopwatch.lap()
        skipped = self.progress.watch.look(
            self.engine.spec.divergence,
            losses,
            norms,
            first_step=self.engine.state.step - len(results),
            scaled=self.engine.precision == "fp16",
        )
        self.progress.add(losses, norms, skipped=skipped, lap=lap)

    def _log(self, curve: CurveWriter | None, share: float) -> None:
        interval = self.progress.take_interval()
        tokens = interval.steps * self.engine.spec.optimizer.batch_tokens
        tokens_per_second = tokens / max(interval.seconds, 1e-9)
        if curve is not None:
            row = CurveRow(
                tokens=self.tokens,
                train_loss_nats=interval.loss / interval.steps,
                learning_rate=self._learning_rate(share),
                grad_norm=interval.mean_grad_norm,
                tokens_per_second=tokens_per_second,
                mfu=self.engine.mfu(tokens, interval.seconds),
                power_watts=interval.power_watts,
                peak_memory_bytes=peak_memory_bytes(self.engine.device),
            )
            self.progress.curve_bytes = curve.write(row)
        if self.engine.team.leads:
            self.watchers.on_progress(self.steps_before + self.engine.state.step, tokens_per_second)

    def _learning_rate(self, share: float) -> float:
        """Of the hidden matrices."""
        return self.engine.spec.optimizer.matrix_lr * share
