"""Checkpoints: whole or absent, read without unpickling code, refused when they are another run's.

There are two for a run: `trunk.pt`, and `branch.pt` while a branch is under way.
"""

import io
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from scaling.training.step import TrainState
from scaling.values import write_atomically

CHECKPOINT_SCHEMA = 1


class CheckpointError(ValueError):
    """The file is truncated, foreign, or of another version; the message says which."""


@dataclass
class Progress:
    """What a run has measured so far along its path; saved with the weights.

    `curve_bytes` is how much of the segment's curve file belongs to this state; `interval_*` are the sums since
    the last logged row. `stale_evaluations` of those that were due brought no progress since `reference_loss_nats`.
    """

    seconds: float = 0.0
    best_loss_nats: float | None = None
    best_loss_tokens: int | None = None
    curve_bytes: int = 0
    interval_loss: float = 0.0
    interval_grad_norm: float = 0.0
    interval_steps: int = 0
    interval_seconds: float = 0.0
    reference_loss_nats: float | None = None
    stale_evaluations: int = 0


def save_checkpoint(path: Path, state: TrainState, progress: Progress, *, run_id: str, budget: int | None) -> None:
    """`budget` is the branch's, or None for the trunk."""
    content = {
        "schema": CHECKPOINT_SCHEMA,
        "run_id": run_id,
        "budget": budget,
        "step": state.step,
        "skipped_steps": state.skipped_steps,
        "progress": asdict(progress),
        "model": state.decoder.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "scaler": state.scaler.state_dict(),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(
    path: Path, state: TrainState, *, run_id: str, budget: int | None, device: torch.device
) -> Progress:
    """Put the file's contents into `state`. Raises CheckpointError and leaves `state` alone where it cannot."""
    buffer = io.BytesIO(path.read_bytes())
    # A checkpoint is a zip file with checksums: asked first, since torch has many answers to a broken one.
    if not zipfile.is_zipfile(buffer) or zipfile.ZipFile(buffer).testzip() is not None:
        raise CheckpointError(f"{path} is truncated or no checkpoint")
    buffer.seek(0)
    try:
        content: dict[str, Any] = torch.load(buffer, map_location=device, weights_only=True)
    except UnpicklingError as error:
        raise CheckpointError(f"{path} holds more than tensors and numbers, so it was not written here") from error
    expected = {"schema": CHECKPOINT_SCHEMA, "run_id": run_id, "budget": budget}
    for key, value in expected.items():
        found = content.get(key) if isinstance(content, dict) else None
        if found != value:
            raise CheckpointError(f"{path} has {key} {found!r}, and {value!r} is wanted")
    state.decoder.load_state_dict(content["model"])
    state.optimizer.load_state_dict(content["optimizer"])
    state.scaler.load_state_dict(content["scaler"])
    state.step, state.skipped_steps = content["step"], content["skipped_steps"]
    return Progress(**content["progress"])
