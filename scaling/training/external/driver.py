"""The process around somebody else's program: lock, starts and restarts, what it leaves, a record. Without torch."""

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from scaling.claims import works_elsewhere
from scaling.exits import EXIT_BUSY, EXIT_DONE, EXIT_FAILED, EXIT_LOST, EXIT_REQUEUE
from scaling.records import (
    JOB_FILE,
    LOCK_FILE,
    LOG_FILE,
    STOP_FILE,
    record_path,
    recorded,
    set_aside_damaged,
    write_record,
)
from scaling.trainers.config import ResumeOptions, TrainerConfig
from scaling.trainers.expressions import ExpressionError, fill, home
from scaling.trainers.files import FileMismatch, content_of
from scaling.trainers.names import POINT_FILE, POINT_LOG, environment, point_names, variables
from scaling.trainers.places import PlaceError
from scaling.trainers.reading import furthest_step, lines_of, read_all
from scaling.training.config import Job
from scaling.training.external.child import CannotStart, Child, command_line
from scaling.training.external.code import code_of
from scaling.training.external.outcome import Ended, ended_how, make_record, write_curve
from scaling.training.external.starts import (
    Start,
    checkpoints,
    identity,
    read_starts,
    usable,
    write_starts,
)
from scaling.training.external.together import Left, PrepareFailed, first_alone, prepare_once
from scaling.training.notices import Notices
from scaling.training.status import StatusWriter
from scaling.values import ValueMismatch, read_json, remove_left_overs, write_json

OUT_FOLDER = "out"
SECONDS_FOR_THE_LOCK = 2.0
SECONDS_BETWEEN_LOOKS = 1.0
TAIL_BYTES = 65_536
MOST_STARTS = 10  # of one process, none of which comes further than the one before

log = logging.getLogger(__name__)


def run_folder(
    folder: Path, on_notice: Callable[[int], None] = lambda number: None, received: list[int] | None = None
) -> int:
    """Have the program of `folder/job.json` make the point, and return the exit code, as `training.worker` does."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        job = read_json(Job, folder / JOB_FILE)
    except ValueMismatch as error:
        log.error("%s", error)
        return EXIT_FAILED
    assert job.trainer is not None
    if job.spec.id != folder.name:
        log.error(
            "%s holds the job of run %s: it was copied or edited by hand; plan the study again", folder, job.spec.id
        )
        return EXIT_FAILED
    notices = Notices(folder.parent / STOP_FILE, on_notice, [] if received is None else received)
    with _lock(folder) as lock:
        if lock is None or works_elsewhere(folder):
            log.info("another process is at work in %s", folder)
            return EXIT_BUSY
        remove_left_overs(folder, spare=JOB_FILE)
        set_aside_damaged(folder, job.spec.budgets)
        return _run_locked(Driver(job, job.trainer, folder.absolute(), lock, notices.given))


@contextmanager
def _lock(folder: Path) -> Iterator[int | None]:
    """The run's lock, which the program will hold as well: should this process be killed, the run stays taken."""
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT)
    deadline = time.monotonic() + SECONDS_FOR_THE_LOCK
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    yield None
                    return
                time.sleep(0.05)
            else:
                yield descriptor
                return
    finally:
        os.close(descriptor)


def _run_locked(driver: "Driver") -> int:
    with StatusWriter(driver.folder, driver.spec.total_steps) as status:
        status.write("running")
        driver.on_step = status.progress
        try:
            ended = driver.run()
        except (Left, Stopped):
            status.write("interrupted")
            return EXIT_REQUEUE
        except Lost as lost:
            log.error("%s", lost)
            return EXIT_LOST
        except (PlaceError, ExpressionError, FileMismatch, CannotStart, PrepareFailed, OSError) as error:
            ended = Ended("failed", str(error))
        if ended.status != "done":
            log.error("%s", ended.reason)
        driver.record(ended)
        status.write("failed" if ended.status == "failed" else "done", error=ended.reason or None)
    return EXIT_FAILED if ended.status == "failed" else EXIT_DONE


class Stopped(Exception):
    """We told the program to stop, and it did."""


class Lost(Exception):
    """Somebody else killed the program; the message says how."""


