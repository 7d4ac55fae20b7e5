"""Run folders on the slots of one machine: longest first, nothing lost on a signal, nobody disturbed.

The pool decides nothing about a run: its records, its status and its exit code say how it went.
"""

import platform
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from scaling.claims import claimed_runs, is_claimed, trains_whole
from scaling.exits import EXIT_FAILED
from scaling.folders import storage_words
from scaling.launching.slots import Slot, Slots
from scaling.launching.tasks import CROWDED_OUT, LaunchResult, Outcome, Task, last_status, missing_first, outcome
from scaling.launching.workers import Workers
from scaling.records import STOP_FILE, RunStatus

SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_BETWEEN_LOOKS_ELSEWHERE = 1.0


@dataclass(frozen=True)
class RunningTask:
    task: Task
    slot: Slot
    memory_bytes: int | None
    status_before: RunStatus | None

    @property
    def status(self) -> RunStatus | None:
        """The worker's last word; that of an earlier process in the same folder is none."""
        status = last_status(self.task.folder)
        return None if status == self.status_before else status


@dataclass(frozen=True)
class PoolOptions:
    """
    fail_fast   stop everything at the first failure; what runs saves and leaves
    retry       how often a lost run is tried again; a divergence never is, nor what does not fit in memory alone
    memory_of   GPU memory of a task's run in bytes, None where nobody knows
    open_gate   called when all that is not held back has ended, before what is; where it says no, that is not begun
    """

    fail_fast: bool = False
    retry: int = 0
    memory_of: Callable[[Task], int | None] = lambda task: 0
    open_gate: Callable[[], bool] = lambda: True


@dataclass
class PoolState:
    """What a progress display shows. `elsewhere` are runs of this study in other processes' hands."""

    waiting: list[Task]
    running: list[RunningTask] = field(default_factory=list)
    elsewhere: dict[Path, Slot | None] = field(default_factory=dict)
    result: LaunchResult = field(default_factory=LaunchResult)


def run_pool(
    tasks: Sequence[Task],
    slots: Slots,
    workers: Workers,
    *,
    options: PoolOptions | None = None,
    on_change: Callable[[PoolState], None] = lambda state: None,
    on_outcome: Callable[[Task, Outcome], None] = lambda task, outcome: None,
    on_signal: Callable[[int], None] = lambda number: None,
) -> LaunchResult:
    """Run every task and return how each ended. INT, TERM, HUP and USR1 become TERM to the workers, which save and
    leave; `on_signal` is told the first of them before the workers are.

    A folder in which somebody else is at work (an orphan of a killed sweep, another sweep of the study) keeps its
    slot taken and is looked at again until it is free. Raises for no task.
    """
    pool = _Pool(tasks, slots, workers, options or PoolOptions(), on_outcome)
    with _stopping_on_signals(pool, on_signal):
        try:
            while pool.has_work():
                pool.look_elsewhere()
                pool.open_gate_when_due()
                pool.start_what_fits()
                on_change(pool.state)
                pool.settle_ended(SECONDS_BETWEEN_LOOKS)
        finally:
            pool.leave_nobody()
        on_change(pool.state)
    return pool.state.result


