"""Folders one by one as somebody asks for them, where the pool has a list: a search does not know its next run yet."""

import signal
import time
from pathlib import Path

from scaling.exits import EXIT_BUSY, EXIT_DONE, EXIT_REQUEUE
from scaling.launching.slots import Slot, Slots
from scaling.launching.workers import Workers
from scaling.records import LOG_FILE

SECONDS_UNTIL_BUSY_AGAIN = 2.0


class SlotRunner:
    """At most one run for each slot. A folder in which an orphan of an earlier search is at work is waited for."""

    def __init__(self, slots: Slots, workers: Workers) -> None:
        self._slots, self._workers = slots, workers
        self._running: dict[Path, Slot] = {}
        self._busy: dict[Path, float] = {}

    @property
    def has_room(self) -> bool:
        return bool(self._slots.free)

    def start(self, folder: Path) -> None:
        slot = self._slots.take(0)
        assert slot is not None, "asked only where there is room"
        self._running[folder] = slot
        self._workers.start(folder, slot)

    def stop(self, folder: Path) -> None:
        """A worker that is told to stop saves and leaves. An orphan hears it once its run is ours."""
        if folder in self._running and folder not in self._busy:
            self._workers.send(folder, signal.SIGTERM)

    def ended(self, timeout: float) -> list[tuple[Path, str | None]]:
        """Folders that ended since the last call, each with the reason of a failure; waits for one."""
        for folder in [f for f, again_at in self._busy.items() if again_at <= time.monotonic()]:
            del self._busy[folder]
            self._workers.start(folder, self._running[folder])
        ended = []
        for folder, code in self._workers.ended(timeout):
            if code == EXIT_BUSY:
                self._busy[folder] = time.monotonic() + SECONDS_UNTIL_BUSY_AGAIN
                continue
            self._slots.release(self._running.pop(folder), 0)
            ended.append((folder, _reason(folder, code)))
        return ended

    def close(self) -> None:
        self._workers.close()


def _reason(folder: Path, code: int) -> str | None:
    if code in (EXIT_DONE, EXIT_REQUEUE):
        return None
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}; see {folder / LOG_FILE}"