class Driver:
    """One run of one program, start after start, until there is a final loss or a reason why there will be none."""

    def __init__(
        self, job: Job, trainer: TrainerConfig, folder: Path, lock: int, should_stop: Callable[[], bool]
    ) -> None:
        self.job, self.spec, self.trainer, self.folder, self.lock = job, job.spec, trainer, folder, lock
        self.should_stop = should_stop
        self.on_step: Callable[[int, float], None] = lambda step, speed: None
        self.out = folder / OUT_FOLDER
        self.names = point_names(job.spec, gpus=trainer.gpus, out=self.out)
        self.starts = read_starts(folder)
        self.code: str | None = None

    def run(self) -> Ended:
        """Raises Stopped, Lost, and whatever a trainer's words can be that cannot be read, filled in or started."""
        budget = self.spec.budgets[-1]
        before = recorded(self.folder, budget)
        if before is not None and before.status != "failed":
            return Ended(before.status, before.reason or "", kept=True)
        if before is not None:
            record_path(self.folder, budget).replace(record_path(self.folder, budget).with_suffix(".failed"))
        ended = self._look()
        if ended is not None:
            log.info("what it left already holds the end of the run")
            return ended
        prepare_once(self.trainer, self.folder.parent, self.should_stop)
        with first_alone(self.trainer, self.folder.parent, self.should_stop) as self._first_step:
            for _ in range(MOST_STARTS):
                ended = self._start()
                if ended is not None:
                    return ended
        return Ended("failed", f"{MOST_STARTS} starts in a row came no further: see {self.folder / LOG_FILE}")

    def _look(self) -> Ended | None:
        return ended_how(self.trainer, self.spec, self.folder, self.names, self.starts)

    def _start(self) -> Ended | None:
        """One start and its end; None where another one shall follow."""
        if self.should_stop():
            raise Stopped
        checkpoint, arguments = self._continuation()
        if checkpoint is None:
            shutil.rmtree(self.out, ignore_errors=True)
            (self.folder / POINT_LOG).unlink(missing_ok=True)
        self.out.mkdir(parents=True, exist_ok=True)
        names = self.names
        for name, options in self.trainer.files.items():
            path = self.out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content_of(name, options, names))
        write_json(self.folder / POINT_FILE, names)
        where = Path(home(fill(self.trainer.cwd, names)))
        self.code = code_of(where)
        came_before = self.starts.step
        child = Child([*self._command(), *arguments], where, self._environment(), self.folder, self.lock)
        self.starts = self.starts.with_start(Start(checkpoint, child.log_bytes, time.time()))
        write_starts(self.folder, self.starts)
        try:
            start = self._follow(child, self.starts.starts[-1])
        except BaseException:
            child.kill()
            raise
        self.starts = self.starts.with_last(start)
        write_starts(self.folder, self.starts)
        ended = self._look()
        if ended is not None:
            return ended
        if start.stopped and not self._timed_out:
            raise Stopped
        if checkpoint is not None and (start.step is None or start.step <= came_before):
            log.info(
                "from %s it came no further: the next start takes the one before, or none", checkpoint or "its own"
            )
            self.starts = replace(self.starts, useless=(*self.starts.useless, identity(checkpoint)))
            write_starts(self.folder, self.starts)
            return None
        if self._timed_out:
            return Ended("failed", f"a start took more than trainer.timeout = {self.trainer.timeout:g} s")
        if start.code is not None and start.code < 0:
            raise Lost(f"the program was killed by signal {-start.code}")
        return Ended("failed", self._no_result(start))

    def _no_result(self, start: Start) -> str:
        words = [line for line in lines_of(self.folder / LOG_FILE, start.log_bytes) if line.strip()]
        last = f"; its last line: {words[-1][-300:]}" if words else "; it printed nothing"
        came = "no step" if start.step is None else f"step {start.step:,.0f}"
        return (
            f"exit code {start.code} and no loss at step {self.names['steps']:,} ({came} was read){last}. "
            f"{self.folder / LOG_FILE} has its words"
        )

    def _continuation(self) -> tuple[str | None, list[str]]:
        """The checkpoint to go on from ("": the program's own; None: none) and what its command gets for it."""
        resume = self.trainer.resume
        if resume is True:
            fresh = "" in self.starts.useless or not self.starts.starts or not self.out.is_dir()
            # Once nothing came of its own checkpoints, they are gone: from then on they count again.
            if fresh and self.starts.useless:
                self.starts = replace(self.starts, useless=())
            return (None if fresh else ""), []
        if isinstance(resume, ResumeOptions) and self.starts.starts:
            found = usable(checkpoints(resume, self.names), self.starts.useless)
            if found is not None:
                groups = {key: int(value) if value.isdecimal() else value for key, value in found.groups.items()}
                return found.path, [
                    fill(part, {**self.names, **groups, "checkpoint": found.path}) for part in resume.add
                ]
        return None, []

    def _command(self) -> list[str]:
        if self.trainer.call is not None:
            return command_line(["python", "-m", "scaling_call", self.trainer.call])
        filled = [fill(part, self.names) for part in self.trainer.command or ()]
        return command_line([home(part) for part in filled])

    def _environment(self) -> dict[str, str]:
        own = {name: fill(value, self.names) for name, value in self.trainer.env.items()}
        mine = {
            **variables(self.names),
            "SCALING_POINT": str(self.folder / POINT_FILE),
            "SCALING_POINT_LOG": str(self.folder / POINT_LOG),
            # Lines are to be seen while they are young.
            "PYTHONUNBUFFERED": "1",
        }
        return environment(os.environ, {**mine, **own})

    def _follow(self, child: Child, start: Start) -> Start:
        """Until it has ended; meanwhile how far it is, and whether somebody wants it to stop."""
        self._timed_out, told_at, pause, looked_at = False, None, 0.02, child.began
        while (code := child.ended(pause)) is None:
            pause = min(0.2, 1.5 * pause)
            now = time.monotonic()
            timed_out = self.trainer.timeout is not None and child.seconds > self.trainer.timeout
            if told_at is None and (timed_out or self.should_stop()):
                told_at, self._timed_out = now, timed_out
                child.tell(self.trainer.signal)
            elif told_at is not None and now - told_at > self.trainer.stop_seconds:
                child.kill()
            if now - looked_at > SECONDS_BETWEEN_LOOKS:
                start = self._progress(child, start)
                looked_at = time.monotonic()
        start = self._progress(child, start, whole=True)
        return replace(start, code=code, stopped=told_at is not None, seconds=child.seconds)

    def _progress(self, child: Child, start: Start, *, whole: bool = False) -> Start:
        """How far it is by the end of its output, and once it has ended by all of this start's."""
        size = (self.folder / LOG_FILE).stat().st_size
        offset = start.log_bytes if whole else max(start.log_bytes, size - TAIL_BYTES)
        found = read_all(self.trainer, lines_of(self.folder / LOG_FILE, offset), self.folder, self.names)
        step = furthest_step(found)
        if step is None or (start.step is not None and step <= start.step):
            return start
        self._first_step()
        if not whole:
            write_curve(self.folder, self.spec, self.trainer, self._everything())
        batch = self.names["batch_tokens"]
        self.on_step(int(step), step * batch / max(child.seconds, 1e-3))
        return replace(start, step=step)

    def _everything(self) -> dict[str, Any]:
        return read_all(self.trainer, lines_of(self.folder / LOG_FILE), self.folder, self.names)

    def record(self, ended: Ended) -> None:
        """The record first, then what is no longer needed."""
        if ended.kept:
            return
        try:
            found = self._everything()
            write_curve(self.folder, self.spec, self.trainer, found)
        except (PlaceError, ExpressionError, OSError):
            found = {}
        seconds = sum(start.seconds for start in self.starts.starts)
        record = make_record(self.job, self.trainer, ended, found, seconds, self.code)
        write_record(self.folder, record)
        if record.status == "done":
            for pattern in self.trainer.remove:
                _remove(self.out, fill(pattern, self.names))


def _remove(out: Path, pattern: str) -> None:
    """What matches below {out}, and nothing that a link leads to."""
    for path in sorted(out.glob(str(Path(pattern).relative_to(out)))):
        if out.resolve() not in path.parent.resolve().parents and path.parent.resolve() != out.resolve():
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
