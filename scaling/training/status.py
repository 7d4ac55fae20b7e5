"""A run's `status.json`: a heartbeat for people and for other hosts. On its own host the lock says who is alive."""

import logging
import os
import platform
import threading
import time
from pathlib import Path
from typing import Self

from scaling.claims import HEARTBEAT_SECONDS, queue_id
from scaling.machine import gpu_share
from scaling.records import STATUS_FILE, RunPart, RunState, RunStatus
from scaling.values import ValueMismatch, read_json, write_json

SECONDS_BETWEEN_STATUSES = 1.0

log = logging.getLogger(__name__)


class StatusWriter:
    """Rewrites the status at most once a second as steps go by, and every few seconds while none does: a thread
    beats while an evaluation or a slow step takes its time. Of several processes all but the leader are `silent`."""

    def __init__(self, folder: Path, total_steps: int, *, part: RunPart = "whole", silent: bool = False) -> None:
        self._part = part
        self._path, self._total_steps, self._silent = folder / STATUS_FILE, total_steps, silent
        self._written_at, self._step, self._speed = 0.0, 0, 0.0
        self._attempt = _attempts(self._path) + 1
        self._lock, self._over = threading.Lock(), threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def progress(self, step: int, tokens_per_second: float) -> None:
        self._step, self._speed = step, tokens_per_second
        if time.monotonic() - self._written_at >= SECONDS_BETWEEN_STATUSES:
            self.write("running")

    def write(self, state: RunState, error: str | None = None) -> None:
        if self._silent:
            return
        status = RunStatus(
            state=state,
            step=self._total_steps if state == "done" else self._step,
            total_steps=self._total_steps,
            tokens_per_second=self._speed,
            updated_at=time.time(),
            host=platform.node(),
            pid=os.getpid(),
            error=error,
            gpu=os.environ.get("CUDA_VISIBLE_DEVICES"),
            queue_id=queue_id(),
            attempt=self._attempt,
            part=self._part,
            gpu_share=gpu_share(),
        )
        try:
            with self._lock:
                write_json(self._path, status)
        except OSError as error:  # what is trained is worth more than the word on it, and says so itself
            log.warning("no status: %s", error)
        self._written_at = time.monotonic()

    def _beat(self) -> None:
        while not self._over.wait(HEARTBEAT_SECONDS):
            if time.monotonic() - self._written_at >= HEARTBEAT_SECONDS:
                self.write("running")

    def __enter__(self) -> Self:
        self._heart.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._heart.join()


def _attempts(path: Path) -> int:
    try:
        return read_json(RunStatus, path).attempt
    except (FileNotFoundError, ValueMismatch):
        return 0
