"""A runner without processes: each run is trained where it is started."""

from collections.abc import Callable
from pathlib import Path

from scaling.training.config import Job
from scaling.training.trajectory import Interrupted, Trajectory
from scaling.values import read_json


class InProcessRunner:
    """`steps` counts the steps of all runs; `stop_after` ends a run at that count, as a signal would."""

    def __init__(self, *_: object, stop_after: int | None = None) -> None:
        self.started: list[str] = []
        self.steps, self.stop_after = 0, stop_after
        self._ended: list[tuple[Path, str | None]] = []

    @property
    def has_room(self) -> bool:
        return not self._ended

    def start(self, folder: Path) -> None:
        self.started.append(folder.name)
        try:
            Trajectory(read_json(Job, folder / "job.json"), folder, should_stop=self._count()).run()
        except Interrupted:
            self._ended.append((folder, None))
            return
        self._ended.append((folder, None))

    def _count(self) -> Callable[[], bool]:
        def should_stop() -> bool:
            self.steps += 1
            return self.stop_after is not None and self.steps >= self.stop_after

        return should_stop

    def stop(self, folder: Path) -> None:
        pass

    def ended(self, timeout: float) -> list[tuple[Path, str | None]]:
        ended, self._ended = self._ended, []
        return ended
