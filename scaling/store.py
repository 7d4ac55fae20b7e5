"""A study's database: one SQLite file, written by one process from the run folders, rebuilt from them at any time.

Specs and points are a mirror of the folders: deleting the file loses nothing of them. Forecasts are the ledger:
what was predicted before a point was measured, with the hash of the data it came from; they are mirrored in
`forecasts.jsonl` beside the database so that a rebuild keeps them too.
"""

import csv
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scaling.records import RunRecord
from scaling.specs import Plan
from scaling.values import from_plain, to_plain, write_atomically

STORE_FILE = "store.sqlite"
LEDGER_FILE = "forecasts.jsonl"
SELECTED = "selected"  # law of the ledger's headline entries: the selected forecast, an average over forms


@dataclass(frozen=True)
class Exclusion:
    """A measured or planned row that no fit may use, and why."""

    run_id: str
    tokens: int
    reason: str


@dataclass(frozen=True)
class Forecast:
    """A loss predicted before its point was measured. `low` and `high` hold it with probability `level`.

    `data_hash` names the rows behind the prediction; `measured` is None until the point is there.
    """

    run_id: str
    size: str
    tokens: int
    law: str
    predicted: float
    low: float
    high: float
    level: float
    method: str
    data_hash: str
    made_at: str
    measured: float | None = None

    @property
    def relative_error(self) -> float | None:
        """Predicted over measured, less one."""
        return None if self.measured is None else self.predicted / self.measured - 1.0

    @property
    def covered(self) -> bool | None:
        return None if self.measured is None else self.low <= self.measured <= self.high


# One row a point; names are those of the CSV and Parquet exports.
POINT_COLUMNS = (
    "run_id", "size", "init_seed", "data_seed", "budget_tokens", "held_out", "replicate", "nominal_tokens",
    "nominal_flops", "status", "reason", "params", "non_embedding_params", "tokens", "steps", "unique_tokens",
    "epochs", "flops", "flops_kaplan", "flops_chinchilla", "final_loss_nats", "best_loss_nats", "best_loss_tokens",
    "loss_sem_nats", "bits_per_byte", "perplexity", "word_perplexity", "batch_tokens", "matrix_lr", "warmup_steps",
    "skipped_steps", "seconds", "tokens_per_second", "mfu", "energy_joules", "peak_memory_bytes", "device", "precision",
    "micro_batch_tokens", "processes", "parallel", "torch", "git_commit", "corpus", "tokenizer", "finished_at",
)  # fmt: skip

# A further validation set has these columns, each with the set's name before it.
SET_COLUMNS = ("loss_nats", "loss_sem_nats", "bits_per_byte", "word_perplexity")

SCHEMA = """
create table if not exists specs (run_id text primary key, size text, spec text);
create table if not exists exclusions (run_id text, tokens integer, reason text, primary key (run_id, tokens));
create table if not exists fits (fits text);
create table if not exists forecasts (run_id text, tokens integer, law text, forecast text,
                                      primary key (run_id, tokens, law));
"""


@contextmanager
def open_store(folder: Path) -> Iterator[sqlite3.Connection]:
    """The study's database, made if absent; a file that SQLite cannot read is moved aside and made anew."""
    path = folder / STORE_FILE
    connection = sqlite3.connect(path)
    try:
        try:
            connection.executescript(SCHEMA)
        except sqlite3.DatabaseError:
            connection.close()
            path.replace(path.with_suffix(".corrupt"))
            connection = sqlite3.connect(path)
            connection.executescript(SCHEMA)
        with connection:
            yield connection
    finally:
        connection.close()


def point_row(plan: Plan, record: RunRecord) -> dict[str, Any]:
    """A record beside what was planned for it, by `POINT_COLUMNS`."""
    spec = plan.by_id[record.run_id]
    planned = {(p.run_id, p.tokens): p for p in plan.points}[record.run_id, record.budget_tokens]
    known = {
        **{name: getattr(record, name) for name in POINT_COLUMNS if hasattr(record, name)},
        **{name: getattr(record.provenance, name) for name in POINT_COLUMNS if hasattr(record.provenance, name)},
        "held_out": planned.held_out,
        "replicate": planned.replicate,
        "nominal_tokens": planned.nominal_tokens,
        "nominal_flops": planned.nominal_flops,
        "params": record.params.total,
        "non_embedding_params": record.params.non_embedding,
        "batch_tokens": spec.optimizer.batch_tokens,
        "matrix_lr": spec.optimizer.matrix_lr,
        "warmup_steps": spec.schedule.warmup_steps,
    }
    sets = {
        f"{name}_{column}": getattr(loss, column)
        for name, loss in record.validation_sets.items()
        for column in SET_COLUMNS
    }
    return {name: known[name] for name in POINT_COLUMNS} | sets


