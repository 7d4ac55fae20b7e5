"""What the points of a study do once, or one after the other: prepare their data, fill their caches."""

import fcntl
import hashlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scaling.trainers.config import TrainerConfig
from scaling.trainers.expressions import fill, home
from scaling.trainers.names import environment
from scaling.training.external.child import command_line
from scaling.values import open_to_append

PREPARE_FOLDER = "prepare"
SECONDS_BETWEEN_LOOKS = 0.2


class PrepareFailed(Exception):
    """The message is a paragraph."""


class Left(Exception):
    """Told to stop while others were waited for."""


def prepare_once(trainer: TrainerConfig, study_folder: Path, should_stop: Callable[[], bool] = lambda: False) -> bool:
    """Run `trainer.prepare` unless it has run here; others wait. Whether it ran. Raises PrepareFailed, Left."""
    if trainer.prepare is None or trainer.prepare == "alone":
        return False
    command = [fill(part, {"gpus": trainer.gpus}) for part in trainer.prepare]
    folder = study_folder / PREPARE_FOLDER
    done = folder / f"{hashlib.sha256(repr((command, trainer.cwd)).encode()).hexdigest()[:10]}.done"
    if done.exists():
        return False
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / ".lock", should_stop):
        if done.exists():
            return False
        log = folder / "log.txt"
        where = Path(home(trainer.cwd)) if "{" not in trainer.cwd else Path.cwd()
        own = {name: str(value) for name, value in trainer.env.items() if "{" not in str(value)}
        try:
            with open_to_append(log) as output:
                code = subprocess.run(
                    command_line([home(part) for part in command]),
                    cwd=where,
                    env=environment(os.environ, own),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    check=False,
                ).returncode
        except OSError as error:
            raise PrepareFailed(f"trainer.prepare does not start: {error}") from None
        if code != 0:
            raise PrepareFailed(
                f"trainer.prepare ended with exit code {code} before any point was trained; {log} has its words. The "
                "same command tries it again"
            )
        done.touch()
    return True


@contextmanager
def first_alone(
    trainer: TrainerConfig, study_folder: Path, should_stop: Callable[[], bool]
) -> Iterator[Callable[[], None]]:
    """With `prepare: alone` nobody else's program runs until the first has reported a step: what this yields is to be
    called then."""
    done = study_folder / PREPARE_FOLDER / "first.done"
    if trainer.prepare != "alone" or done.exists():
        yield lambda: None
        return
    done.parent.mkdir(parents=True, exist_ok=True)
    with _alone(done.with_name(".first.lock"), should_stop) as release:
        if done.exists():
            release()

        def first_step() -> None:
            done.touch()
            release()

        yield first_step


@contextmanager
def _alone(path: Path, should_stop: Callable[[], bool]) -> Iterator[Callable[[], None]]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if should_stop():
                    raise Left from None
                time.sleep(SECONDS_BETWEEN_LOOKS)
        yield lambda: fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)
