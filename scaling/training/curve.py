"""Writes the curve of one segment (the trunk or a branch): JSON lines for code, TensorBoard for eyes."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Self

from scaling.curves import CurveRow, curve_path, segment_name
from scaling.folders import below
from scaling.values import finite_or_null, open_to_append

if TYPE_CHECKING:
    from torch.utils import tensorboard as torch_tensorboard


class CurveWriter:
    """Appends rows after cutting the file to `keep_bytes`: what a killed process wrote past its checkpoint goes."""

    def __init__(
        self, run_folder: Path, budget: int | None, *, keep_bytes: int, tokens: int, event_tokens: int | None
    ) -> None:
        """`tokens` are those of the checkpoint. TensorBoard gets the first row past each multiple of `event_tokens`,
        and each with a validation loss; nothing with None."""
        self._path = curve_path(run_folder, budget)
        self._file = open_to_append(self._path)
        self._file.truncate(min(keep_bytes, self._file.tell()))
        self._file.seek(0, os.SEEK_END)
        self._events: torch_tensorboard.SummaryWriter | None = None
        self._events_folder = below(run_folder, f"{segment_name(budget)}/events").parent
        self._event_tokens, self._tokens, self._kept_tokens = event_tokens, tokens, tokens

    def write(self, row: CurveRow) -> int:
        """Returns the file's size in bytes, which a checkpoint keeps."""
        try:
            self._file.write((json.dumps(finite_or_null(asdict(row))) + "\n").encode())
            self._file.flush()
        except OSError as error:
            error.filename = str(self._path)
            raise
        if self._event_tokens is None:
            return self._file.tell()
        due = row.tokens // self._event_tokens > self._tokens // self._event_tokens
        self._tokens = row.tokens
        if due or row.validation_loss_nats is not None:
            scalars = {
                "loss/train": row.train_loss_nats,
                "loss/validation": row.validation_loss_nats,
                "optimizer/learning_rate": row.learning_rate,
                "optimizer/grad_norm": row.grad_norm,
                "speed/tokens_per_second": row.tokens_per_second,
                "speed/mfu": row.mfu,
                "device/power_watts": row.power_watts,
                "device/peak_memory_bytes": row.peak_memory_bytes,
            }
            for tag, value in scalars.items():
                if value is not None:
                    self._event_file().add_scalar(tag, value, row.tokens)
        return self._file.tell()

    def _event_file(self) -> "torch_tensorboard.SummaryWriter":
        """Opened with the first event: its import takes longer than a small run's first steps."""
        if self._events is None:
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(str(self._events_folder), purge_step=self._kept_tokens + 1)
        return self._events

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._events is not None:
            self._events.close()
