"""Text tables: CSV of any separator, Markdown and boxed tables, columns of spaces; every line accounted for.

A quoted cell may hold line ends. A quote that is never closed would swallow rows, so a cell over several lines whose
further lines are rows themselves is taken for a stray quote: its line is read with the quote as it stands.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import methodcaller
from pathlib import Path

import numpy as np

from scaling.tables.account import Note, TableError, line_ranges
from scaling.tables.files import Sheet
from scaling.tables.headers import recognised
from scaling.tables.numbers import clean
from scaling.tables.units import count_unit, loss_unit

SEPARATORS = ",;\t|"
SPACES = " "
SAMPLE = 60  # lines by which the separator and the header are found
RULE = re.compile(r"[|+\s]*(?:[:=\-]{2,}|-)[:=\-|+\s]*")
COMMENT = ("#", "//", "%")
ODD_STARTS = {"", *"#/%|+-=: \t│┃║\ufeff"}  # of lines that may be no rows
CORNERS = "┌┬┐├┼┤└┴┘╞╪╡╒╤╕╘╧╛┏┳┓┡╇┩╔╦╗╠╬╣╚╩╝"
BOXES = str.maketrans("│┃║─━═" + CORNERS, "|||---" + "+" * len(CORNERS))
STATISTICS = {"mean", "std", "min", "max", "median", "count", "value", "first", "last", "sem", "avg", "sum"}
Cells = list[str]


@dataclass
class _Record:
    """The lines of one row: the first one's number, how many, its text; `literal`: quotes are no quotes."""

    line: int
    num_lines: int
    text: str
    literal: bool = False
    cells: Cells | None = None  # where they are known already


def read_delimited(path: Path, text: str, notes: tuple[Note, ...], named: Collection[str]) -> Sheet:
    """Raises TableError: no rows, no header, two tables in one file."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    structure: Counter[str] = Counter()
    first, separator, said = 0, "", list(notes)
    if lines and (found := re.fullmatch(r'"?sep=(.)"?', lines[0].strip("\ufeff \t\r") or "")):
        first, separator = 1, found[1]
        structure["a line that names the separator"] = 1
    elif lines and lines[0].strip() == "sep=":
        first, separator = 1, "\t"
        structure["a line that names the separator"] = 1
    if any(letter in text for letter in "│┃║"):
        lines = [line.translate(BOXES) for line in lines]
    body = [line for line in lines[first:] if line.strip()]
    separator = separator or _separator(
        [line for line in body if not line.lstrip().startswith(COMMENT)][:SAMPLE] or body
    )
    layout = _Layout(path, separator, named)
    if len(lines) > 2 * SAMPLE and _is_even(lines[first:], separator, text):
        sheet = _even_sheet(layout, lines, first, Counter(structure), list(said))
        if sheet is not None:
            return sheet
    header, rows, cells = _parts(layout, lines, first, structure, said)
    return _sheet(layout.path, layout.form, "line", header, rows, cells, len(lines), structure, said, named)


@dataclass(frozen=True)
class _Layout:
    """What is known of a file before its lines are looked at."""

    path: Path
    separator: str
    named: Collection[str]

    @property
    def form(self) -> str:
        return {"\t": "TSV", "|": "table of pipes", SPACES: "columns of spaces"}.get(self.separator, "CSV")


def _parts(
    layout: _Layout, lines: Sequence[str], first: int, structure: Counter[str], said: list[Note]
) -> tuple[list[str], list[_Record], list[Cells]]:
    """The header, and the rows with their cells."""
    split = _splitter(layout.separator)
    records, comments = _records(lines, first, layout.separator, split, structure, said)
    records = _without_preamble(layout.path, records, comments, split, layout.named, structure, said)
    if not records:
        raise TableError(f"{layout.path} has no rows: give at least one line with params, tokens and loss")
    head, *rows = records
    header = head.cells or [cell.strip() for cell in split(head.text, head.literal)]
    structure["header"] += head.num_lines
    cells = [split(row.text, row.literal) for row in rows]
    _second_headers(header, rows, cells, structure, said)
    return header, rows, cells


def _is_even(lines: Sequence[str], separator: str, text: str) -> bool:
    """Whether every line is one row: no quotes, blanks, comments or rules."""
    return separator in ",;\t" and '"' not in text and not {line[:1] for line in lines} & ODD_STARTS


def _even_sheet(
    layout: _Layout, lines: Sequence[str], first: int, structure: Counter[str], said: list[Note]
) -> Sheet | None:
    """The many rows of an even file, cut all at once; None where they are not as even as they looked."""
    header, rows, _ = _parts(layout, lines[: first + SAMPLE], first, structure, said)
    mark, width = layout.separator, len(header)
    if not rows:
        return None
    body = lines[rows[0].line - 1 :]
    cuts = set(map(methodcaller("count", mark), body))
    if cuts == {width} and all(header):
        said.append(_row_names(len(body)))
        header, width = ["", *header], width + 1
    if cuts != {width - 1}:
        return None
    flat = mark.join(body).split(mark)
    columns = tuple(flat[j::width] for j in range(width))
    if not set(header).isdisjoint(set(columns[0]) - {""}):
        return None  # the header again, or another
    numbers = np.arange(rows[0].line, len(lines) + 1)
    counted = {name: count for name, count in structure.items() if count}
    return Sheet(layout.form, "line", tuple(header), columns, numbers, {}, len(lines), counted, tuple(said))


def _row_names(count: int) -> Note:
    return Note("the rows have one cell more than the header: the first is taken for their name", count, "")


def _separator(lines: Sequence[str]) -> str:
    """The separator that cuts most lines into the same number of cells; runs of spaces where none cuts any."""
    best: tuple[int, int, str] = (0, 0, "")
    for mark in SEPARATORS:
        counts = Counter(re.sub(r'"[^"]*"', "", line).count(mark) for line in lines)
        counts.pop(0, None)
        if counts:
            cuts, agreeing = counts.most_common(1)[0]
            best = max(best, (agreeing, cuts, mark), key=lambda one: one[:2])
    if best[0] >= max(2, 0.3 * len(lines)) or (best[0] and len(lines) < 4):
        return best[2]
    spaced = Counter(len(line.split()) for line in lines)
    if lines and spaced.most_common(1)[0][0] > 1:
        return SPACES
    return best[2] or ","


def _splitter(separator: str) -> Callable[[str, bool], Cells]:
    """Cells of a row's text."""

    def split(text: str, literal: bool) -> Cells:
        if separator == "|":
            text = re.sub(r"^\s*\|", "", re.sub(r"\|\s*$", "", text))
            return [cell.strip() for cell in re.split(r"(?<!\\)\|", text)]
        if separator == SPACES:
            return text.split()
        if literal or '"' not in text:
            return text.split(separator)
        try:
            return next(csv.reader([text], delimiter=separator, skipinitialspace=True))
        except csv.Error:  # a cell longer than csv's limit
            return _long_cells(text, separator)

    return split


