"""The table of a study's points: every planned one, measured, failed, or not there yet."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from scaling.records import RunRecord
from scaling.report.document import Column, Table, listed
from scaling.report.numbers import MISSING, amount, duration, nats, percent, scientific, significant
from scaling.report.reading import roles, sizes
from scaling.results import StudyReport
from scaling.specs import PlannedPoint, RunSpec


@dataclass(frozen=True)
class Point:
    """What was asked and what came: a planned point has a plan, a measured one a record."""

    spec: RunSpec | None
    planned: PlannedPoint | None
    record: RunRecord | None
    use: str

    @property
    def name(self) -> PlannedPoint | RunRecord:
        known = self.record or self.planned
        assert known is not None
        return known


@dataclass(frozen=True)
class Quantity:
    """A numeric column: its value, None where there is none, and how it is written."""

    heading: str
    value: Callable[[Point], float | None]
    form: Callable[[float], str]


def _of_record(name: str, point: Point) -> float | None:
    return None if point.record is None else getattr(point.record, name)


def _of_spec(name: str, point: Point) -> float | None:
    return None if point.spec is None else getattr(point.spec.optimizer, name)


def _params(point: Point) -> float:
    if point.record is not None:
        return point.record.params.total
    assert point.planned is not None
    return point.planned.params


def _non_embedding(point: Point) -> float:
    if point.record is not None:
        return point.record.params.non_embedding
    assert point.planned is not None
    return point.planned.non_embedding_params


def _measured_or_planned(name: str, point: Point) -> float | None:
    """None for epochs that were planned while the corpus was not prepared."""
    value = getattr(point.name, name)
    return None if value is None else float(value)


def _memory(size: float) -> str:
    return f"{significant(size / 2**20)} MiB"


QUANTITIES = (
    Quantity("Seed", partial(_measured_or_planned, "init_seed"), lambda seed: f"{seed:.0f}"),
    Quantity("N", _params, amount),
    Quantity("N without embeddings", _non_embedding, amount),
    Quantity("D", partial(_measured_or_planned, "tokens"), amount),
    Quantity("C (FLOPs)", partial(_measured_or_planned, "flops"), scientific),
    Quantity("Epochs", partial(_measured_or_planned, "epochs"), partial(significant, digits=2)),
    Quantity("Loss (nats/token)", partial(_of_record, "final_loss_nats"), nats),
    Quantity("± s.e.", partial(_of_record, "loss_sem_nats"), nats),
    Quantity("Bits/byte", partial(_of_record, "bits_per_byte"), nats),
    Quantity("Perplexity", partial(_of_record, "perplexity"), significant),
    Quantity("Peak LR", partial(_of_spec, "matrix_lr"), partial(significant, digits=2)),
    Quantity("Batch (tokens)", partial(_of_spec, "batch_tokens"), amount),
    Quantity("Time", partial(_of_record, "seconds"), duration),
    Quantity("Tokens/s", partial(_of_record, "tokens_per_second"), amount),
    Quantity("MFU", partial(_of_record, "mfu"), partial(percent, digits=1)),
    Quantity("Peak memory", partial(_of_record, "peak_memory_bytes"), _memory),
    Quantity("Energy (J)", partial(_of_record, "energy_joules"), significant),
)
IF_MEASURED = frozenset({"MFU", "Energy (J)"})  # a column of dashes says nothing
BEFORE, AFTER = ("Size",), ("Use", "Status", "Run")


def points_table(report: StudyReport) -> Table:
    """Every planned point, by size and tokens."""
    points = _points(report)
    shown = [
        quantity
        for quantity in QUANTITIES
        if quantity.heading not in IF_MEASURED or any(quantity.value(point) is not None for point in points)
    ]
    points, sampled = listed(points, "points.csv")
    values = [[quantity.value(point) for quantity in shown] for point in points]
    rows = tuple(
        (
            point.name.size,
            *(MISSING if v is None else q.form(v) for q, v in zip(shown, own, strict=True)),
            point.use,
            _status(point.record),
            point.name.run_id,
        )
        for point, own in zip(points, values, strict=True)
    )
    return Table(
        "points",
        "Points",
        f"Every point of the plan, by size and tokens. Loss with its standard error over validation windows.{sampled}",
        (
            *(Column(heading, numeric=False) for heading in BEFORE),
            *(Column(quantity.heading) for quantity in shown),
            *(Column(heading, numeric=False) for heading in AFTER),
        ),
        rows,
        tuple((None, *own, None, None, None) for own in values),
    )


def _points(report: StudyReport) -> list[Point]:
    known = roles(report)
    records = {(r.run_id, r.budget_tokens): r for r in report.records}
    planned = {(p.run_id, p.tokens): p for p in report.plan.points}
    rank = {size: i for i, size in enumerate(sizes(report))}
    points = []
    for key in {**planned, **records}:
        plan, record = planned.get(key), records.get(key)
        spec = report.plan.by_id.get(key[0])
        if record is not None:
            use = known.get(key, "not used")
        else:
            use = "held out" if plan is not None and plan.held_out else "to be fitted"
        points.append(Point(spec, plan, record, use))
    points.sort(key=lambda point: (rank[point.name.size], _budget(point), point.name.init_seed))
    return points


def _budget(point: Point) -> int:
    if point.planned is not None:
        return point.planned.tokens
    assert point.record is not None
    return point.record.budget_tokens


def _status(record: RunRecord | None) -> str:
    if record is None:
        return "not measured yet"
    return "done" if record.status == "done" else f"{record.status.replace('_', ' ')}: {record.reason}"
