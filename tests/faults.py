"""A disk that fails once: at the n-th of the writes below a folder, as a full, read-only or broken one does, or halfway
through. What Python itself asks of the system passes here, and the statements of SQLite."""

import builtins
import errno
import io
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

Kind = Literal["ENOSPC", "EROFS", "EIO", "torn"]
KINDS: tuple[Kind, ...] = ("ENOSPC", "EROFS", "EIO", "torn")
SQLITE = {"ENOSPC": sqlite3.SQLITE_FULL, "EROFS": sqlite3.SQLITE_READONLY, "EIO": sqlite3.SQLITE_IOERR}


class Disk:
    """`writes` counts: creating, writing, flushing, renaming, removing, and each statement that changes a database.
    The `fails_at`-th fails, the first being 0; on a full or read-only disk all that follow do too."""

    def __init__(self, folder: Path, fails_at: int | None = None, kind: Kind = "ENOSPC") -> None:
        self.folder, self.fails_at, self.kind = str(folder.resolve()), fails_at, kind
        self.writes = 0
        self.failed: list[str] = []

    def write(self, path: object, what: str) -> bool:
        """Whether this write, if it is one below the folder, fails."""
        if not isinstance(path, str | os.PathLike) or not str(Path(path).absolute()).startswith(self.folder):
            return False
        number, self.writes = self.writes, self.writes + 1
        lasts = self.kind in ("ENOSPC", "EROFS")
        if self.fails_at is None or number < self.fails_at or (number > self.fails_at and not lasts):
            return False
        if self.kind == "ENOSPC" and what in ("unlink", "rmdir"):
            return False  # a full disk lets go of files
        self.failed.append(f"{what} {path}")
        return True

    def refuse(self, path: object, what: str) -> None:
        if self.write(path, what):
            raise self.error(path)

    def error(self, path: object | None = None) -> OSError:
        number = errno.EIO if self.kind == "torn" else getattr(errno, self.kind)
        return OSError(number, os.strerror(number), *([] if path is None else [str(path)]))


class _File:
    """A file that was opened for writing. Errors of a write name no file, as the system's do not."""

    def __init__(self, disk: Disk, file: Any, path: object) -> None:
        self._disk, self._file, self._path = disk, file, path

    def write(self, content: Any) -> int:
        if self._disk.write(self._path, "write"):
            if self._disk.kind == "torn":
                self._file.write(content[: len(content) // 2])
                self._file.flush()
            raise self._disk.error()
        return int(self._file.write(content))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)


@contextmanager
def failing(disk: Disk) -> Iterator[Disk]:
    """Until the end of the block, this process' writes pass the disk."""
    real_open, descriptors = io.open, dict[int, object]()

    def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if isinstance(file, int) or not set(mode) & set("wxa+"):
            return real_open(file, mode, *arguments, **options)
        disk.refuse(file, "create")
        found = real_open(file, mode, *arguments, **options)
        descriptors[found.fileno()] = file
        return _File(disk, found, file)

    def checked(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(path: Any, *arguments: Any, **options: Any) -> Any:
            disk.refuse(path, name)
            return real(path, *arguments, **options)

        return call

    real_os_open, real_fsync, real_connect = os.open, os.fsync, sqlite3.connect

    def os_open(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & os.O_CREAT:
            disk.refuse(path, "create")
        return real_os_open(path, flags, *arguments, **options)

    def fsync(descriptor: int) -> None:
        disk.refuse(descriptors.get(descriptor), "fsync")
        real_fsync(descriptor)

    class Connection(sqlite3.Connection):
        def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
            self._count(statement)
            return super().execute(statement, *arguments)

        def executemany(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
            self._count(statement)
            return super().executemany(statement, *arguments)

        def _count(self, statement: str) -> None:
            if disk.write(str(Path(disk.folder) / "store"), statement.split()[0]):
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = SQLITE.get(disk.kind, sqlite3.SQLITE_IOERR)
                raise error

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return real_connect(*arguments, **options, factory=Connection)

    with pytest.MonkeyPatch.context() as patch:
        for module in (io, builtins):
            patch.setattr(module, "open", opened)
        for name in ("replace", "rename", "mkdir", "unlink", "rmdir", "truncate"):
            patch.setattr(os, name, checked(name))
        patch.setattr(os, "open", os_open)
        patch.setattr(os, "fsync", fsync)
        patch.setattr(sqlite3, "connect", connect)
        yield disk