class _Pool:
    def __init__(
        self,
        tasks: Sequence[Task],
        slots: Slots,
        workers: Workers,
        options: PoolOptions,
        on_outcome: Callable[[Task, Outcome], None],
    ) -> None:
        self.slots, self.workers, self.options, self.on_outcome = slots, workers, options, on_outcome
        self.state = PoolState(sorted(tasks, key=lambda task: task.rank))
        self.gate_is_open = not any(task.held_back for task in tasks)
        self.tries: dict[Path, int] = {}
        self.alone: set[Path] = set()
        self.stopping = False
        self.told_to_stop: set[Path] = set()
        self.blocked: list[Task] = []
        self.looked_at = 0.0
        studies = {task.run_folder.parent for task in tasks}
        self.stop_files = [study / STOP_FILE for study in studies]
        for study in studies:
            for folder in claimed_runs(study):
                status = last_status(folder)
                here = status is None or status.host == platform.node()
                gpu = None if status is None else status.gpu
                self.state.elsewhere[folder] = slots.take_on(gpu) if here else None

    def has_work(self) -> bool:
        return bool(self.state.running or (not self.stopping and (self.state.waiting or self.blocked)))

    def look_elsewhere(self) -> None:
        """Once in a while: who of the others has finished, and is there a STOP file?"""
        if time.monotonic() - self.looked_at < SECONDS_BETWEEN_LOOKS_ELSEWHERE:
            return
        self.looked_at = time.monotonic()
        for folder, slot in list(self.state.elsewhere.items()):
            if not is_claimed(folder):
                del self.state.elsewhere[folder]
                if slot is not None:
                    self.slots.release(slot, self.slots.of_somebody)
        freed = [task for task in self.blocked if task.folder not in self.state.elsewhere]
        self.blocked = [task for task in self.blocked if task.folder in self.state.elsewhere]
        for task in freed:
            ended = outcome(task, None)
            if ended.kind in ("done", "diverged"):
                self._settle(task, ended, 0)
            else:
                self.state.waiting.insert(0, task)
        self.heed_stop_files()

    def open_gate_when_due(self) -> None:
        """Held-back branches wait for every other branch and whole run; trunks go on."""
        if self.gate_is_open or self.stopping:
            return
        at_work = [*self.state.waiting, *(running.task for running in self.state.running), *self.blocked]
        if any(not task.held_back and task.part != "trunk" for task in at_work):
            return
        self.gate_is_open = True
        if not self.options.open_gate():
            self.state.waiting = []
            self.stopping = True

    def leave_nobody(self) -> None:
        """Where something else than its work ends the pool, its workers save and leave."""
        if self.state.running:
            self.stopping = True
        while self.state.running:
            self.start_what_fits()
            self.settle_ended(SECONDS_BETWEEN_LOOKS)

    def may_begin(self, task: Task) -> bool:
        """A branch needs its trunk's state; where that will not come any more, or has ended the branch too, it ends."""
        if task.held_back and not self.gate_is_open:
            return False
        if task.part != "branch":
            return True
        if missing_first(task)[0].exists():
            ended = outcome(task, None)
        elif task.has_begun():
            return not trains_whole(task.run_folder)
        elif self._trunk_is_to_come(task):
            return False
        else:
            ended = Outcome("failed", "its trunk did not come so far")
        self.state.waiting.remove(task)
        self._settle(task, ended, 0)
        return False

    def _trunk_is_to_come(self, task: Task) -> bool:
        at_work = [*self.state.waiting, *(running.task for running in self.state.running), *self.blocked]
        return any(other.folder == task.run_folder for other in at_work) or task.run_folder in self.state.elsewhere

    def heed_stop_files(self) -> None:
        if any(path.exists() for path in self.stop_files):
            self.stop()

    def start_what_fits(self) -> None:
        if self.stopping:
            for running in self.state.running:
                if running.task.folder not in self.told_to_stop:
                    self.told_to_stop.add(running.task.folder)
                    self.workers.send(running.task.folder, signal.SIGTERM)
            return
        for task in list(self.state.waiting):
            if not self.slots.free or self.stopping:
                return
            if not self.may_begin(task):
                continue
            if task.folder in self.state.elsewhere or is_claimed(task.folder):
                self.state.waiting.remove(task)
                self.blocked.append(task)
                self.state.elsewhere.setdefault(task.folder, None)
                continue
            memory_bytes = None if task.folder in self.alone else self.options.memory_of(task)
            slot = self.slots.take(memory_bytes)
            if slot is None:
                continue  # a smaller one may fit beside what runs
            self.state.waiting.remove(task)
            self.state.running.append(RunningTask(task, slot, memory_bytes, last_status(task.folder)))
            try:
                self.workers.start(task.folder, self.slots.place(slot, memory_bytes))
            except OSError as error:
                self._take_back(self.state.running[-1])
                self._settle(task, Outcome("failed", storage_words(error)), EXIT_FAILED)

    def _take_back(self, running: RunningTask) -> None:
        self.state.running.remove(running)
        self.slots.release(running.slot, running.memory_bytes)

    def settle_ended(self, timeout: float) -> None:
        for folder, code in self.workers.ended(timeout):
            running = next(r for r in self.state.running if r.task.folder == folder)
            self._take_back(running)
            self.told_to_stop.discard(folder)
            self._settle(running.task, outcome(running.task, code), code)

    def _settle(self, task: Task, ended: Outcome, code: int) -> None:
        result, name = self.state.result, task.name
        if ended.kind == "busy":
            self.state.elsewhere.setdefault(task.folder, None)
            self.blocked.append(task)
            return
        if ended.kind == "interrupted":
            self.heed_stop_files()  # the worker may have seen one first
        if self.stopping and (ended.kind == "interrupted" or code == -signal.SIGTERM):
            return  # told to stop before it listened, it dies of the signal; nothing of it is lost
        if ended.kind == "interrupted":
            ended = Outcome("lost", "somebody told it to stop; it saved its state")
        if ended.reason.startswith(CROWDED_OUT) and task.folder not in self.alone and not self.stopping:
            # No try is lost by it: that it shared a GPU was the pool's choice.
            self.alone.add(task.folder)
            self.tries[task.folder] = self.tries.get(task.folder, 0) - 1
        if self._is_worth_another_try(task, ended):
            self.tries[task.folder] = self.tries.get(task.folder, 0) + 1
            self.on_outcome(task, Outcome(ended.kind, f"{ended.reason}; trying it again"))
            self.state.waiting.insert(0, task)
            return
        if ended.kind == "done":
            result.done.append(name)
        else:
            result.failed[name] = ended.reason
            if self.options.fail_fast:
                self.stopping = True
        self.on_outcome(task, ended)

    def _is_worth_another_try(self, task: Task, ended: Outcome) -> bool:
        if self.stopping or self.tries.get(task.folder, 0) >= self.options.retry:
            return False
        return ended.kind == "lost"

    def stop(self) -> None:
        self.stopping = self.state.result.interrupted = True


@contextmanager
def _stopping_on_signals(pool: _Pool, on_signal: Callable[[int], None]) -> Iterator[None]:
    """A signal that is ignored stays ignored: under nohup a closed terminal ends nothing."""

    def stop(number: int, _: FrameType | None) -> None:
        if not pool.stopping:
            on_signal(number)
        pool.stop()

    notices = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    asked = [n for n in notices if signal.getsignal(n) != signal.SIG_IGN]
    previous = {number: signal.signal(number, stop) for number in asked}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
