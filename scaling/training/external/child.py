"""The program itself: a process group of its own, its output in the run's log, its lock the run's."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from scaling.records import LOG_FILE
from scaling.values import open_to_append

SECONDS_FOR_THE_REST = 2.0


class CannotStart(Exception):
    """There is no such program, or no such folder; the message is a sentence."""


class Child:
    """Started in a folder. The lock's descriptor goes along: as long as the program lives, the run is taken."""

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str], log_folder: Path, lock: int | None
    ) -> None:
        with open_to_append(log_folder / LOG_FILE) as log:
            log.seek(0, os.SEEK_END)
            self.log_bytes = log.tell()
            try:
                self._process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=() if lock is None else (lock,),
                )
            except OSError as error:
                raise CannotStart(f"{command[0]} does not start in {folder}: {error}") from None
        self.began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def ended(self, timeout: float) -> int | None:
        """The exit code, negative by a signal; None where it runs on. What else is left of the group goes with it."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self._end_the_rest()
        return code

    def tell(self, name: str) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.Signals[f"SIG{name.removeprefix('SIG')}"])

    def kill(self) -> None:
        self.tell("KILL")

    def _end_the_rest(self) -> None:
        """Workers of a launcher that has left: asked, and then not asked."""
        for name in ("TERM", "KILL"):
            deadline = time.monotonic() + SECONDS_FOR_THE_REST
            while time.monotonic() < deadline:
                try:
                    os.killpg(self._process.pid, 0)
                except (ProcessLookupError, PermissionError):
                    return
                self.tell(name)
                time.sleep(0.02)


PYTHON = ("python", "python3")


def command_line(command: Sequence[str]) -> list[str]:
    """`python` is the one that runs this, where the path has none."""
    import shutil

    if command and command[0] in PYTHON and shutil.which(command[0]) is None:
        return [sys.executable, *command[1:]]
    return list(command)
