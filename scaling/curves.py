"""A run's training curves on disk: one file of JSON lines for the trunk and one for each branch."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CurveRow:
    """Means over the steps since the last row; `tokens` since the run began. `validation_loss_nats` where taken.

    `mfu` is the share of the devices' measured matrix-product peak; `power_watts` None where nothing counts it.
    """

    tokens: int
    train_loss_nats: float | None
    learning_rate: float
    grad_norm: float | None
    tokens_per_second: float | None
    validation_loss_nats: float | None = None
    mfu: float | None = None
    power_watts: float | None = None
    peak_memory_bytes: int | None = None


def segment_name(budget: int | None) -> str:
    """Of the trunk (None) or of a budget's branch."""
    return "trunk" if budget is None else f"budget-{budget}"


def curve_path(run_folder: Path, budget: int | None) -> Path:
    return run_folder / f"curve-{segment_name(budget)}.jsonl"


def read_curve(path: Path) -> list[CurveRow]:
    """Also of a run that is under way: a line that is being written has no end yet and is left out."""
    whole_lines = path.read_text().rpartition("\n")[0]
    return [CurveRow(**json.loads(line)) for line in whole_lines.splitlines()]
