"""Whether this process shall save and leave."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

SECONDS_BETWEEN_LOOKS_FOR_STOP = 1.0


class Notices:
    """Whether somebody wants this process to save and leave: by a signal, or by the study's STOP file, which is
    looked for at most once a second."""

    def __init__(self, stop_file: Path, on_signal: Callable[[int], None], received: list[int]) -> None:
        self._stop_file, self._on_signal, self._received = stop_file, on_signal, received
        self._told = False
        self._looked_at = float("-inf")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, self._receive)

    def _receive(self, number: int, _: FrameType | None) -> None:
        self._received.append(number)

    def given(self) -> bool:
        if self._received and not self._told:
            self._told = True
            self._on_signal(self._received[0])
        if not self._received and time.monotonic() - self._looked_at >= SECONDS_BETWEEN_LOOKS_FOR_STOP:
            self._looked_at = time.monotonic()
            self._told = self._told or self._stop_file.exists()
        return self._told
