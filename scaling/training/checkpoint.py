"""Checkpoints: whole or absent, read without unpickling code, refused when they are another run's.

There are two for a run: `trunk.pt`, and `branch.pt` while a branch is under way; each keeps the one before it as
`*.previous.pt`. A file is what `torch.save` writes and the SHA-256 of it, so `torch.load` opens it too. Its tensors
are whole, on the CPU's side of any sharding: the same file whatever the number of processes.

No random state is in it: data are a function of the step, and dropout, the only thing that draws, is seeded by it.
"""

import hashlib
import itertools
import os
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, Any

import torch

from scaling.training.parallel import load_whole
from scaling.training.progress import Progress
from scaling.training.step import TrainState
from scaling.values import ValueMismatch, from_plain, open_file, write_atomically

CHECKPOINT_SCHEMA = 2
DIGEST_BYTES = hashlib.sha256().digest_size
BYTES_AT_A_TIME = 1 << 24
CONTENTS = ("step", "progress", "model", "optimizer", "scaler")


class CheckpointError(ValueError):
    """The file is truncated, damaged, foreign, or of another version; the message says which."""


class OtherPrecision(ValueError):
    """The run was begun in another precision: its loss would be of two, and its record would tell of one."""


def previous(path: Path) -> Path:
    return path.with_suffix(".previous.pt")


def remove_checkpoints(path: Path) -> None:
    for file in (path, previous(path)):
        if not file.is_dir():
            file.unlink(missing_ok=True)


class _Digesting:
    """A file that `torch.save` writes to, with the SHA-256 of what went into it: the state is never whole in memory a
    second time."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest = file, hashlib.sha256()
        self.failed: OSError | None = None

    def write(self, part: bytes) -> int:
        self.digest.update(part)
        try:
            return self._file.write(part)
        except OSError as error:
            self.failed = error
            raise

    def flush(self) -> None:
        self._file.flush()


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Whole or not at all, with the one before it kept."""
    for place in (path, previous(path)):
        if place.is_dir():  # nobody's checkpoint, and not ours to remove
            place.rename(_unused(place))
    if path.exists():
        path.replace(previous(path))

    def write(file: IO[bytes]) -> None:
        digesting = _Digesting(file)
        try:
            torch.save(content, digesting)  # type: ignore[arg-type]  # it writes and flushes, all that is asked
        except RuntimeError:  # of its archive's end, which is not where it should be: it hides why
            if digesting.failed is None:
                raise
            raise digesting.failed from None
        file.write(digesting.digest.digest())

    write_atomically(path, write)


def _unused(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.{i}.moved") for i in itertools.count(1))
    return next(name for name in names if not name.exists())


def read_checkpoint(path: Path, *, run_id: str, budget: int | None, lazily: bool = False) -> dict[str, Any]:
    """The file's contents, its tensors on the CPU; `lazily` maps them, so that each is read when it is used and none
    lies in memory whole. Raises CheckpointError."""
    try:
        file = open_file(path)
    except ValueMismatch:
        raise CheckpointError(f"{path} is no file") from None
    with file:
        digest, payload = hashlib.sha256(), os.fstat(file.fileno()).st_size - DIGEST_BYTES
        left = payload
        while left > 0 and (part := file.read(min(left, BYTES_AT_A_TIME))):
            digest.update(part)
            left -= len(part)
        if payload <= 0 or left or file.read() != digest.digest():
            raise CheckpointError(f"{path} is truncated, damaged or no checkpoint of this version")
        file.seek(0)
        try:
            content = torch.load(path if lazily else file, map_location="cpu", weights_only=True, mmap=lazily)
        except UnpicklingError as error:
            raise CheckpointError(f"{path} holds more than tensors and numbers, so it was not written here") from error
        except (EOFError, RuntimeError, ValueError, KeyError) as error:  # as torch words it for what is no such file
            raise CheckpointError(f"{path} is no checkpoint ({error})") from error
    expected = {"schema": CHECKPOINT_SCHEMA, "run_id": run_id, "budget": budget}
    for key, value in expected.items():
        found = content.get(key) if isinstance(content, dict) else None
        if found != value:
            raise CheckpointError(f"{path} has {key} {found!r}, and {value!r} is wanted")
    lacking = [key for key in CONTENTS if key not in content]
    if lacking:
        raise CheckpointError(f"{path} lacks {', '.join(lacking)}")
    return dict(content)


def restore(content: dict[str, Any], state: TrainState, precision: str) -> Progress:
    """Put a checkpoint's contents into `state`; all ranks do. Raises OtherPrecision."""
    begun_in = content.get("precision", precision)  # files of version 0.2 do not tell
    if begun_in != precision:
        raise OtherPrecision(
            f"the run was trained in {begun_in} so far and this process would go on in {precision}: set "
            f"runtime.precision={begun_in}, or delete the run's folder to train it anew"
        )
    load_whole(state.decoder, state.optimizer, content["model"], content["optimizer"])
    state.scaler.load_state_dict(content["scaler"])
    state.step = content["step"]
    return from_plain(Progress, content["progress"], "progress")
