"""Source code that every machine has: the standard library of the running interpreter (PSF licence), without its tests.

Code, not prose. Which text it is depends on the interpreter, so its version and the content of its files are part of
the corpus's identity, and results on it compare only on the same interpreter.
"""

import os
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from scaling.data.documents import Document

_LEFT_OUT = {"test", "tests", "idle_test", "lib2to3", "site-packages", "dist-packages", "__pycache__"}


@cache
def files() -> tuple[Path, ...]:
    """The modules, sorted by their path, without what differs between machines: tests, packages, build settings.

    Looked for once in a process, which its own library does not change under.
    """
    found = []
    for folder, below, names in os.walk(library_folder()):
        below[:] = (name for name in below if name not in _LEFT_OUT)  # not walked: packages are most of what is there
        found += [
            Path(folder, name) for name in names if name.endswith(".py") and not name.startswith("_sysconfigdata")
        ]
    return tuple(sorted(path for path in found if path.is_file()))


@cache
def library_folder() -> Path:
    return Path(sysconfig.get_path("stdlib"))


def documents() -> Iterator[Document]:
    """One document for each module, its key the path below the library's folder."""
    root = library_folder()
    for path in files():
        yield Document(path.read_bytes().decode("utf-8", "replace"), path.relative_to(root).as_posix())
