"""A header and rows of cells become a sheet: second headers, rows of other widths, the header again."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scaling.tables.account import Note, TableError
from scaling.tables.files import Sheet
from scaling.tables.headers import recognised
from scaling.tables.numbers import clean
from scaling.tables.units import count_unit, loss_unit

SAMPLE = 60  # rows among which the header is looked for
STATISTICS = {"mean", "std", "min", "max", "median", "count", "value", "first", "last", "sem", "avg", "sum"}
Cells = list[str]


@dataclass
class Record:
    """The lines of one row: the first one's number, how many, its text; `literal`: quotes are no quotes."""

    line: int
    num_lines: int
    text: str
    literal: bool = False
    cells: Cells | None = None  # where they are known already


def sheet_of_rows(
    path: Path, form: str, unit: str, rows: Sequence[Sequence[object]], notes: tuple[Note, ...], named: Collection[str]
) -> Sheet:
    """A workbook's rows, whose cells have types: empty rows and what stands above the header are no rows."""
    structure: Counter[str] = Counter()
    said = list(notes)
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    filled = [i for i, row in enumerate(texts) if any(cell.strip() for cell in row)]
    structure["blank lines"] = len(rows) - len(filled)
    at = next((i for i in filled[:SAMPLE] if recognised([c.strip() for c in texts[i]], named) >= 2), filled[0])
    structure["lines above the header"] = filled.index(at)
    structure["header"] = 1
    kept = [i for i in filled if i > at]
    records = [Record(i + 1, 1, "") for i in kept]
    header, cells = [cell.strip() for cell in texts[at]], [texts[i] for i in kept]
    second_headers(header, records, cells, structure, said)
    typed = [list(rows[record.line - 1]) for record in records]
    return sheet(path, form, unit, header, records, typed, len(rows), structure, said, named)


def sheet(
    path: Path, form: str, unit: str, header: list[str], rows: Sequence[Record], cells: Sequence[Sequence[object]],
    num_lines: int, structure: Counter[str], said: list[Note], named: Collection[str],
) -> Sheet:  # fmt: skip
    width, widths = len(header), Counter(map(len, cells))
    if widths and width not in widths and set(widths) == {width + 1} and all(header):
        said.append(row_names(len(cells)))
        header, width = ["", *header], width + 1
    named_width = max((i + 1 for i, name in enumerate(header) if name), default=0)
    problems: dict[int, str] = {}
    kept: list[int] = []
    repeated = 0
    plain = set(widths) == {width}
    first = [name.strip() for name in header]
    names = {name for name in first if name}
    for i, row in enumerate(cells):
        if plain and names.isdisjoint(row):
            kept.append(i)
            continue
        texts = ["" if cell is None else str(cell).strip() for cell in row]
        if texts == first:
            repeated += 1
            continue
        if not any(map(is_number, texts)) and recognised(texts, named) >= 3:
            raise TableError(
                f"line {rows[i].line} of {path} is another header ({', '.join(texts[:4])}) than the first "
                f"({', '.join(first[:4])}): two tables in one file are read as none; give each its own file"
            )
        kept.append(i)
        if not named_width <= len(row) and not all(text == "" for text in texts):
            problems[len(kept) - 1] = f"{len(row)} cells where the header has {width}"
        elif len(row) > width and any(texts[width:]):
            problems[len(kept) - 1] = f"{len(row)} cells where the header has {width}{_commas(texts, width)}"
        elif not any(texts):
            problems[len(kept) - 1] = "every cell is blank"
    if repeated:
        structure["the header again"] = repeated
        said.append(Note("lines that repeat the header are no rows", repeated, ""))
    if not kept:
        raise TableError(f"{path} has no rows: give at least one line with params, tokens and loss")
    if plain and len(kept) == len(cells):
        columns: list[Sequence[object]] = [list(column) for column in zip(*cells, strict=True)]
    else:
        columns = list(_columns([cells[i] for i in kept], problems, width))
    if form == "table of pipes":
        columns = [[clean(cell) if isinstance(cell, str) else cell for cell in column] for column in columns]
    lines = np.array([rows[i].line for i in kept], dtype=np.int64)
    structure += Counter()  # counts of zero go
    return Sheet(
        form, unit, tuple(header), tuple(columns), lines, problems, num_lines,
        {name: count for name, count in structure.items() if count}, tuple(said),
    )  # fmt: skip


def _commas(texts: Sequence[str], width: int) -> str:
    if len(texts) == 2 * width and all(text.lstrip("+-").isdigit() for text in texts):
        return " (are these decimal commas between commas? separate the cells by semicolons)"
    return ""


def _columns(cells: Sequence[Sequence[object]], problems: dict[int, str], width: int) -> Iterator[list[object]]:
    for j in range(width):
        yield [None if i in problems or j >= len(row) else row[j] for i, row in enumerate(cells)]


def row_names(count: int) -> Note:
    return Note("the rows have one cell more than the header: the first is taken for their name", count, "")


def is_number(cell: str) -> bool:
    return bool(re.fullmatch(r"[+-]?[\d.,'’_ ]*\d[\d.,'’_ ]*(?:[eE][+-]?\d+)?[kKMBTG]?", cell.strip().strip('"')))


def second_headers(
    header: list[str], rows: list[Record], cells: list[Cells], structure: Counter[str], said: list[Note]
) -> None:
    """Join units, statistics and the names of an index that stand in lines below the header to it; `rows` and `cells`
    lose those lines."""
    while rows and len(cells[0]) <= len(header) + 1:
        below = [cell.strip() for cell in cells[0]]
        filled = [cell for cell in below if cell]
        if not filled or any(is_number(cell) for cell in filled):
            break
        units = [bool(count_unit(c.strip("()[]")) or loss_unit(c)) or c.lower() in STATISTICS for c in filled]
        index = len(filled) == 1 and below[0] == filled[0] and len(below) > 1
        if not (all(units) or index):
            break
        for i, cell in enumerate(below[: len(header)]):
            if cell and not index:
                unit = bool(count_unit(cell.strip("()[]")) or loss_unit(cell)) and cell.lower() not in STATISTICS
                header[i] = f"{header[i]} ({cell.strip('()[]')})" if unit else f"{header[i]} {cell}".strip()
        said.append(
            Note(f"a second line of the header was joined to it ({', '.join(filled[:4])})", 1, str(rows[0].line))
        )
        structure["header"] += rows[0].num_lines
        structure["further lines of quoted cells"] -= rows[0].num_lines - 1
        del rows[0], cells[0]
