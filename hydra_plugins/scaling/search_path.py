"""Other Hydra applications find this project's groups (data, model, recipe, grid, ...) after their own."""

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class ScalingSearchPath(SearchPathPlugin):
    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        from scaling.config_folder import config_folder

        folder = f"file://{config_folder()}"
        if not any(Path(str(part.path).removeprefix("file://")) == config_folder() for part in search_path.get_path()):
            search_path.append("scaling", folder)
