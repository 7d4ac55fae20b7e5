"""A run's training curves on disk: one file of JSON lines for the trunk and one for each branch."""

import json
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from scaling.json_text import NotJson, parse_json
from scaling.values import LARGEST, ValueMismatch, from_file, read_file


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

    def __post_init__(self) -> None:
        if self.tokens < 0:
            raise ValueError(f"tokens is {self.tokens}; it must be at least 0")


def segment_name(budget: int | None) -> str:
    """Of the trunk (None) or of a budget's branch."""
    return "trunk" if budget is None else f"budget-{budget}"


def curve_path(run_folder: Path, budget: int | None) -> Path:
    return run_folder / f"curve-{segment_name(budget)}.jsonl"


@dataclass(frozen=True)
class Losses:
    """Three columns of a curve, `tokens` whole numbers, a loss None where it was not taken."""

    tokens: tuple[int, ...]
    train: tuple[float | None, ...]
    validation: tuple[float | None, ...]


def read_losses(path: Path, tell: Callable[[str], None] = lambda words: None) -> Losses:
    """As `read_curve`, which it asks where a line is not as it should be: all curves of a large study have a million
    lines, and what is read of them is three columns."""
    try:
        content = read_file(path).rpartition(b"\n")[0]
    except ValueMismatch as error:
        tell(str(error))
        return Losses((), (), ())
    lines = content.splitlines()
    names = ("tokens", "train_loss_nats", "validation_loss_nats")
    if all(content.count(f'"{name}":'.encode()) == len(lines) for name in names):  # each once in a line, or a KeyError
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            rows = json.loads(b"[" + b",".join(lines) + b"]")
            tokens, train, validation = (tuple(row[name] for row in rows) for name in names)
            known = [loss for loss in (*train, *validation) if loss is not None]
            usual = {int}.issuperset(map(type, tokens)) and {float}.issuperset(map(type, known))
            in_range = min(tokens, default=0) >= 0 and max(tokens, default=0) <= LARGEST
            if len(rows) == len(lines) and usual and in_range and all(map(math.isfinite, known)):
                return Losses(tokens, train, validation)
    kept = read_curve(path, tell)
    return Losses(
        tuple(row.tokens for row in kept),
        tuple(row.train_loss_nats for row in kept),
        tuple(row.validation_loss_nats for row in kept),
    )


def read_curve(path: Path, tell: Callable[[str], None] = lambda words: None) -> list[CurveRow]:
    """Also of a run that is under way: a line that is being written has no end yet and is left out. So is one that
    cannot be read, which is told. Raises OSError."""
    rows: list[CurveRow] = []
    try:
        lines = read_file(path).rpartition(b"\n")[0].splitlines()
    except ValueMismatch as error:
        tell(str(error))
        return rows
    for number, line in enumerate(lines, start=1):
        try:
            row = from_file(CurveRow, parse_json(line), "it")
        except (NotJson, ValueMismatch) as error:
            tell(f"{path}, line {number}, cannot be read and is left out ({error})")
            continue
        rows.append(row)
    return rows
