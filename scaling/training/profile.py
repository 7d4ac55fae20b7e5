"""A trace of a few training steps, for TensorBoard's profiler, Perfetto or chrome://tracing."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

log = logging.getLogger(__name__)

PROFILE_FOLDER = "profile"
# Steps of this process: the first ones allocate and compile, the next warm the profiler up.
WAIT_STEPS, WARMUP_STEPS, TRACED_STEPS = 5, 2, 3


@contextmanager
def profiling(folder: Path | None, device: torch.device) -> Iterator[Callable[[], None]]:
    """Yields what to call after every step; writes `<host>_<pid>.<time>.pt.trace.json.gz` into `folder`, if given."""
    if folder is None:
        yield lambda: None
        return
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(
        activities=activities,
        schedule=torch.profiler.schedule(wait=WAIT_STEPS, warmup=WARMUP_STEPS, active=TRACED_STEPS, repeat=1),
        on_trace_ready=torch.profiler.tensorboard_trace_handler(str(folder), use_gzip=True),
        record_shapes=True,
        profile_memory=True,
    ) as profiler:
        yield profiler.step
    if not list(folder.glob("*.pt.trace.json.gz")):
        log.warning("no trace in %s: this process took fewer than %d steps", folder, WAIT_STEPS + WARMUP_STEPS + 1)
