"""A folder that is ours to write in, a study's or a table's: whether it is ours, what in it is, and who writes it now.

<folder>/.scaling-sweep.json   what made the folder, and which files a later report may remove, with their digests
        .study.lock            held (flock) by whoever changes files of the folder
"""

import errno
import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from filelock import FileLock, Timeout

from scaling.values import (
    ValueMismatch,
    left_overs,
    read_json,
    read_plain,
    remove_left_overs,
    write_atomically,
    write_json,
)

MARK_FILE, STUDY_LOCK = ".scaling-sweep.json", ".study.lock"
MARK_SCHEMA = 1
SECONDS_BEFORE_A_WORD = 10.0

# What folders have that were made before they were marked: a file of ours, or a JSON file with keys of ours.
OUR_FILES = ("tune.db",)
OUR_KEYS = {"plan.json": {"study", "runs", "points"}, "fits.json": {"schema", "fits"}}

RUN_NAME = re.compile(r".+-[a-z]+-s\d+-[0-9a-f]{10}")  # as `RunSpec.id` makes it

Kind = Literal["study", "table"]


class FolderError(ValueError):
    """A folder or a file in it that is not ours to write; the message gives it, the constraint and the remedy."""


@dataclass(frozen=True)
class Mark:
    """`written` has the files that a report made and a later one may remove: SHA-256 by name below the folder."""

    schema: int
    kind: Kind
    written: dict[str, str] = field(default_factory=dict)


def require_ours(folder: Path, kind: Kind, *, key: str, overwrite: bool = False) -> None:
    """Raise FolderError where the folder is a file, or holds what no command of ours made; with `overwrite` it is taken
    all the same, and files whose names are ours are written over. `key` is what the user calls it by. Writes nothing.
    """
    there = _nearest(folder)
    if not there.is_dir():
        raise FolderError(f"{key} is {folder}, and {there} is a file: name another folder")
    whose = kind_of(folder)
    if not overwrite and whose is not None and whose != kind:
        what = "a study, whose own report would be lost" if whose == "study" else "the report on a table"
        raise FolderError(f"{key} is {folder}, which holds {what}: name another folder, or say overwrite=true")
    if not overwrite and whose is None and (found := _strangers(folder)):
        raise FolderError(
            f"{key} is {folder}, which holds {found[0]} and was not made by this program: name another folder, or say "
            "overwrite=true, which writes over files of the same names and removes none"
        )


def require_writable(folder: Path) -> None:
    """Raise OSError, before hours are spent, where a folder can be neither written nor made."""
    there = _nearest(folder)
    if not os.access(there, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(there))