def set_columns(records: Iterable[RunRecord]) -> tuple[str, ...]:
    """The columns of all further validation sets that some record has."""
    names = dict.fromkeys(name for record in records for name in record.validation_sets)
    return tuple(f"{name}_{column}" for name in names for column in SET_COLUMNS)


def save_study(
    folder: Path, plan: Plan, records: Iterable[RunRecord], exclusions: Iterable[Exclusion]
) -> list[dict[str, Any]]:
    """Mirror the run folders into the database and return the point rows. Idempotent."""
    records = list(records)
    columns = (*POINT_COLUMNS, *set_columns(records))
    rows = [dict.fromkeys(columns) | point_row(plan, record) for record in records]
    with open_store(folder) as store:
        store.execute("drop table if exists points")
        names = ", ".join(f'"{column}"' for column in columns)
        store.execute(f"create table points ({names}, primary key (run_id, budget_tokens))")
        for table in ("specs", "exclusions"):
            store.execute(f"delete from {table}")
        store.executemany(
            "insert into specs values (?, ?, ?)",
            [(run.id, run.size, json.dumps(to_plain(run))) for run in plan.runs],
        )
        marks = ", ".join("?" * len(columns))
        store.executemany(f"insert into points values ({marks})", [tuple(row.values()) for row in rows])
        store.executemany(
            "insert into exclusions values (?, ?, ?)", [(e.run_id, e.tokens, e.reason) for e in exclusions]
        )
    return rows


def save_fits(folder: Path, fits: Mapping[str, object]) -> None:
    with open_store(folder) as store:
        store.execute("delete from fits")
        store.execute("insert into fits values (?)", (json.dumps(fits),))


def data_hash(rows: Iterable[tuple[str, int, float]]) -> str:
    """Names the (run, tokens, loss) rows that a prediction came from."""
    return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()[:16]


def read_forecasts(folder: Path) -> tuple[Forecast, ...]:
    """The ledger, by run and tokens. The lines of `forecasts.jsonl` are the truth; the table mirrors them."""
    path = folder / LEDGER_FILE
    if not path.exists():
        return ()
    lines = path.read_text().splitlines()
    forecasts = [from_plain(Forecast, json.loads(line), f"{path}:{i + 1}") for i, line in enumerate(lines)]
    return tuple(sorted(forecasts, key=lambda f: (f.run_id, f.tokens, f.law)))


def read_ledgers(runs: Path) -> dict[str, tuple[Forecast, ...]]:
    """The ledger of every study in a folder of studies that has one, by study."""
    return {path.parent.name: read_forecasts(path.parent) for path in sorted(runs.glob(f"*/{LEDGER_FILE}"))}


def save_forecasts(folder: Path, forecasts: Sequence[Forecast]) -> None:
    lines = "".join(json.dumps(asdict(f)) + "\n" for f in forecasts)
    write_atomically(folder / LEDGER_FILE, lines.encode())
    with open_store(folder) as store:
        store.execute("delete from forecasts")
        store.executemany(
            "insert into forecasts values (?, ?, ?, ?)",
            [(f.run_id, f.tokens, f.law, json.dumps(asdict(f))) for f in forecasts],
        )


def export_points(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `points.csv` (17 digits, missing is empty) and `points.parquet` beside the database."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "points.csv"
    temporary = path.with_suffix(".csv.tmp")
    with temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else POINT_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(path)
    table = pa.Table.from_pylist([dict(row) for row in rows]) if rows else pa.table({})
    temporary = folder / "points.parquet.tmp"
    pq.write_table(table, temporary)
    temporary.replace(folder / "points.parquet")
