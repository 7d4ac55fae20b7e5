"""A command in a process of its own, forked from one that has imported it: what it said, took and ended with."""

import importlib
import json
import os
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MOST_SECONDS, MOST_WAITING, MOST_MEGABYTES = 30, 200, 2000
COMMANDS = (
    "plan",
    "status",
    "fit",
    "recommend",
    "compare",
)  # without torch, so that a fork of this process may be them
USUAL_CODES = {0, 1, 2, 3}


@dataclass(frozen=True)
class Ended:
    """`code` is negative for a signal. `seconds` are the processor's, so that a busy machine is no finding; a command
    that waits for ever is ended by a signal."""

    code: int
    out: str
    err: str
    seconds: float
    megabytes: float

    def faults(self) -> list[str]:
        """What no command may do, whatever it is given."""
        found = []
        if "Traceback" in self.err or "Traceback" in self.out:
            found.append(f"a traceback: {self.err[-1500:]}")
        if self.code not in USUAL_CODES:
            found.append(f"exit code {self.code}: {self.err[-500:]}")
        if self.seconds > MOST_SECONDS or self.code == -signal.SIGALRM:
            found.append(f"it took {self.seconds:.0f} s, code {self.code}")
        if self.megabytes > MOST_MEGABYTES:
            found.append(f"it took {self.megabytes:.0f} MB")
        if self.code == 2 and not self.err.strip() and not self.out.strip():
            found.append("it is refused without a word")
        return found


def import_all() -> None:
    for name in COMMANDS:
        importlib.import_module(f"scaling.{name}")


def forked(body: Callable[[], object]) -> Ended:
    """Run in a child, which is killed when it takes too long."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if child == 0:
            _be_the_child(body, out.fileno(), err.fileno())
        _, status, used = os.wait4(child, 0)
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read())
    return Ended(os.waitstatus_to_exitcode(status), *said, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def _be_the_child(body: Callable[[], object], out: int, err: int) -> None:
    code = 70
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        signal.alarm(MOST_WAITING)
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
        body()
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:  # noqa: BLE001 - the child's last words
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def command(name: str, arguments: list[str]) -> Ended:
    """`python -m scaling.<name> <arguments>`."""
    main = importlib.import_module(f"scaling.{name}").main

    return forked(lambda: main(arguments))


def strict_json(text: str) -> Any:
    """Raises ValueError for a NaN or an infinity too, which are no JSON."""

    def refuse(name: str) -> float:
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)
