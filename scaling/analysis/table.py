"""Anyone's losses: from a CSV, JSON-lines or Parquet file, or a study's folder, to observations.

Every row keeps the number of its line, so that what is left out can be found again.
"""

import csv
import gzip
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TextIO

import numpy as np

from scaling.analysis.config import TableOptions
from scaling.laws.observations import DEFAULT_CONVENTION, Exclusion, Observations
from scaling.laws.table import observations_from_rows

Row = Mapping[str, object]
STUDY_POINTS = "points.csv"
STUDY_COLUMNS = {
    "params": "params", "tokens": "tokens", "flops": "flops", "loss": "final_loss_nats",
    "unique_tokens": "unique_tokens", "loss_sem": "loss_sem_nats", "run": "run_id", "budget": "nominal_flops",
}  # fmt: skip
STUDY_CONVENTION = "N: all parameters; C: training FLOPs, counted (as in the study's points.csv)"
STUDY_HELD_OUT = "held_out"
CORPUS = "corpus"


class TableError(ValueError):
    """A table that cannot be read or fitted; the message gives the value, the constraint and the remedy."""


@dataclass(frozen=True)
class Line:
    """A line of a file: its row, or the reason why it is none."""

    number: int
    row: Row
    problem: str | None = None


@dataclass(frozen=True)
class Table:
    """A file's usable rows: `lines[i]` is where row i of `observations` stands, and `columns` names its cells.

    `by_run` says that rows name their training run; `held_out` marks what a study kept back, None elsewhere.
    """

    source: str
    lines: tuple[Line, ...]
    columns: dict[str, str]
    observations: Observations
    by_run: bool
    held_out: tuple[bool, ...] | None


def read_table(options: TableOptions) -> Table:
    """Raises TableError: no such file, an unknown kind, a missing column, no usable row."""
    path, columns, convention = Path(options.source), options.columns.renamed, options.convention
    study = path.is_dir()
    if study:
        path = _points_of(path)
    lines = list(_reader(path)(path))
    if not lines:
        raise TableError(f"{path} has no rows: give at least one line with params, tokens and loss")
    if all(line.problem for line in lines):
        reasons = "; ".join(f"line {line.number}: {line.problem}" for line in lines[:3])
        raise TableError(f"none of the {len(lines)} lines of {path} can be used ({reasons}): correct the file")
    if study:
        columns = _study_columns(lines) | columns
        convention = convention or STUDY_CONVENTION
    _require_one_corpus(lines, path)
    observations = observe(lines, columns, convention or DEFAULT_CONVENTION, path)
    excluded = {exclusion.row for exclusion in observations.excluded}
    used = tuple(line for line in lines if line.number not in excluded)
    runs = [line.row.get(columns.get("run", "run")) for line in used]
    return Table(
        source=options.source,
        lines=used,
        columns=columns,
        observations=observations,
        by_run=any(run not in (None, "") for run in runs),
        held_out=tuple(str(line.row.get(STUDY_HELD_OUT)) == "True" for line in used) if study else None,
    )


def _require_one_corpus(lines: Sequence[Line], path: Path) -> None:
    """Raise TableError where the rows name several corpora: a study's rows do, and so does a merged table."""
    corpora = sorted({str(line.row[CORPUS]) for line in lines if line.row.get(CORPUS) not in (None, "")})
    if len(corpora) > 1:
        raise TableError(
            f"{path} has points of {len(corpora)} corpora (column {CORPUS!r}: "
            f"{', '.join(c[:12] for c in corpora[:4])}): losses of different text or tokens go into no common fit; "
            "keep the rows of one corpus"
        )


def observe(lines: list[Line], columns: Mapping[str, str], convention: str, path: Path) -> Observations:
    """The usable lines as observations, and the others with their reasons. Raises TableError."""
    first = lines[0].number
    at = {line.number: line for line in lines}
    # One row for each line of the file, so that the laws' row numbers are line numbers; what is no row is empty.
    rows = [at[n].row if n in at and not at[n].problem else {} for n in range(first, lines[-1].number + 1)]
    try:
        read = observations_from_rows(rows, columns, convention=convention, first_line=first)
    except ValueError as error:
        raise TableError(f"{path}: {error}") from None
    excluded = tuple(Exclusion(e.row, at[e.row].problem or e.reason) for e in read.excluded if e.row in at)
    # The same ids whatever the file's kind: a row without a run is one by its place among the used rows.
    ids = [name if name.startswith("run ") else f"row {i:09d}" for i, name in enumerate(read.trajectory.tolist())]
    return replace(read, excluded=excluded, trajectory=np.array(ids))


