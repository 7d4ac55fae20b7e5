"""Public names of a package, each imported when it is first asked for (PEP 562): the face costs no start-up time."""

import importlib
import sys
from collections.abc import Mapping
from types import ModuleType


def lazy_names(package: str, homes: Mapping[str, str]) -> None:
    """Give a package the names of `homes`, each of which is looked up in its module at first use.

    A public name wins over a submodule of the same name, whichever is imported first: `scaling.plan` is the function
    also where the command's module has been imported. `from scaling.plan import main` finds the module.
    """

    class Face(ModuleType):
        def __getattr__(self, name: str) -> object:
            if name not in homes:
                raise AttributeError(f"module {package!r} has no attribute {name!r}; it has {', '.join(sorted(homes))}")
            value: object = getattr(importlib.import_module(homes[name]), name)
            self.__dict__[name] = value
            return value

        def __setattr__(self, name: str, value: object) -> None:
            if not (name in homes and isinstance(value, ModuleType)):
                super().__setattr__(name, value)

        def __dir__(self) -> list[str]:
            return sorted({*super().__dir__(), *homes})

    sys.modules[package].__class__ = Face
