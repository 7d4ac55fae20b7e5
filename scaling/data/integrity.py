"""Whether token files are as they were written: a flipped bit changes losses and no name.

A file is read in full and held against the digest in its manifest once a command. Where it is so large that this would
take longer than a person waits, it is read in full when its stamp (size, time of change, inode) is not that of the last
time it was, and otherwise in a few of its blocks, others in each command.
"""

import errno
import hashlib
import json
import os
import random
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

READ_IN_FULL = 1 << 28  # bytes: half a second
BLOCK = 1 << 26  # bytes
BLOCKS_READ = 4
STAMPS_FILE = ".checked.json"


@dataclass(frozen=True)
class FileDigest:
    """SHA-256 of a file, and of each of its blocks where it is too large to be read in every command."""

    sha256: str
    blocks: tuple[str, ...] = ()


def open_file(path: Path) -> BinaryIO:
    """A file to be read. Raises OSError, for a pipe too, which would keep its reader waiting."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return os.fdopen(descriptor, "rb")


def digest_of(path: Path) -> FileDigest:
    """Raises OSError."""
    whole, blocks = hashlib.sha256(), []
    with open_file(path) as file:
        while block := file.read(BLOCK):
            whole.update(block)
            blocks.append(hashlib.sha256(block).hexdigest())
    return FileDigest(whole.hexdigest(), tuple(blocks) if path.stat().st_size > READ_IN_FULL else ())


def digests_of(folder: Path, names: Iterable[str]) -> dict[str, FileDigest]:
    return {name: digest_of(folder / name) for name in names}


def damage(folder: Path, files: Mapping[str, FileDigest]) -> str | None:
    """What is not as it was written, in words; None where all is, as far as was read."""
    stamps = _read_stamps(folder)
    checked = dict(stamps)
    for name, digest in files.items():
        path = folder / name
        try:
            stamp = _stamp(path)
            if digest.blocks and stamps.get(name) == stamp:
                whole = _some_blocks_hold(path, digest.blocks)
            else:
                whole = digest_of(path).sha256 == digest.sha256
        except OSError as error:
            return f"{path} cannot be read ({error.strerror})"
        if not whole:
            return f"{path} is damaged: its SHA-256 is not the one that its manifest has"
        if digest.blocks:
            checked[name] = stamp
    if checked != stamps:
        _write_stamps(folder, checked)
    return None


def _some_blocks_hold(path: Path, blocks: tuple[str, ...]) -> bool:
    with open_file(path) as file:
        for number in random.sample(range(len(blocks)), min(BLOCKS_READ, len(blocks))):
            file.seek(number * BLOCK)
            if hashlib.sha256(file.read(BLOCK)).hexdigest() != blocks[number]:
                return False
    return True


def _stamp(path: Path) -> list[int]:
    state = path.stat()
    return [state.st_size, state.st_mtime_ns, state.st_ino]


def _read_stamps(folder: Path) -> dict[str, list[int]]:
    """None known where there is no such file, or none that can be read: then all is read in full."""
    with suppress(OSError, ValueError, RecursionError):
        with open_file(folder / STAMPS_FILE) as file:
            stamps = json.load(file)
        if isinstance(stamps, dict):
            return stamps
    return {}


def _write_stamps(folder: Path, stamps: Mapping[str, list[int]]) -> None:
    """Not where the folder is somebody else's: the next command then reads in full again."""
    with suppress(OSError):
        write_whole(folder / STAMPS_FILE, json.dumps(stamps))


def write_whole(path: Path, text: str) -> None:
    """To disk, under its name only when it is whole. Raises OSError."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
