"""Runs of a study through anybody's Hydra launcher: one job a run, whose only axis is the run's folder."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hydra.plugins.launcher import Launcher

if TYPE_CHECKING:
    from scaling.config import StudyConfig
    from scaling.launching.tasks import LaunchResult, Task


def launch_runs(
    launcher: Launcher,
    overrides: Sequence[str],
    config: "StudyConfig",
    tasks: "Sequence[Task]",
    title: str,
    meanwhile: Callable[[], None],
) -> "LaunchResult":
    """Hand over all runs as one batch, and again those that were lost; what became of them is read from disk.

    Each job trains in a process of its own, so that one that dies takes neither its launcher nor another job along.
    """
    from scaling.launching.tasks import LaunchResult, outcome

    result = LaunchResult()
    left = list(tasks)
    for attempt in range(1 + config.retry):
        jobs = [[*overrides, f"run='{task.folder.absolute()}'"] for task in left]
        launcher.launch(jobs, initial_job_idx=attempt * len(tasks))
        ends = [(task, outcome(task, None)) for task in left]
        left = [task for task, ended in ends if ended.kind == "lost" and attempt < config.retry]
        result.done += [task.folder.name for task, ended in ends if ended.kind == "done"]
        result.failed |= {
            task.folder.name: ended.reason for task, ended in ends if ended.kind != "done" and task not in left
        }
        if not left:
            break
    return result
