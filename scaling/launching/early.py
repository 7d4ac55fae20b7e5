"""Warm workers that a command starts before it knows what it will run: torch takes a second to import, and so does
the rest of the command, on another core."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from scaling.launching.gpus import visible_gpus
from scaling.launching.slots import cpu_environment
from scaling.launching.workers import WarmWorkers

_started: list[WarmWorkers] = []


def under_torchrun() -> bool:
    """Whether this process is one of several that share each point: they are its workers."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def warm_up(arguments: Sequence[str]) -> None:
    """Unless the command line says that nothing will be trained on this machine's cores."""
    said = dict(argument.partition("=")[::2] for argument in arguments)
    if (
        not sys.platform.startswith("linux")
        or under_torchrun()
        or {"--cfg", "-c", "--help", "-h", "--info", "--version", "hydra/launcher", "hydra.mode"} & said.keys()
        or said.get("dry_run", "false").lower() != "false"
    ):
        return
    threads = said.get("runtime.threads", "1")
    if threads.isdecimal() and (said.get("runtime.device") in ("cpu", "mps") or not visible_gpus()):
        with suppress(OSError):  # which is told where they are needed
            _started.append(WarmWorkers(cpu_environment(threads)))


def take_warm(environment: Mapping[str, str]) -> WarmWorkers:
    """The early ones if they have this environment, else new ones."""
    while _started:
        workers = _started.pop()
        if workers.serves(environment):
            return workers
        workers.close()
    return WarmWorkers(environment)


def dismiss() -> None:
    """Nothing was left to train."""
    while _started:
        _started.pop().close()