def _long_cells(text: str, separator: str) -> Cells:
    """As csv does it, for cells of any length."""
    found = re.findall(rf'(?:^|{re.escape(separator)})(?:"((?:[^"]|"")*)"|([^{re.escape(separator)}]*))', text)
    return [quoted.replace('""', '"') or bare for quoted, bare in found]


def _records(
    lines: Sequence[str], first: int, separator: str, split: Callable[[str, bool], Cells], structure: Counter[str],
    said: list[Note],
) -> tuple[list[_Record], list[_Record]]:  # fmt: skip
    """Rows, and comments; blank lines and rules are counted."""
    records: list[_Record] = []
    comments: list[_Record] = []
    stray: list[int] = []
    width, at = 0, first
    quotes = separator not in ("|", SPACES)
    while at < len(lines):
        line, number = lines[at], at + 1
        at += 1
        if not line or line.isspace():
            structure["blank lines"] += 1
        elif line.startswith(COMMENT) or line.lstrip().startswith(COMMENT):
            comments.append(_Record(number, 1, line))
        elif line[0] in "|+-=:" and RULE.fullmatch(line):
            structure["rules between lines"] += 1
        elif not quotes or line.count('"') % 2 == 0:
            records.append(_Record(number, 1, line))
        else:
            end = _end_of_quote(lines, at, width, split)
            if end is None:
                stray.append(number)
                records.append(_Record(number, 1, line, literal=True))
            else:
                records.append(_Record(number, end - number + 1, "\n".join(lines[number - 1 : end])))
                structure["further lines of quoted cells"] += end - number
                at = end
        if not width and records:
            width = len(split(records[0].text, records[0].literal))
    if stray:
        said.append(
            Note(
                "a quote that is never closed was read as it stands, and swallowed nothing",
                len(stray),
                line_ranges(stray),
            )
        )
    return records, comments


