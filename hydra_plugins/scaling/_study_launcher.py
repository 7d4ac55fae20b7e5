"""What this project's launchers share: they take the runs of a study, not the overrides of a job."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from scaling.config import StudyConfig
    from scaling.launching.tasks import LaunchResult, Task


class StudyLauncher(Launcher):
    """Composing a config costs a tenth of a second, so it is done once a study; a run's folder says all the rest."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        pass

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from scaling.config import ConfigError

        raise ConfigError(
            "hydra/launcher is one of this project's, which take the runs of a study from its own sweeper: leave "
            "hydra/sweeper out, or use hydra/launcher=basic"
        )

    @abstractmethod
    def launch_runs(
        self, config: "StudyConfig", tasks: "Sequence[Task]", title: str, meanwhile: Callable[[], None]
    ) -> "LaunchResult": ...

    def takes_parts(self) -> bool:
        """Whether trunks and branches may be tasks of their own (`launch_parts`)."""
        return False

    def launch_parts(
        self,
        config: "StudyConfig",
        tasks: "Sequence[Task]",
        title: str,
        meanwhile: Callable[[], None],
        open_gate: Callable[[], bool],
    ) -> "LaunchResult":
        raise NotImplementedError(f"{type(self).__name__} takes whole runs")

    def note(self, config: "StudyConfig") -> str | None:
        """A line for the user, before anything is planned or launched."""
        return None

    def submits(self, config: "StudyConfig") -> bool:
        """Whether the runs are handed over at once, and the command returns before they end."""
        return False

    def submit(self, config: "StudyConfig", waves: "list[list[Task]]", *, forecast: bool) -> bool:
        raise NotImplementedError(f"{type(self).__name__} does not submit")
