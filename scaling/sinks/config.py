"""The sinks that a study may name, and whether their packages are there."""

from collections.abc import Iterable
from importlib.util import find_spec

from scaling.names import nearest

SINKS = ("wandb", "mlflow")


def require_known(names: Iterable[str]) -> None:
    """Raises ValueError for a name that no sink has."""
    for name in names:
        if name not in SINKS:
            raise ValueError(f"sinks names {name}, and no such sink exists: {nearest(name, SINKS)}")


def require_installed(names: Iterable[str]) -> None:
    """Raises ValueError, before anything is spent, where a sink's package is absent."""
    for name in names:
        if find_spec(name) is None:
            raise ValueError(f"sinks names {name}, which is not installed: pip install 'scaling-sweep[{name}]'")
