"""The training curve of one segment (the trunk or a branch): JSON lines for code, TensorBoard for eyes."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

if TYPE_CHECKING:
    from torch.utils import tensorboard as torch_tensorboard


@dataclass(frozen=True)
class CurveRow:
    """Means over the steps since the last row; `tokens` since the run began. `validation_loss_nats` where taken."""

    tokens: int
    train_loss_nats: float | None
    learning_rate: float
    grad_norm: float | None
    tokens_per_second: float | None
    validation_loss_nats: float | None = None


def segment_name(budget: int | None) -> str:
    return "trunk" if budget is None else f"budget-{budget}"


def curve_path(run_folder: Path, budget: int | None) -> Path:
    return run_folder / f"curve-{segment_name(budget)}.jsonl"


def read_curve(path: Path) -> list[CurveRow]:
    return [CurveRow(**json.loads(line)) for line in path.read_text().splitlines()]


class CurveWriter:
    """Appends rows after cutting the file to `keep_bytes`: what a killed process wrote past its checkpoint goes."""

    def __init__(
        self, run_folder: Path, budget: int | None, *, keep_bytes: int, tokens: int, tensorboard: bool
    ) -> None:
        path = curve_path(run_folder, budget)
        path.touch()
        os.truncate(path, min(keep_bytes, path.stat().st_size))
        self._file: BinaryIO = path.open("ab")
        self._events: torch_tensorboard.SummaryWriter | None = None
        if tensorboard:
            # Imported late: it takes longer than a small run's first steps.
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(str(run_folder / segment_name(budget)), purge_step=tokens + 1)

    def write(self, row: CurveRow) -> int:
        """Returns the file's size in bytes, which a checkpoint keeps."""
        self._file.write((json.dumps(asdict(row)) + "\n").encode())
        self._file.flush()
        if self._events is not None:
            scalars = {
                "loss/train": row.train_loss_nats,
                "loss/validation": row.validation_loss_nats,
                "optimizer/learning_rate": row.learning_rate,
                "optimizer/grad_norm": row.grad_norm,
                "speed/tokens_per_second": row.tokens_per_second,
            }
            for tag, value in scalars.items():
                if value is not None:
                    self._events.add_scalar(tag, value, row.tokens)
        return self._file.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._events is not None:
            self._events.close()
