"""`hydra/launcher=pool`: the slots of this machine, or the processes that torchrun started."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hydra_plugins.scaling._study_launcher import StudyLauncher

if TYPE_CHECKING:
    from scaling.config import StudyConfig
    from scaling.launching.tasks import LaunchResult, Task


class PoolLauncher(StudyLauncher):
    def launch_runs(
        self, config: "StudyConfig", tasks: "Sequence[Task]", title: str, meanwhile: Callable[[], None]
    ) -> "LaunchResult":
        # Hydra imports every plugin in every application: what a study needs is imported when there is one.
        from scaling.launching.early import under_torchrun
        from scaling.stages.in_team import lead

        if under_torchrun():
            return lead(tasks, meanwhile, fail_fast=config.fail_fast)
        from scaling.stages.local import run_here

        return run_here(config, tasks, title, meanwhile)

    def takes_parts(self) -> bool:
        from scaling.launching.early import under_torchrun

        return not under_torchrun()

    def launch_parts(
        self,
        config: "StudyConfig",
        tasks: "Sequence[Task]",
        title: str,
        meanwhile: Callable[[], None],
        open_gate: Callable[[], bool],
    ) -> "LaunchResult":
        from scaling.stages.local import run_here

        return run_here(config, tasks, title, meanwhile, open_gate)