def _reader(path: Path) -> Callable[[Path], Iterator[Line]]:
    readers = {".csv": _read_csv, ".tsv": _read_csv, ".jsonl": _read_jsonl, ".parquet": _read_parquet}
    kind = Path(path.name.lower().removesuffix(".gz")).suffix
    if kind not in readers:
        raise TableError(
            f"source is {path}; its name must end in {', '.join(readers)}, or in one of them and .gz: convert it, or "
            "rename it"
        )
    if not path.is_file():
        raise TableError(f"source is {path}, where there is no file: correct the path")
    return readers[kind]


def _points_of(folder: Path) -> Path:
    path = folder / STUDY_POINTS
    if not path.is_file():
        raise TableError(
            f"source is the folder {folder}, which holds no {STUDY_POINTS}: give a file, or the folder of a study that "
            "`python -m scaling.sweep` finished"
        )
    return path


def _study_columns(lines: list[Line]) -> dict[str, str]:
    """The columns of a study's points; its nominal budgets only where every point has one."""
    whole = all(line.row.get(STUDY_COLUMNS["budget"]) for line in lines)
    return {field: name for field, name in STUDY_COLUMNS.items() if field != "budget" or whole}


def _open_text(path: Path) -> TextIO:
    """A file of text, with or without a byte order mark, compressed where its name ends in .gz."""
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", newline="", encoding="utf-8-sig")
    return path.open(newline="", encoding="utf-8-sig")


def _delimiter(header: str) -> str:
    """What the header's cells are separated by: spreadsheets of some languages write semicolons."""
    return max(",;\t", key=header.count)


def _read_csv(path: Path) -> Iterator[Line]:
    try:
        with _open_text(path) as file:
            first = file.readline()
            reader = csv.reader(chain([first], file), delimiter=_delimiter(first))
            header = [name.strip() for name in next(reader, [])]
            twice = {name for name in header if header.count(name) > 1}
            if twice:
                raise TableError(f"{path} has two columns named {min(twice)!r}: rename one")
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                problem = None
                if len(cells) != len(header):
                    problem = f"{len(cells)} cells where the header has {len(header)}"
                yield Line(reader.line_num, dict(zip(header, cells, strict=False)), problem)
    except (UnicodeDecodeError, csv.Error, gzip.BadGzipFile, EOFError) as error:
        raise TableError(f"{path} is no CSV in UTF-8 ({error}): save it as one") from None


def _read_jsonl(path: Path) -> Iterator[Line]:
    try:
        with _open_text(path) as file:
            for number, text in enumerate(file, start=1):
                if not text.strip():
                    continue
                try:
                    row = json.loads(text)
                except json.JSONDecodeError as error:
                    yield Line(number, {}, f"not JSON: {error}")
                    continue
                yield Line(number, row) if isinstance(row, dict) else Line(number, {}, "not a JSON object")
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise TableError(f"{path} is not UTF-8 ({error}): save it as such") from None


def _read_parquet(path: Path) -> Iterator[Line]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{path} is no Parquet file ({error}): write it anew") from None
    for number, row in enumerate(rows, start=1):
        yield Line(number, row)


def number_in(table: Table, column: str) -> list[float]:
    """A column of the file, a number for each used row. Raises TableError."""
    if not any(column in line.row for line in table.lines):
        known = sorted({str(name) for line in table.lines for name in line.row})
        raise TableError(f"{table.source} has no column {column!r}; its columns are {', '.join(known)}")
    numbers = []
    for line in table.lines:
        cell = line.row.get(column)
        try:
            number = float(cell)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            number = math.nan
        if math.isnan(number):
            raise TableError(
                f"column {column!r} of line {line.number} is {cell!r}, not a number: correct it or take another column"
            )
        numbers.append(number)
    return numbers
