"""What a sink is told of a point that has ended, from its plan, record and curves."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

from scaling.curves import CurveRow, curve_path, read_curve
from scaling.records import RunRecord
from scaling.specs import RunSpec

RESULTS = (
    "final_loss_nats", "best_loss_nats", "loss_sem_nats", "bits_per_byte", "perplexity", "word_perplexity", "seconds",
    "tokens_per_second", "mfu", "peak_memory_bytes", "energy_joules",
)  # fmt: skip


@dataclass(frozen=True)
class FinishedPoint:
    """`id` is unique in the study and the same in every attempt; `curve` has strictly rising tokens."""

    study: str
    id: str
    size: str
    done: bool
    settings: Mapping[str, str | float]
    results: Mapping[str, str | float]
    curve: tuple[tuple[int, Mapping[str, float]], ...]


class SinkError(Exception):
    """The service could not be had, or did not take what it was given; the message is its own."""


class Sink(Protocol):
    """Somewhere else that runs are kept."""

    def send(self, point: FinishedPoint) -> None:
        """Sent again, a point replaces what an interrupted attempt left. Raises SinkError."""
        ...


def point_id(record: RunRecord) -> str:
    return f"{record.run_id}-{record.budget_tokens}"


def finished_point(study: str, spec: RunSpec, record: RunRecord, run_folder: Path) -> FinishedPoint:
    results: dict[str, str | float] = {"status": record.status}
    if record.reason is not None:
        results["reason"] = record.reason
    results |= {name: value for name in RESULTS if (value := getattr(record, name)) is not None}
    return FinishedPoint(
        study=study,
        id=point_id(record),
        size=record.size,
        done=record.status == "done",
        settings=settings_of(spec, record),
        results=results,
        curve=tuple((row.tokens, numbers_of(row)) for row in own_curve(spec, record, run_folder)),
    )


def settings_of(spec: RunSpec, record: RunRecord) -> dict[str, str | float]:
    """What was asked of the point."""
    return {
        "size": record.size,
        "params": record.params.total,
        "non_embedding_params": record.params.non_embedding,
        "tokens": record.tokens,
        "flops": record.flops,
        **shape_of(spec),
        "batch_tokens": spec.optimizer.batch_tokens,
        "matrix_lr": spec.optimizer.matrix_lr,
        "embedding_lr": spec.optimizer.embedding_lr,
        "schedule": spec.schedule.kind,
        "init_seed": record.init_seed,
        "data_seed": record.data_seed,
        "corpus": spec.corpus,
        "run": record.run_id,
    }


def shape_of(spec: RunSpec) -> dict[str, str | float]:
    external = spec.model.external
    if external is None:
        return {"num_layers": spec.model.num_layers, "d_model": spec.model.d_model}
    return {f"size.{key}": value for key, value in external.size.items()}


def own_curve(spec: RunSpec, record: RunRecord, run_folder: Path) -> list[CurveRow]:
    """The trunk up to the point's branch, then the branch; rows of later budgets are left out."""
    leaves = spec.cooldown_start(record.budget_tokens) * spec.optimizer.batch_tokens
    rows: list[CurveRow] = []
    for segment, least, most in ((None, 0, leaves), (record.budget_tokens, leaves, record.budget_tokens)):
        path = curve_path(run_folder, segment)
        if path.exists():
            rows += [row for row in read_curve(path) if least < row.tokens <= most]
    return sorted({row.tokens: row for row in rows}.values(), key=lambda row: row.tokens)


def numbers_of(row: CurveRow) -> dict[str, float]:
    given = {field.name: getattr(row, field.name) for field in fields(row) if field.name != "tokens"}
    return {name: float(value) for name, value in given.items() if value is not None}
