"""A file as columns of cells, with every one of its lines accounted for: text tables, JSON, Parquet, workbooks."""

import gzip
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from scaling.laws.observations import IntArray
from scaling.names import nearest_path
from scaling.tables.account import Note, TableError

KINDS = {
    **dict.fromkeys((".csv", ".tsv", ".txt", ".dat", ".md", ".psv"), "text"),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), "json"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".xlsx", ".xlsm"), "workbook"),
}
MOST_BYTES, MOST_LINES = 1 << 29, 10_000_000  # of text
SAVED_AS = "save it as CSV (UTF-8), which every spreadsheet can"


@dataclass(frozen=True)
class Sheet:
    """The cells of a file by column, `columns[j][i]` of row i, whose place in the file is `lines[i]`.

    `problems` has the rows that are none, by number, with the reason; their cells are None. `structure` counts what is
    no row at all. `unit` is what `lines` and `num_lines` count.
    """

    format: str
    unit: str
    names: tuple[str, ...]
    columns: tuple[Sequence[object], ...]
    lines: IntArray
    problems: Mapping[int, str]
    num_lines: int
    structure: Mapping[str, int]
    notes: tuple[Note, ...] = field(default=())


def read_sheet(path: Path, named: Collection[str]) -> Sheet:
    """`named` are the columns that the user names, by which a header is known too. Raises TableError."""
    if not path.is_file():
        raise TableError(f"source is {path}, where there is no file; {nearest_path(path)}")
    inner = Path(path.name.lower().removesuffix(".gz")).suffix
    if inner == ".xls" or inner == ".ods":
        raise TableError(f"source is {path}, a workbook in a format that is not read: {SAVED_AS}, or as .xlsx")
    if inner not in KINDS:
        raise TableError(
            f"source is {path}; its name must end in {', '.join(KINDS)}, or in one of them and .gz: convert it, or "
            "rename it"
        )
    kind = KINDS[inner]
    if kind == "parquet":
        return _parquet(path)
    content = _content(path)
    if content.startswith(b"PK\x03\x04"):
        return _workbook(path, content, named)
    if content.startswith(b"PAR1"):
        return _parquet(path)
    if kind == "workbook":
        raise TableError(f"{path} is no workbook, whatever its name says: {SAVED_AS}")
    text, encoding = _text(path, content)
    notes = () if encoding is None else (Note(f"the text was read as {encoding}", 0, ""),)
    if kind == "json":
        from scaling.tables.json_rows import read_json_rows

        return read_json_rows(path, text, notes)
    from scaling.tables.delimited import read_delimited

    return read_delimited(path, text, notes, named)


def _content(path: Path) -> bytes:
    """The bytes, unpacked: no more than may be read, for a small file may hold any number of them."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise TableError(f"{path} is damaged and cannot be unpacked ({error}): copy or compress it anew") from None
    except OSError as error:
        raise TableError(f"{path} cannot be read ({error.strerror or error}): correct its permissions") from None
    _require_readable(path, len(content), max(content.count(b"\n"), content.count(b"\r")))
    return content


def _require_readable(path: Path, size: int, num_lines: int = 0) -> None:
    if size > MOST_BYTES or num_lines > MOST_LINES:
        raise TableError(
            f"{path} holds more than {MOST_BYTES >> 20:,} MiB of text or {MOST_LINES:,} lines: keep the columns and "
            "rows that a law needs, or write it as Parquet"
        )


def _text(path: Path, content: bytes) -> tuple[str, str | None]:
    """The text, and its encoding where that is not UTF-8."""
    for mark, name in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            return _decoded(path, content, name), None if name == "utf-8-sig" else "UTF-16"
    start = content[:1000]
    zeros = (start[0::2].count(0), start[1::2].count(0))
    if len(start) > 3 and max(zeros) > 0.4 * len(start) / 2 and min(zeros) == 0:
        return _decoded(path, content, "utf-16-be" if zeros[0] else "utf-16-le"), "UTF-16"
    if b"\0" in content:
        raise TableError(f"{path} is no text (byte {content.index(0)} is zero): give a table as its name's ending says")
    try:
        return content.decode(), None
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace"), "Windows-1252, for it is no UTF-8"


def _decoded(path: Path, content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise TableError(f"{path} begins as {encoding} and is none ({error}): save it as UTF-8") from None


def _parquet(path: Path) -> Sheet:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path).flatten()
        while any(pa.types.is_struct(column.type) for column in table.schema):
            table = table.flatten()
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{path} is no Parquet file ({error}): write it anew") from None
    columns = tuple(_arrow_cells(column) for column in table.columns)
    names = tuple(str(name) for name in table.column_names)
    return Sheet("Parquet", "row", names, columns, np.arange(1, table.num_rows + 1), {}, table.num_rows, {})


def _arrow_cells(column: object) -> Sequence[object]:
    cells: list[object] = column.to_pylist()  # type: ignore[attr-defined]
    return cells


def _workbook(path: Path, content: bytes, named: Collection[str]) -> Sheet:
    """The first sheet with cells, by openpyxl where that is there."""
    import io
    import zipfile

    try:
        import openpyxl
    except ImportError:
        raise TableError(
            f"{path} is a workbook, which needs one more package: pip install 'scaling-sweep[excel]', or {SAVED_AS}"
        ) from None
    from scaling.tables.sheets import sheet_of_rows

    try:
        _require_readable(path, sum(part.file_size for part in zipfile.ZipFile(io.BytesIO(content)).infolist()))
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        filled = [(sheet.title, [list(row) for row in sheet.iter_rows(values_only=True)]) for sheet in book.worksheets]
    except TableError:
        raise
    except Exception as error:  # noqa: BLE001 (openpyxl raises whatever its parsers do)
        raise TableError(
            f"{path} is a damaged workbook, or a zip archive of something else ({error}): {SAVED_AS}"
        ) from None
    filled = [(title, rows) for title, rows in filled if any(cell is not None for row in rows for cell in row)]
    if not filled:
        raise TableError(f"{path} has no rows: give at least one line with params, tokens and loss")
    notes = [Note(f"the sheet {filled[0][0]!r} was read", 0, "")]
    if len(filled) > 1:
        notes.append(Note(f"other sheets were not read: {', '.join(title for title, _ in filled[1:])}", 0, ""))
    return sheet_of_rows(path, "workbook", "row", filled[0][1], tuple(notes), named)
