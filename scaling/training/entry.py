"""Where a launcher's process goes: to our own trainer, which imports torch, or to the driver of another, which does
not."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.records import JOB_FILE
from scaling.training.config import Job
from scaling.values import ValueMismatch, read_json

if TYPE_CHECKING:
    from scaling.training.team import Team


def run_folder(
    folder: Path, on_notice: Callable[[int], None] = lambda number: None, received: list[int] | None = None
) -> int:
    """As `worker.run_folder` and `external.driver.run_folder`, by what the folder's job says."""
    try:
        external = read_json(Job, folder / JOB_FILE).trainer is not None
    except ValueMismatch:
        external = False  # which is the worker's to tell
    if external:
        from scaling.training.external import driver

        return driver.run_folder(folder, on_notice, received)
    from scaling.training import worker

    return worker.run_folder(folder, on_notice, received)


class Alone:
    """What a team is to a program that is one process to us: itself."""

    leads = True

    def told(self, value: object) -> object:
        return value


def team_of_a_study(*, external: bool) -> "Team | Alone":
    """That of this process, where our own trainer may share a point among several."""
    if external:
        return Alone()
    from scaling.training import team

    return team.team_of_this_process()


def leave_team() -> None:
    """At the end of a process, of which only one that has imported torch can be a part of a team."""
    if "torch" in sys.modules:
        from scaling.training import team

        team.leave_team()
