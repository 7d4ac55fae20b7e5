"""Where the YAML lies, found at import: commands, console scripts and plugins run from any folder."""

from pathlib import Path


def config_folder() -> Path:
    """In a wheel `scaling/configs`, in a checkout `configs` beside the package."""
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "configs"
