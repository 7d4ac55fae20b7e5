"""Several points under torchrun, one after the other, each shared by all its processes.

Rank 0 is the command: it plans, writes and reports. The others hear from it which run is next.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from scaling.exits import EXIT_REQUEUE
from scaling.launching.early import under_torchrun
from scaling.launching.tasks import LaunchResult, Task, outcome
from scaling.terminal import PlainConsole


def share(command: Callable[[], None]) -> None:
    """Be the command, or one that trains with it; without torchrun the command alone."""
    if not under_torchrun():
        command()
    elif os.environ["RANK"] != "0":
        follow()
        leave()
    else:
        try:
            command()
        except SystemExit as leaving:
            # Where it refused to begin, torchrun ends those that still wait to be called.
            if not leaving.code or is_called_together():
                dismiss_team()
                leave()
            raise


def is_called_together() -> bool:
    import torch.distributed

    return torch.distributed.is_initialized()


def follow() -> None:
    """Train with the leader whatever it names, until it names nothing more.

    What a run raises ends this process, and with it, by torchrun, all others: they wait for it in the midst of a step.
    """
    from scaling.training.team import team_of_this_process
    from scaling.training.worker import run_folder

    team, notices = team_of_this_process(), list[int]()
    folder: str | None = None
    while (folder := team.told(folder)) is not None:
        run_folder(Path(folder), received=notices)


def lead(tasks: Sequence[Task], meanwhile: Callable[[], None], *, fail_fast: bool) -> LaunchResult:
    """The longest first. After a notice nothing more starts; what a run raises is raised."""
    from scaling.training.team import team_of_this_process
    from scaling.training.worker import run_folder

    result, notices, console = LaunchResult(), list[int](), PlainConsole(stderr=True)
    for task in sorted(tasks, key=lambda task: -task.seconds):
        team_of_this_process().told(str(task.folder.absolute()))
        code = run_folder(task.folder, received=notices)
        if code == EXIT_REQUEUE:
            result.interrupted = True
            break
        ended = outcome(task, code)
        words = f"{task.folder.name}: {ended.kind} {ended.reason}"
        console.print(words.rstrip(), soft_wrap=True)
        meanwhile()
        if ended.kind == "done":
            result.done.append(task.folder.name)
            continue
        result.failed[task.folder.name] = ended.reason or ended.kind
        if fail_fast:
            break
    return result


def leave() -> None:
    from scaling.training.team import leave_team

    leave_team()


def dismiss_team() -> None:
    """The leader has nothing more for the others."""
    from scaling.training.team import team_of_this_process

    team_of_this_process().told(None)
