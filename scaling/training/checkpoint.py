"""Checkpoints: whole or absent, read without unpickling code, refused when they are another run's.

There are two for a run: `trunk.pt`, and `branch.pt` while a branch is under way; each keeps the one before it as
`*.previous.pt`. A file is what `torch.save` writes and the SHA-256 of it, so `torch.load` opens it too. Its tensors
are whole, on the CPU's side of any sharding: the same file whatever the number of processes.

No random state is in it: data are a function of the step, and dropout, the only thing that draws, is seeded by it.
"""

import hashlib
import io
import itertools
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from scaling.training.parallel import load_whole, whole
from scaling.training.progress import Progress
from scaling.training.step import TrainState
from scaling.training.team import Team
from scaling.values import ValueMismatch, from_plain, read_file, to_plain, write_atomically

CHECKPOINT_SCHEMA = 2
DIGEST_BYTES = hashlib.sha256().digest_size
CONTENTS = ("step", "progress", "model", "optimizer", "scaler")


class CheckpointError(ValueError):
    """The file is truncated, damaged, foreign, or of another version; the message says which."""


def previous(path: Path) -> Path:
    return path.with_suffix(".previous.pt")


def remove_checkpoints(path: Path) -> None:
    for file in (path, previous(path)):
        if not file.is_dir():
            file.unlink(missing_ok=True)


def save_checkpoint(
    path: Path, state: TrainState, progress: Progress, *, run_id: str, budget: int | None, team: Team
) -> None:
    """`budget` is the branch's, or None for the trunk. All ranks call it and the leader writes."""
    content = {
        "schema": CHECKPOINT_SCHEMA,
        "run_id": run_id,
        "budget": budget,
        "step": state.step,
        "progress": to_plain(progress),
        "model": whole(state.decoder.state_dict()),
        "optimizer": whole(state.optimizer.state_dict()),
        "scaler": state.scaler.state_dict(),
    }
    if not team.leads:
        return
    buffer = io.BytesIO()
    torch.save(content, buffer)
    payload = buffer.getvalue()
    for place in (path, previous(path)):
        if place.is_dir():  # nobody's checkpoint, and not ours to remove
            place.rename(_unused(place))
    if path.exists():
        path.replace(previous(path))
    write_atomically(path, payload + hashlib.sha256(payload).digest())


def _unused(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.{i}.moved") for i in itertools.count(1))
    return next(name for name in names if not name.exists())


def read_checkpoint(path: Path, *, run_id: str, budget: int | None, device: torch.device) -> dict[str, Any]:
    """The file's contents. Raises CheckpointError."""
    try:
        file = read_file(path)
    except ValueMismatch:
        raise CheckpointError(f"{path} is no file") from None
    payload, digest = file[:-DIGEST_BYTES], file[-DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != digest:
        raise CheckpointError(f"{path} is truncated, damaged or no checkpoint of this version")
    try:
        content = torch.load(io.BytesIO(payload), map_location=device, weights_only=True)
    except UnpicklingError as error:
        raise CheckpointError(f"{path} holds more than tensors and numbers, so it was not written here") from error
    except (EOFError, RuntimeError, ValueError, KeyError) as error:  # as torch.load words it for what is no such file
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


def restore(content: dict[str, Any], state: TrainState) -> Progress:
    """Put a checkpoint's contents into `state`; all ranks do."""
    load_whole(state.decoder, state.optimizer, content["model"], content["optimizer"])
    state.scaler.load_state_dict(content["scaler"])
    state.step = content["step"]
    return from_plain(Progress, content["progress"], "progress")