def _end_of_quote(lines: Sequence[str], at: int, width: int, split: Callable[[str, bool], Cells]) -> int | None:
    """How many lines of the file end where the quote that opened before line `at` (from 0) closes; None where rows lie
    between, or nothing closes it."""
    for end in range(at, len(lines)):
        line = lines[end]
        odd = line.count('"') % 2 == 1
        alone = split(line, True)
        if len(alone) >= width > 1 and sum(_is_number(cell) for cell in alone[:width]) >= min(3, width):
            return None
        if odd:
            return end + 1
    return None


def _is_number(cell: str) -> bool:
    return bool(re.fullmatch(r"[+-]?[\d.,'’_ ]*\d[\d.,'’_ ]*(?:[eE][+-]?\d+)?[kKMBTG]?", cell.strip().strip('"')))


def _without_preamble(
    path: Path, records: list[_Record], comments: list[_Record], split: Callable[[str, bool], Cells],
    named: Collection[str], structure: Counter[str], said: list[Note],
) -> list[_Record]:  # fmt: skip
    """From the header on: the first line with names of two fields, be it a comment, or else the first line."""
    structure["comments"] += len(comments)
    at = next(
        (
            i
            for i, r in enumerate(records[:SAMPLE])
            if recognised([c.strip() for c in split(r.text, r.literal)], named) >= 2
        ),
        None,
    )
    if at is None:
        for comment in reversed([c for c in comments if not records or c.line < records[0].line]):
            text = re.sub(r"^\s*(?:#+|//|%+)\s*", "", comment.text)
            if recognised([c.strip() for c in split(text, False)], named) >= 2:
                structure["comments"] -= 1
                said.append(Note("the header was read from a comment", 1, str(comment.line)))
                return [_Record(comment.line, 1, text), *records]
        at = 0
        cells = split(records[0].text, records[0].literal) if records else []
        if len(cells) > 1 and all(_is_number(cell) for cell in cells):
            raise TableError(
                f"{path} has no header: its first row is {', '.join(c.strip() for c in cells[:4])}; add a line above "
                "it that names the columns, such as params,tokens,loss"
            )
    if at:
        records[at] = _with_names_above(records, at, split)
        structure["lines above the header"] += sum(record.num_lines for record in records[:at])
        # Further lines of a quoted cell above the header are counted with it.
        structure["further lines of quoted cells"] -= sum(record.num_lines - 1 for record in records[:at])
    head = records[at] if records else None
    if head is not None:
        structure["further lines of quoted cells"] -= head.num_lines - 1
    return records[at:]


def _with_names_above(records: list[_Record], at: int, split: Callable[[str, bool], Cells]) -> _Record:
    """The header, its blank cells filled from the lines above, as pandas writes several levels of names."""
    head = records[at]
    cells = [cell.strip() for cell in split(head.text, head.literal)]
    above = [[c.strip() for c in split(r.text, r.literal)] for r in records[:at]]
    above = [line for line in above if len(line) == len(cells)]
    if all(cells) or not above:
        return head
    names = [
        cell or " ".join(line[i] for line in above if line[i] and not line[i].startswith("Unnamed"))
        for i, cell in enumerate(cells)
    ]
    return replace(head, cells=names)


def _second_headers(
    header: list[str], rows: list[_Record], cells: list[Cells], structure: Counter[str], said: list[Note]
) -> None:
    """Join units, statistics and the names of an index that stand in lines below the header to it; `rows` and `cells`
    lose those lines."""
    while rows and len(cells[0]) <= len(header) + 1:
        below = [cell.strip() for cell in cells[0]]
        filled = [cell for cell in below if cell]
        if not filled or any(_is_number(cell) for cell in filled):
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
    records = [_Record(i + 1, 1, "") for i in kept]
    header, cells = [cell.strip() for cell in texts[at]], [texts[i] for i in kept]
    _second_headers(header, records, cells, structure, said)
    typed = [list(rows[record.line - 1]) for record in records]
    return _sheet(path, form, unit, header, records, typed, len(rows), structure, said, named)


def _sheet(
    path: Path, form: str, unit: str, header: list[str], rows: Sequence[_Record], cells: Sequence[Sequence[object]],
    num_lines: int, structure: Counter[str], said: list[Note], named: Collection[str],
) -> Sheet:  # fmt: skip
    width, widths = len(header), Counter(map(len, cells))
    if widths and width not in widths and set(widths) == {width + 1} and all(header):
        said.append(_row_names(len(cells)))
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
        if not any(map(_is_number, texts)) and recognised(texts, named) >= 3:
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
