"""Checkpoints beside the training: the state is copied to the host, and a thread writes it while steps go on."""

import os
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from scaling.training.checkpoint import CHECKPOINT_SCHEMA, write_checkpoint
from scaling.training.device import synchronize
from scaling.training.optimizer import plain_groups
from scaling.training.parallel import gathered
from scaling.training.progress import Progress
from scaling.training.step import TrainState
from scaling.training.team import Team
from scaling.values import to_plain

# A save may cost a fiftieth of the time until the next: what the training waits for it, and what its thread takes of
# the cores.
MOST_SHARE = 0.02


class HostCopies:
    """Host memory for a state, used again for the next: fresh pages, pinned ones above all, cost more than the copy."""

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def copy(self, value: Any, name: str = "") -> Any:
        """A state dict with its tensors in this memory, sharded ones gathered."""
        if isinstance(value, dict):
            return {key: self.copy(item, f"{name}.{key}") for key, item in value.items()}
        if isinstance(value, list):
            return [self.copy(item, f"{name}.{i}") for i, item in enumerate(value)]
        if not isinstance(value, Tensor):
            return value
        whole = gathered(value.detach())
        kept = self._buffers.get(name)
        if kept is None or kept.shape != whole.shape or kept.dtype != whole.dtype:
            pinned = whole.device.type == "cuda" and whole.numel() > 0
            kept = self._buffers[name] = torch.empty_like(whole, device="cpu", pin_memory=pinned)
        return kept.copy_(whole, non_blocking=True)


class Saver:
    """Writes the checkpoints of one run, one after the other. Entered, it is left only when the last one is on disk.

    An error of the thread is raised by the next call. All ranks of a team call it and the leader writes.
    """

    def __init__(self, run_id: str, team: Team, device: torch.device, precision: str) -> None:
        self._run_id, self._team, self._device, self._precision = run_id, team, device, precision
        self._thread = ThreadPoolExecutor(1)
        self._under_way: list[tuple[Path, Future[None] | None, HostCopies]] = []
        self._spare: list[HostCopies] = []
        self._held: HostCopies | None = None
        self._saved_at, self.cost_seconds = time.monotonic(), 0.0

    def due(self, every_seconds: float) -> bool:
        """Whether so long has passed since the last save, and what that cost is a small share of it. Never while one is
        being written; each step under 0."""
        if every_seconds == 0:
            return True
        wait = max(every_seconds, self.cost_seconds / MOST_SHARE)
        return time.monotonic() - self._saved_at >= wait and not self._is_busy()

    def save(
        self,
        path: Path,
        state: TrainState,
        progress: Progress,
        *,
        budget: int | None,
        also: Path | None = None,
        hold: bool = False,
    ) -> dict[str, Any]:
        """Copy the state and have it written to `path`, and under the further name `also`; `budget` is the branch's or
        None for the trunk. Returns the copy, which with `hold` stays as it is until the next that is held."""
        began = time.monotonic()
        while len(self._under_way) > 1:
            self._finish_first()
        copies = self._spare.pop() if self._spare else HostCopies()
        content = {
            "schema": CHECKPOINT_SCHEMA,
            "run_id": self._run_id,
            "budget": budget,
            "precision": self._precision,
            "step": state.step,
            "progress": to_plain(progress),
            "model": copies.copy(state.decoder.state_dict(), "model"),
            "optimizer": copies.copy(plain_groups(state.optimizer.state_dict()), "optimizer"),
            "scaler": state.scaler.state_dict(),
        }
        synchronize(self._device)
        waited = time.monotonic() - began

        def write() -> None:
            thread_began = time.thread_time()
            write_checkpoint(path, content)
            if also is not None:
                give_second_name(path, also)
            self.cost_seconds = waited + time.thread_time() - thread_began

        future = self._thread.submit(write) if self._team.leads else None
        self._under_way.append((path, future, copies))
        if hold:
            if self._held is not None and not self._is_written_from(self._held):
                self._spare.append(self._held)
            self._held = copies
        self._saved_at = time.monotonic()
        return content

    def wait(self) -> None:
        """Until everything is on disk."""
        while self._under_way:
            self._finish_first()

    def wait_for(self, path: Path) -> None:
        """Until nothing more will be written to `path`."""
        while any(file == path for file, _, _ in self._under_way):
            self._finish_first()

    def _is_busy(self) -> bool:
        while self._under_way and ((future := self._under_way[0][1]) is None or future.done()):
            self._finish_first()
        return bool(self._under_way)

    def _is_written_from(self, copies: HostCopies) -> bool:
        return any(mine is copies for _, _, mine in self._under_way)

    def _finish_first(self) -> None:
        _, future, copies = self._under_way.pop(0)
        if copies is not self._held:
            self._spare.append(copies)
        if future is not None:
            future.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What is under way is finished also where the run ends with an error, which a failed write does not hide."""
        try:
            self.wait()
        except OSError:
            if kind is None:
                raise
        finally:
            self._thread.shutdown()


def give_second_name(path: Path, other: Path) -> None:
    """`other` is then the same file, or its copy where the file system knows no second names; whole or absent."""
    other.parent.mkdir(parents=True, exist_ok=True)
    temporary = other.with_name(f".{other.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        temporary.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, temporary)
    temporary.replace(other)
