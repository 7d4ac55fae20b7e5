"""Processes that run folders: a fresh one for each, or forks of a warm one. Both lead sessions of their own, so that
a Ctrl-C in the terminal reaches the pool alone, which passes it on in order."""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from scaling.launching.slots import Slot
from scaling.records import LOG_FILE
from scaling.values import open_to_append

SECONDS_BETWEEN_POLLS = 0.05

TRAIN = (sys.executable, "-m", "scaling.train")


class Workers(Protocol):
    """Starts runs, waits for ends, passes signals on. Closing it leaves what still runs alone."""

    def start(self, folder: Path, slot: Slot) -> None: ...

    def ended(self, timeout: float) -> list[tuple[Path, int]]:
        """Folders whose process ended since the last call, with exit codes (negative: a signal); waits for one."""
        ...

    def send(self, folder: Path, number: signal.Signals) -> None: ...

    def close(self) -> None: ...


class FreshWorkers:
    """One new process a run, confined to its slot by its environment; with several GPUs, torchrun over them, but where
    `one_process` leaves them to somebody else's program."""

    def __init__(self, *, one_process: bool = False) -> None:
        self._one_process = one_process
        self._processes: dict[Path, subprocess.Popen[bytes]] = {}

    def start(self, folder: Path, slot: Slot) -> None:
        with open_to_append(folder / LOG_FILE) as log:
            self._processes[folder] = subprocess.Popen(
                [*train_command(1 if self._one_process else len(slot.gpus)), str(folder)],
                env={**os.environ, **slot.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ended(self, timeout: float) -> list[tuple[Path, int]]:
        deadline = time.monotonic() + timeout
        while True:
            ended = [(folder, code) for folder, p in self._processes.items() if (code := p.poll()) is not None]
            if ended or time.monotonic() >= deadline:
                break
            time.sleep(SECONDS_BETWEEN_POLLS)
        for folder, _ in ended:
            del self._processes[folder]
        return ended

    def send(self, folder: Path, number: signal.Signals) -> None:
        self._processes[folder].send_signal(number)

    def close(self) -> None:
        pass


class WarmWorkers:
    """Forks of one process that imported torch once. All slots share its environment, as the cores of a CPU do.

    Should that process die, its runs go on without it: they count as lost, another try waits for them, and the next
    start makes a new one.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._running: set[Path] = set()
        self._lost: list[Path] = []
        self._said = b""
        self.warm_up()

    def warm_up(self) -> None:
        """Start importing now, while the caller is still at something else."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [*TRAIN, "--warm"],
                env={**os.environ, **self._environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
                bufsize=0,
            )
            self._said = b""

    def serves(self, environment: Mapping[str, str]) -> bool:
        return self._environment == dict(environment)

    def start(self, folder: Path, slot: Slot) -> None:
        self._running.add(folder)
        self._tell({"run": str(folder.absolute())})

    def ended(self, timeout: float) -> list[tuple[Path, int]]:
        assert self._process is not None
        assert self._process.stdout is not None
        if self._lost:
            lost, self._lost = self._lost, []
            return [(folder, -signal.SIGKILL) for folder in lost]
        if not self._running:
            time.sleep(timeout)
            return []
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout):
                return []
        chunk = os.read(self._process.stdout.fileno(), 1 << 16)
        if not chunk:
            self._lose_sight(None)
            return self.ended(0.0)
        *lines, self._said = (self._said + chunk).split(b"\n")
        by_name = {str(folder.absolute()): folder for folder in self._running}
        ended = []
        for line in lines:
            said = json.loads(line)
            folder = by_name[said["ended"]]
            self._running.discard(folder)
            ended.append((folder, int(said["code"])))
        return ended

    def send(self, folder: Path, number: signal.Signals) -> None:
        self._tell({"signal": str(folder.absolute()), "number": int(number)})

    def close(self) -> None:
        if self._process is not None and self._process.stdin is not None and self._process.stdout is not None:
            self._process.stdin.close()
            self._process.stdout.close()
            if not self._running:
                self._process.wait()

    def _tell(self, request: Mapping[str, object]) -> None:
        """A process that is gone is started again for a run; a signal has nobody to go to."""
        assert self._process is not None
        assert self._process.stdin is not None
        line = json.dumps(request).encode() + b"\n"
        try:
            self._process.stdin.write(line)
        except BrokenPipeError:
            if "run" not in request:
                return
            self._lose_sight(Path(str(request["run"])))
            self.warm_up()
            assert self._process.stdin is not None
            self._process.stdin.write(line)

    def _lose_sight(self, starting: Path | None) -> None:
        """The process is gone, and nobody will hear of the runs that it had started."""
        assert self._process is not None
        self._process.wait()
        self._lost += sorted(folder for folder in self._running if folder.absolute() != starting)
        self._running.difference_update(self._lost)


def train_command(processes: int) -> Sequence[str]:
    if processes <= 1:
        return TRAIN
    launcher = ("-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}")
    return (sys.executable, *launcher, "-m", "scaling.train")
