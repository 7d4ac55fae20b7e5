"""NVIDIA's multi-process service, started and quit by whoever shares GPUs: without it the kernels of several processes
take turns, with it they run side by side. It is the user's own; no mode of the GPU is changed."""

import contextlib
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from scaling.launching.gpus import uuid_of

log = logging.getLogger(__name__)

CONTROL = "nvidia-cuda-mps-control"
SECONDS_TO_START = 15


def can_be_started(gpus: Sequence[str]) -> str | None:
    """None where it may be tried on these GPUs, else why not."""
    if os.environ.get("CUDA_MPS_PIPE_DIRECTORY"):
        return "CUDA_MPS_PIPE_DIRECTORY is set: a service of somebody else's is used as it is"
    if shutil.which(CONTROL) is None:
        return f"{CONTROL} is not found"
    unnamed = [gpu for gpu in gpus if not uuid_of(gpu).startswith("GPU-")]
    return f"{unnamed[0]} has no UUID that the service takes" if unnamed else None


@contextlib.contextmanager
def serving(gpus: Sequence[str]) -> Iterator[Mapping[str, str] | None]:
    """Yields what a client's environment needs, None where the service does not start; quits it in the end."""
    obstacle = can_be_started(gpus)
    if obstacle is not None:
        log.warning("GPUs are shared without MPS: %s", obstacle)
        yield None
        return
    # A short path: its socket's name may have a hundred characters.
    folder = Path(tempfile.mkdtemp(prefix="mps-"))
    own = {"CUDA_MPS_PIPE_DIRECTORY": str(folder), "CUDA_MPS_LOG_DIRECTORY": str(folder)}
    # It gives its clients what it sees itself, under the same UUIDs.
    environment = {**os.environ, **own, "CUDA_VISIBLE_DEVICES": ",".join(uuid_of(gpu) for gpu in gpus)}
    started = False
    try:
        started = _control(["-d"], "", environment)
        if not started:
            log.warning("GPUs are shared without MPS: %s -d failed", CONTROL)
        yield own if started else None
    finally:
        if started and not _control([], "quit\n", environment):
            log.warning("%s did not quit; its folder is %s", CONTROL, folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _control(arguments: list[str], said: str, environment: Mapping[str, str]) -> bool:
    try:
        done = subprocess.run(
            [CONTROL, *arguments], input=said, text=True, env=dict(environment), timeout=SECONDS_TO_START,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, start_new_session=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