def _nearest(folder: Path) -> Path:
    """The folder, or what is there of its parents."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def take(folder: Path, kind: Kind, *, key: str, overwrite: bool = False) -> None:
    """Make the folder, if need be, and mark it as ours before anything is written into it. Raises FolderError as
    `require_ours`, and OSError."""
    require_ours(folder, kind, key=key, overwrite=overwrite)
    folder.mkdir(parents=True, exist_ok=True)
    with study_lock(folder):
        remove_left_overs(folder)
        mark = read_mark(folder)
        if mark is None or mark.kind != kind:
            write_json(folder / MARK_FILE, Mark(MARK_SCHEMA, kind, {} if mark is None else mark.written))


def kind_of(folder: Path) -> Kind | None:
    """Of which kind a folder of ours is; None where it is not ours, or not there."""
    mark = read_mark(folder)
    if mark is not None:
        return mark.kind
    if _has_keys(folder, "plan.json") or any((folder / name).is_file() for name in OUR_FILES):
        return "study"
    return "table" if _has_keys(folder, "fits.json") else None


def read_mark(folder: Path) -> Mark | None:
    """None where there is none, or none that can be read: then nothing is known to be ours, and nothing is removed."""
    with suppress(FileNotFoundError, NotADirectoryError, ValueMismatch):
        mark = read_json(Mark, folder / MARK_FILE)
        return mark if mark.schema == MARK_SCHEMA else None
    return None


def _has_keys(folder: Path, name: str) -> bool:
    with suppress(FileNotFoundError, NotADirectoryError, ValueMismatch):
        plain = read_plain(folder / name)
        return isinstance(plain, dict) and plain.keys() >= OUR_KEYS[name]
    return False


def _strangers(folder: Path) -> list[str]:
    """What is in a folder that nothing of ours accounts for, by name; of one that is not there, nothing. The folders of
    runs are ours by their names."""
    if not folder.is_dir():
        return []
    ours = {folder / MARK_FILE, folder / STUDY_LOCK, *left_overs(folder)}
    return sorted(path.name for path in folder.iterdir() if path not in ours and not RUN_NAME.fullmatch(path.name))


@contextmanager
def study_lock(folder: Path) -> Iterator[None]:
    """Of several commands that change this folder's own files, one at a time: plan, jobs, ledger, store, report.

    For the moment of reading, merging and writing, never for an analysis. A killed process lets go of it; this one may
    hold it already. Who waits for long is told for whom. Raises OSError where the folder cannot be written.
    """
    lock = FileLock(folder / STUDY_LOCK, is_singleton=True)
    try:
        lock.acquire(timeout=SECONDS_BEFORE_A_WORD)
    except Timeout:
        print(f"waiting for another command that writes {folder}", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def replace_files(folder: Path, group: str, files: Mapping[str, bytes], *, flush: bool = True) -> None:
    """Write all files of a group, `<group>/...` below a folder of ours, and remove those of its earlier members that
    are as we wrote them. Whatever else is there stays.

    Held by the folder's lock. Raises OSError, and FolderError for a name that leads out of the folder.
    """
    with study_lock(folder):
        mark = read_mark(folder) or Mark(MARK_SCHEMA, kind_of(folder) or "study")
        before = {name: digest for name, digest in mark.written.items() if name.startswith(f"{group}/")}
        others = {name: digest for name, digest in mark.written.items() if name not in before}
        now = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        if now != before:
            # Listed before it is written: what a kill leaves behind is known to be ours.
            write_json(folder / MARK_FILE, replace(mark, written=others | before | now))
        paths = {name: below(folder, name) for name in files}
        for parent in {path.parent for path in paths.values()}:
            parent.mkdir(parents=True, exist_ok=True)
            remove_left_overs(parent)
        for name, content in files.items():
            if not (paths[name].is_file() and _is(paths[name], content)):
                write_atomically(paths[name], content, flush=flush, name="pending")
        for name in before.keys() - now.keys():
            _remove(folder, name, before[name])
        if now != before:
            write_json(folder / MARK_FILE, replace(mark, written=others | now))


def _remove(folder: Path, name: str, digest: str) -> None:
    """A file that is as we wrote it, and the folders that it leaves empty."""
    try:
        path = below(folder, name)
    except FolderError:
        return  # a list that somebody else made
    if path.is_file() and not path.is_symlink() and _digest(path) == digest:
        path.unlink()
        for parent in path.parents:
            if parent == folder or any(parent.iterdir()):
                break
            parent.rmdir()


def _is(path: Path, content: bytes) -> bool:
    return path.stat().st_size == len(content) and path.read_bytes() == content


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_no_link(path: Path) -> None:
    """Raise FolderError for a link in the place of a file that would be changed where it lies."""
    if path.is_symlink():
        raise FolderError(f"{path} is a link, and what it leads to may be somebody else's: remove it")


def below(folder: Path, name: str) -> Path:
    """`folder`/`name`, which a file of the study gives. Raises FolderError where that is not below the folder, be it
    by its dots or by a link on the way."""
    parts = PurePosixPath(name).parts
    path = folder.joinpath(*parts)
    if not parts or PurePosixPath(name).is_absolute() or ".." in parts or not _within(folder, path.parent):
        raise FolderError(f"{name} leads out of {folder}: it is a link, or the file that names it is not to be trusted")
    return path


def _within(folder: Path, path: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


LONGEST_PATH = 1_000  # in a message
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}


def storage_words(error: OSError) -> str:
    """What the system refused, what is safe, what to do: of an error in reading or writing a file."""
    what = str(error.filename or "a file")
    what = what if len(what) <= LONGEST_PATH else f"{what[:LONGEST_PATH]}... ({len(what):,} letters)"
    said = error.strerror or str(error) or type(error).__name__
    if error.errno in FULL:
        verb, remedy = "written", "free some space on its disk"
    elif error.errno in CLOSED:
        verb = "written" if error.errno == errno.EROFS else "written or read"
        remedy = "see to its permissions, or name a place where you may write with runs=, out= or cache="
    elif error.errno == errno.EBUSY:
        verb, remedy = "written", "close the program that holds it"
    elif error.errno == errno.ENAMETOOLONG:
        verb, remedy = "written or read", "shorten study=, or the path of runs= or out="
    else:
        verb, remedy = "written or read", "see that it is there and whole, or name another place with runs= or out="
    return (
        f"{what} cannot be {verb} ({said}). Nothing is half-written: files are as they were before or whole, and what "
        f"was measured stays. To go on, {remedy}, and run the same command again"
    )
