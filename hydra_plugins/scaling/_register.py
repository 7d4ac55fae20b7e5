"""This project's plugins, for Hydra where it does not find them by itself, as in some editable installs."""

from hydra.core.plugins import Plugins

from hydra_plugins.scaling.pool_launcher import PoolLauncher
from hydra_plugins.scaling.search_path import ScalingSearchPath
from hydra_plugins.scaling.slurm_launcher import SlurmLauncher
from hydra_plugins.scaling.study_sweeper import StudySweeper


def register() -> None:
    """Only what Hydra's own scan has not found: a second class of one name would be another class."""
    plugins = Plugins.instance()
    for plugin in (StudySweeper, PoolLauncher, SlurmLauncher, ScalingSearchPath):
        if f"{plugin.__module__}.{plugin.__name__}" not in plugins.class_name_to_class:
            plugins.register(plugin)
