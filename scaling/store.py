"""A study's ledger and its database.

The ledger, `forecasts.jsonl`, has what was predicted before a point was measured, with the hash of the data it came
from. It cannot be made again: whoever writes it merges with what is on disk, and a line that is there is never dropped,
only completed by what was measured.

The database is a mirror of the run folders, the ledger and fits.json, written in one transaction: deleting it loses
nothing.
"""

import csv
import errno
import hashlib
import io
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from scaling.folders import below, require_no_link, study_lock
from scaling.json_text import NotJson, parse_json
from scaling.records import RunRecord, record_path
from scaling.specs import Plan
from scaling.values import ValueMismatch, from_file, read_file, to_plain, write_atomically

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

    def __post_init__(self) -> None:
        for name in ("predicted", "low", "high", "measured"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} is {value}; a loss is positive and finite")
        if not (0 < self.level < 1 and self.tokens > 0):
            raise ValueError(f"level is {self.level} and tokens is {self.tokens}; a share and a positive number")

    @property
    def key(self) -> tuple[str, int, str]:
        return self.run_id, self.tokens, self.law

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
    "num_layers", "d_model", "num_heads",
)  # fmt: skip

# A further validation set has these columns, each with the set's name before it.
SET_COLUMNS = ("loss_nats", "loss_sem_nats", "bits_per_byte", "word_perplexity")

SCHEMA = (
    "create table if not exists specs (run_id text primary key, size text, spec text)",
    "create table if not exists exclusions (run_id text, tokens integer, reason text, primary key (run_id, tokens))",
    "create table if not exists fits (fits text)",
    """create table if not exists forecasts (run_id text, tokens integer, law text, forecast text,
                                             primary key (run_id, tokens, law))""",
)
SECONDS_FOR_THE_STORE = 20.0  # a reader lets go of it in less, or has forgotten it open
# What SQLite says of a file that is no database of its own, or no longer.
BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
SYSTEM_ERRORS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_BUSY: errno.EBUSY,
    sqlite3.SQLITE_LOCKED: errno.EBUSY,
}


def in_one_transaction(path: Path, write: Callable[[sqlite3.Connection], None]) -> None:
    """Change a database, made if absent. A file that SQLite calls broken is moved aside and made anew; one that is
    merely held by another program, or on a full disk, stays as it is, and OSError says so."""
    require_no_link(path)
    try:
        try:
            _transact(path, write)
        except sqlite3.DatabaseError as error:
            if _code(error) not in BROKEN:
                raise
            path.replace(path.with_suffix(".corrupt"))
            _transact(path, write)
    except sqlite3.DatabaseError as error:
        raise OSError(SYSTEM_ERRORS.get(_code(error), errno.EIO), str(error), str(path)) from error


def _transact(path: Path, write: Callable[[sqlite3.Connection], None]) -> None:
    connection = sqlite3.connect(path, timeout=SECONDS_FOR_THE_STORE, isolation_level=None)
    try:
        connection.execute("begin immediate")
        write(connection)
        connection.execute("commit")
    finally:
        connection.close()  # which takes back what is not committed


