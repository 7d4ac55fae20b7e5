"""Workers on GPUs that take one task after the other: torch's import, CUDA's context and the first kernels are seconds
that each would else begin with.

Such a process speaks JSON lines: {"run": folder, "share": s} on its standard input, and on its standard output
{"ended": folder, "code": c, "leaves": l}. It leaves when its input ends, and after a task that raised, as its GPU's
context may be broken.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from scaling.exits import EXIT_FAILED
from scaling.launching.slots import Slot
from scaling.launching.warm import NOTICES
from scaling.launching.workers import TRAIN
from scaling.machine import GPU_SHARE
from scaling.records import LOG_FILE
from scaling.values import open_to_append


class KeptWorkers:
    """At most one process for each place that is taken at a time, in the environment of its slot."""

    def __init__(self) -> None:
        self._processes: list[_Kept] = []

    def start(self, folder: Path, slot: Slot) -> None:
        environment = {name: value for name, value in slot.environment.items() if name != GPU_SHARE}
        idle = (kept for kept in self._processes if kept.folder is None and kept.environment == environment)
        kept = next(idle, None)
        if kept is None or not kept.takes(folder, slot):
            if kept is not None:
                self._processes.remove(kept)
                kept.close()
            kept = _Kept(environment)
            self._processes.append(kept)
            kept.takes(folder, slot)

    def ended(self, timeout: float) -> list[tuple[Path, int]]:
        busy = [kept for kept in self._processes if kept.folder is not None]
        if not busy:
            time.sleep(timeout)
            return []
        with selectors.DefaultSelector() as selector:
            for kept in busy:
                selector.register(kept.answers, selectors.EVENT_READ, kept)
            ready: list[_Kept] = [key.data for key, _ in selector.select(timeout)]
        ended = []
        for kept in ready:
            answer = kept.answer()
            if answer is not None:
                ended.append(answer)
            if kept.is_gone:
                self._processes.remove(kept)
                kept.close()
        return ended

    def send(self, folder: Path, number: signal.Signals) -> None:
        for kept in self._processes:
            if kept.folder == folder:
                kept.process.send_signal(number)

    def close(self) -> None:
        """Those that still work are left alone, and leave when they are done."""
        for kept in self._processes:
            kept.close()


class _Kept:
    def __init__(self, environment: dict[str, str]) -> None:
        self.environment, self.folder = environment, None  # type: dict[str, str], Path | None
        self.is_gone, self._said = False, b""
        self.process = subprocess.Popen(
            [*TRAIN, "--keep"],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )

    @property
    def answers(self) -> int:
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def takes(self, folder: Path, slot: Slot) -> bool:
        """False where the process is gone."""
        assert self.process.stdin is not None
        request = {"run": str(folder.absolute()), "share": slot.environment.get(GPU_SHARE, "1")}
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            return False
        self.folder = folder
        return True

    def answer(self) -> tuple[Path, int] | None:
        """How its task ended, if it has; a process that ended without a word takes its task along."""
        folder = self.folder
        assert folder is not None
        chunk = os.read(self.answers, 1 << 16)
        self._said += chunk
        if not chunk:
            self.is_gone = True
            code = self.process.wait()
            self.folder = None
            return folder, code or EXIT_FAILED
        if not self._said.endswith(b"\n"):
            return None
        said = json.loads(self._said.splitlines()[-1])
        self._said, self.folder, self.is_gone = b"", None, bool(said["leaves"])
        return folder, int(said["code"])

    def close(self) -> None:
        if self.process.stdin is not None and self.process.stdout is not None:
            self.process.stdin.close()
            self.process.stdout.close()
        if self.folder is None:
            self.process.wait()


def serve(run_folder: Callable[[Path], int], release: Callable[[], None]) -> None:
    """The life of a kept process. `release` gives back what a task held."""
    for number in NOTICES:
        signal.signal(number, signal.SIG_IGN)  # between tasks: whoever starts them decides, and passes it on
    answers = os.dup(1)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        os.environ[GPU_SHARE] = request["share"]
        folder = Path(request["run"])
        _log_to(folder)
        code, failed = EXIT_FAILED, True
        try:
            code = run_folder(folder)
            failed = False
        except Exception:  # noqa: BLE001  # it ends this process below, once it is told
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        with contextlib.suppress(BrokenPipeError):  # nobody listens any more
            said = {"ended": request["run"], "code": code, "leaves": failed}
            os.write(answers, json.dumps(said).encode() + b"\n")
        if failed:
            os._exit(EXIT_FAILED)  # threads that wait for a broken device would be waited for
        release()


def _log_to(folder: Path) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    with open_to_append(folder / LOG_FILE) as log:
        for target in (1, 2):
            os.dup2(log.fileno(), target)
