"""One trajectory: the trunk, a branch for each budget, and a record for each branch; or one of these parts alone.

Whole, the trunk is put back after a branch from the copy that its checkpoint was written from: the way a killed run
resumes is the way every run goes. In parts, the trunk leaves its state in the folder of each branch and goes on.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from scaling.claims import is_claimed
from scaling.folders import below
from scaling.records import (
    BRANCH_FILE,
    TRUNK_FILE,
    branch_folder,
    record_path,
    recorded,
    set_aside_damaged,
    write_record,
)
from scaling.training.checkpoint import CheckpointError, previous, read_checkpoint, remove_checkpoints
from scaling.training.config import Job
from scaling.training.device import (
    CrowdedOut,
    OutOfMemory,
    crowd,
    deterministic,
    forget_peak_memory,
    is_out_of_memory,
    matrix_products,
)
from scaling.training.divergence import Diverged
from scaling.training.engine import Engine
from scaling.training.profile import PROFILE_FOLDER, profiling
from scaling.training.progress import Progress
from scaling.training.recording import Outcome, make_record
from scaling.training.saving import Saver
from scaling.training.segment import Interrupted, Segment, StoppedEarly, Watchers
from scaling.training.step import TrainState
from scaling.training.team import Team

__all__ = ["Busy", "Interrupted", "StoppedEarly", "Trajectory"]

log = logging.getLogger(__name__)


class Busy(Exception):
    """Another process is at work on a branch of this run; the rest of it is done."""


class Trajectory:
    """A run, or a part of one, and the verbs that advance it. `home` is the folder of its job, which is the run's but
    for a branch. `should_stop` is asked after every step; `on_progress` is told (steps done, tokens per second) at
    every logged row. In a team the leader alone writes."""

    def __init__(
        self,
        job: Job,
        home: Path,
        team: Team | None = None,
        *,
        should_stop: Callable[[], bool] = lambda: False,
        on_progress: Callable[[int, float], None] = lambda steps, speed: None,
    ) -> None:
        self.job, self.spec, self.runtime, self.home = job, job.spec, job.runtime, home
        self.folder = home.parent if job.part == "branch" else home
        self.team = team or Team()
        self.should_stop, self.on_progress, self.crowd = should_stop, on_progress, crowd
        self.engine = Engine(job, self.team)
        # Of the segment under way: None is the trunk.
        self._segment: int | None = None
        self._progress = Progress()
        self._trunk: dict[str, Any] | None = None

    @property
    def state(self) -> TrainState:
        return self.engine.state

    def run(self) -> None:
        """Make every missing record of the part. Raises Interrupted when asked to stop, Busy where a branch is another
        process'."""
        budgets = self.spec.budgets if self.job.budget is None else (self.job.budget,)
        pending = self.team.told([b for b in budgets if recorded(self.folder, b) is None])
        if not pending:
            return
        if self.team.leads:
            set_aside_damaged(self.folder, pending)
        traced = self.runtime.profile and self.team.leads
        trace_folder = below(self.home, f"{PROFILE_FOLDER}/trace").parent if traced else None
        forget_peak_memory(self.engine.device)
        with (
            matrix_products(self.engine.precision),
            deterministic(self.runtime.deterministic),
            Saver(self.spec.id, self.team, self.engine.device, self.engine.precision) as self._saver,
            profiling(trace_folder, self.engine.device) as after_step,
        ):
            self._watchers = Watchers(lambda: self.should_stop(), lambda *told: self.on_progress(*told), after_step)
            if self.job.part == "branch":
                self._ending(pending[0], pending, self._branch_alone)
            elif self.job.part == "trunk":
                self._trunk_alone(pending)
            else:
                self._whole(pending)

    def _whole(self, pending: list[int]) -> None:
        busy: list[int] = []
        for budget in pending:
            if self.team.told(is_claimed(branch_folder(self.folder, budget))):
                busy.append(budget)
            elif not self._ending(budget, pending, self._reach):
                return
        if busy:
            raise Busy(f"another process is at work on the branch of {busy[0]} tokens")

    def _trunk_alone(self, pending: list[int]) -> None:
        """On to the beginning of each branch, whose state it leaves for the process that will train it."""
        waiting = [b for b in pending if not (branch_folder(self.folder, b) / TRUNK_FILE).exists()]
        waiting = self.team.told(waiting)
        progress = self._resume_trunk(self.spec.cooldown_start(waiting[0])) if waiting else Progress()
        for budget in waiting:
            if not self._ending(budget, pending, lambda budget: self._advance_trunk(progress, budget)):
                return

    def _ending(self, budget: int, pending: list[int], reach: Callable[[int], None]) -> bool:
        """Do what leads to a budget; where it ends without a loss, record that. False where that ends the trunk."""
        try:
            reach(budget)
        except (Diverged, StoppedEarly) as error:
            outcome = self._ended(error)
        except (OutOfMemory, RuntimeError, MemoryError) as error:
            outcome = self._out_of_memory(error)
        else:
            return True
        in_trunk = self._segment is None and self.job.part != "branch"
        for lost in pending[pending.index(budget) :] if in_trunk else [budget]:
            self._write_record(lost, self._progress, outcome)
        return not in_trunk

    def _ended(self, error: Diverged | StoppedEarly) -> Outcome:
        reason = str(error).split("\n", maxsplit=1)[0]
        if isinstance(error, StoppedEarly):
            sets = self.engine.evaluate_sets()
            return Outcome("stopped_early", self.state.step, error.evaluation, sets, reason=reason)
        return Outcome("diverged", error.what.step + 1, reason=reason, divergence=error.what)

    def _out_of_memory(self, error: Exception) -> Outcome:
        """A final outcome where the memory was this process' alone. Raises CrowdedOut where it was not, and anything
        else as it is."""
        known_to_all = isinstance(error, OutOfMemory)
        on_gpu = self.engine.device.type == "cuda" and is_out_of_memory(error)
        if not (known_to_all or on_gpu or isinstance(error, torch.OutOfMemoryError)):
            raise error
        if self.team.size > 1 and not known_to_all:
            raise error  # this rank alone knows of it
        reason, others = str(error).split("\n", maxsplit=1)[0], self.crowd(self.engine.device)
        (crowded,) = self.team.any(others is not None)
        if crowded:
            raise CrowdedOut(f"{reason}; {others or 'another process has no GPU for itself'}") from error
        return Outcome("out_of_memory", self.state.step, reason=reason)

    def _reach(self, budget: int) -> None:
        """Train the trunk to the budget's branch, then the branch, then record the point."""
        before = sum(self.spec.steps(b) - self.spec.cooldown_start(b) for b in self.spec.budgets if b < budget)
        start = self.spec.cooldown_start(budget)
        progress = self._resume(self.folder / BRANCH_FILE, budget=budget)
        if progress is None:
            trunk = self._resume_trunk(start)
            if self.state.step < start:
                self._train_trunk(trunk, budget, before, hold=True)
            progress = trunk.branch()
        self._train_branch(progress, budget, self.folder / BRANCH_FILE, before)

    def _advance_trunk(self, progress: Progress, budget: int) -> None:
        """To the beginning of a branch, and its state into the branch's folder. Raises FolderError where that is a
        link."""
        file = below(self.folder, f"{branch_folder(self.folder, budget).name}/{TRUNK_FILE}")
        if self.state.step < self.spec.cooldown_start(budget):
            self._train_trunk(progress, budget, 0, also=file)
        else:  # a process before this one came so far and no further
            self._saver.save(self.folder / TRUNK_FILE, self.state, progress, budget=None, also=file)

    def _train_trunk(
        self, progress: Progress, budget: int, before: int, *, also: Path | None = None, hold: bool = False
    ) -> None:
        start, file = self.spec.cooldown_start(budget), self.folder / TRUNK_FILE
        self._segment, self._progress = None, progress
        self._segment_to(budget, None, progress, file, before).train(start)
        content = self._saver.save(file, self.state, progress, budget=None, also=also, hold=hold)
        self._trunk = content if hold else None

    def _branch_alone(self, budget: int) -> None:
        """From its own checkpoint, or else from where the trunk left its state, or else, should both be gone, along a
        trunk of its own, whose curve is not written a second time."""
        file = self.home / BRANCH_FILE
        progress = self._resume(file, budget=budget) or self._resume(self.folder / BRANCH_FILE, budget=budget)
        if progress is None:
            trunk = self._resume(self.home / TRUNK_FILE, budget=None)
            if trunk is None:
                log.warning("%s has no usable state of the trunk: training it here", self.home)
                trunk = Progress()
            if self.state.step < (start := self.spec.cooldown_start(budget)):
                own = self._segment_to(budget, None, trunk, self.home / TRUNK_FILE, 0, curve=False)
                self._segment, self._progress = None, trunk
                own.train(start)
                own.save()
            progress = trunk.branch()
        self._train_branch(progress, budget, file, -self.spec.cooldown_start(budget))
        if self.team.leads:
            self._saver.wait()
            remove_checkpoints(self.home / TRUNK_FILE)

    def _train_branch(self, progress: Progress, budget: int, file: Path, before: int) -> None:
        self._segment, self._progress = budget, progress
        evaluation = self._segment_to(budget, budget, progress, file, before).train(self.spec.steps(budget))
        assert evaluation is not None  # a branch takes one
        outcome = Outcome("done", self.state.step, evaluation, self.engine.evaluate_sets())
        self._write_record(budget, progress, outcome)
        if self.team.leads:
            self._saver.wait_for(file)
            remove_checkpoints(file)

    def _segment_to(
        self, horizon: int, budget: int | None, progress: Progress, file: Path, before: int, *, curve: bool = True
    ) -> Segment:
        folder = self.folder if curve else None
        return Segment(self.engine, self._saver, progress, self._watchers, budget, horizon, file, folder, before)

    def _resume_trunk(self, start: int) -> Progress:
        """The trunk as far as it came, in memory or on disk; from its beginning where nothing usable is there, or where
        it is past `start`, as for a budget that was added below those already made."""
        self._segment = None
        if self._trunk is not None:
            progress: Progress | None = self.engine.restore(self._trunk)
        else:
            progress = self._resume(self.folder / TRUNK_FILE, budget=None)
        if progress is None or self.state.step > start:
            if self.state.step > 0:
                self.engine.start_over()
            progress = Progress()
        return progress

    def _resume(self, file: Path, *, budget: int | None) -> Progress | None:
        """The saved progress of a segment with `state` set to it, or None where there is nothing usable."""
        found = self._usable(file, budget) if self.team.leads else None
        path = self.team.told(None if found is None else found[0])
        if path is None:
            return None
        return self.engine.restore(self._read(path, budget) if found is None else found[1])

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
        lazily = self.runtime.parallel == "fsdp" and self.team.size > 1
        return read_checkpoint(path, run_id=self.spec.id, budget=budget, lazily=lazily)

    def _write_record(self, budget: int, progress: Progress, outcome: Outcome) -> None:
        execution = self.engine.execution(progress)
        if self.team.leads:
            record = make_record(self.spec, budget, self.engine.corpus, progress, outcome, execution)
            # Of the run's folder the process of its trunk clears what a killed one left: no place for half a record.
            write_record(self.home, record)
            record_path(self.home, budget).replace(record_path(self.folder, budget))
