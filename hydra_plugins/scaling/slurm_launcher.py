"""`hydra/launcher=slurm`: sbatch arrays, and the queue as the first word on what is at work."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hydra_plugins.scaling._study_launcher import StudyLauncher

if TYPE_CHECKING:
    from scaling.config import StudyConfig
    from scaling.launching.batches import SlurmOptions
    from scaling.launching.tasks import LaunchResult, Task


class SlurmLauncher(StudyLauncher):
    """Its parameters are those of `SlurmOptions`, checked when they are used."""

    def __init__(self, **options: Any) -> None:
        self.plain_options = options

    @property
    def options(self) -> "SlurmOptions":
        from omegaconf import OmegaConf

        from scaling.launching.batches import SlurmOptions
        from scaling.values import from_plain

        plain = {
            key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for key, value in self.plain_options.items()
        }
        return from_plain(SlurmOptions, plain, "hydra.launcher")

    def launch_runs(
        self, config: "StudyConfig", tasks: "Sequence[Task]", title: str, meanwhile: Callable[[], None]
    ) -> "LaunchResult":
        from scaling.stages.on_slurm import launch_and_wait

        return launch_and_wait(config, self.options, tasks, meanwhile)

    def note(self, config: "StudyConfig") -> str | None:
        from scaling.stages.on_slurm import asks_for_no_gpu

        return asks_for_no_gpu(config, self.options)

    def submits(self, config: "StudyConfig") -> bool:
        return not config.launch.wait

    def submit(self, config: "StudyConfig", waves: "list[list[Task]]", *, forecast: bool) -> bool:
        from scaling.stages.on_slurm import submit_study

        return submit_study(config, self.options, waves, forecast=forecast)