def _code(error: sqlite3.DatabaseError) -> int:
    """SQLite's primary result code; its own module's errors, of a wrong SQL, have none."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def point_row(plan: Plan, record: RunRecord) -> dict[str, Any]:
    """A record beside what was planned for it, by `POINT_COLUMNS`."""
    spec = plan.by_id[record.run_id]
    planned = plan.by_cell[record.run_id, record.budget_tokens]
    known = {
        **{name: getattr(record, name) for name in POINT_COLUMNS if hasattr(record, name)},
        **{name: getattr(record.provenance, name) for name in POINT_COLUMNS if hasattr(record.provenance, name)},
        **{name: getattr(spec.model, name) for name in ("num_layers", "d_model", "num_heads")},
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


def point_rows(plan: Plan, records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    columns = (*POINT_COLUMNS, *set_columns(records))
    return [dict.fromkeys(columns) | point_row(plan, record) for record in records]


def _in_64_bits(value: Any) -> Any:
    """A count that SQLite and Parquet cannot hold, as the FLOPs of a large run, as the nearest number that they can."""
    return float(value) if isinstance(value, int) and abs(value) >= 1 << 63 else value


def save_study(
    folder: Path,
    plan: Plan,
    rows: Sequence[Mapping[str, Any]],
    exclusions: Iterable[Exclusion],
    fits: Mapping[str, object] | None = None,
) -> None:
    """Mirror a study into its database: `rows` as `point_rows` gives them, and the ledger as it is on disk. Idempotent.

    Raises OSError."""

    def write(store: sqlite3.Connection) -> None:
        for table in SCHEMA:
            store.execute(table)
        for name in ("specs", "exclusions", "fits", "forecasts"):
            store.execute(f"delete from {name}")
        columns = list(rows[0]) if rows else POINT_COLUMNS
        store.execute("drop table if exists points")
        names = ", ".join(f'"{column}"' for column in columns)
        store.execute(f"create table points ({names}, primary key (run_id, budget_tokens))")
        marks = ", ".join("?" * len(columns))
        store.executemany(
            f"insert into points values ({marks})", [tuple(_in_64_bits(v) for v in row.values()) for row in rows]
        )
        specs = [(run.id, run.size, json.dumps(to_plain(run))) for run in plan.runs]
        store.executemany("insert or replace into specs values (?, ?, ?)", specs)
        reasons = [(e.run_id, e.tokens, e.reason) for e in exclusions]
        store.executemany("insert or replace into exclusions values (?, ?, ?)", reasons)
        if fits is not None:
            store.execute("insert into fits values (?)", (json.dumps(fits),))
        made = [(*f.key, json.dumps(asdict(f))) for f in read_forecasts(folder)]
        store.executemany("insert into forecasts values (?, ?, ?, ?)", made)

    with study_lock(folder):
        in_one_transaction(folder / STORE_FILE, write)


def data_hash(rows: Iterable[tuple[str, int, float]]) -> str:
    """Names the (run, tokens, loss) rows that a prediction came from."""
    return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()[:16]


def read_forecasts(folder: Path, tell: Callable[[str], None] = lambda words: None) -> tuple[Forecast, ...]:
    """The ledger, by run and tokens. A line that cannot be read is told, and left out; of two for the same prediction
    the first counts. Raises OSError, and ValueMismatch where the ledger is no file."""
    found: dict[tuple[str, int, str], Forecast] = {}
    for number, line in enumerate(_lines(folder / LEDGER_FILE), start=1):
        try:
            forecast = _forecast(line)
        except (NotJson, ValueMismatch) as error:
            tell(f"{folder / LEDGER_FILE}, line {number}, cannot be read and is left out ({error}); it stays as it is")
        else:
            found.setdefault(forecast.key, forecast)
    return tuple(found[key] for key in sorted(found))


def _lines(path: Path) -> list[bytes]:
    try:
        content = read_file(path)
    except FileNotFoundError:
        return []
    return [line for line in content.split(b"\n") if line.strip()]


def _forecast(line: bytes) -> Forecast:
    return from_file(Forecast, parse_json(line), "it")


def read_ledgers(runs: Path, tell: Callable[[str], None] = lambda words: None) -> dict[str, tuple[Forecast, ...]]:
    """The ledger of every study in a folder of studies that has one, by study. One that cannot be read is told."""
    found = {}
    for path in sorted(runs.glob(f"*/{LEDGER_FILE}")):
        try:
            found[path.parent.name] = read_forecasts(path.parent, tell)
        except ValueMismatch as error:
            tell(str(error))
        except OSError as error:
            tell(f"{path} cannot be read and is left out ({error.strerror})")
    return found


def save_forecasts(folder: Path, forecasts: Sequence[Forecast]) -> list[Forecast]:
    """Merge into the ledger as it is on disk, and return what is new in it.

    A prediction that is there stays as it was made, and gets the measured loss; lines that cannot be read stay too. A
    new one of a point that has a record by now is none, and does not enter. Raises OSError.
    """
    path = folder / LEDGER_FILE
    with study_lock(folder):
        lines = _lines(path)
        places: dict[tuple[str, int, str], tuple[int, Forecast]] = {}
        for i, line in enumerate(lines):
            try:
                there = _forecast(line)
            except (NotJson, ValueMismatch):
                continue
            places.setdefault(there.key, (i, there))
        entered = []
        for forecast in forecasts:
            if forecast.key not in places:
                if forecast.measured is None and record_path(below(folder, forecast.run_id), forecast.tokens).exists():
                    continue
                places[forecast.key] = (len(lines), forecast)
                lines.append(_line(forecast))
                entered.append(forecast)
                continue
            i, there = places[forecast.key]
            if forecast.measured not in (None, there.measured):
                lines[i] = _line(replace(there, measured=forecast.measured))
        write_atomically(path, b"".join(line + b"\n" for line in lines))
        _flush_folder(folder)
    return entered


def _line(forecast: Forecast) -> bytes:
    return json.dumps(asdict(forecast), allow_nan=False).encode()


def _flush_folder(folder: Path) -> None:
    """A power cut after this leaves the new name of a renamed file, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot, which is no failure
            raise
    finally:
        os.close(descriptor)


def export_points(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `points.csv` (17 digits, missing is empty) and `points.parquet` beside the database. Raises OSError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else POINT_COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(folder / "points.csv", text.getvalue().encode())
    packed = io.BytesIO()
    plain = [{name: _in_64_bits(value) for name, value in row.items()} for row in rows]
    pq.write_table(pa.Table.from_pylist(plain) if rows else pa.table({}), packed)
    write_atomically(folder / "points.parquet", packed.getvalue())
