"""Text tables: CSV of any separator, Markdown and boxed tables, columns of spaces; every line accounted for.

A quoted cell may hold line ends. A quote that is never closed would swallow rows, so a cell over several lines whose
further lines are rows themselves is taken for a stray quote: its line is read with the quote as it stands.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from operator import methodcaller
from pathlib import Path

import numpy as np

from scaling.tables.account import Note, TableError, line_ranges
from scaling.tables.files import Sheet
from scaling.tables.headers import recognised
from scaling.tables.sheets import SAMPLE, Cells, Record, is_number, row_names, second_headers, sheet

SEPARATORS = ",;\t|"
SPACES = " "
RULE = re.compile(r"[|+\s]*(?:[:=\-]{2,}|-)[:=\-|+\s]*")
COMMENT = ("#", "//", "%")
ODD_STARTS = {"", *"#/%|+-=: \t│┃║\ufeff"}  # of lines that may be no rows
CORNERS = "┌┬┐├┼┤└┴┘╞╪╡╒╤╕╘╧╛┏┳┓┡╇┩╔╦╗╠╬╣╚╩╝"
BOXES = str.maketrans("│┃║─━═" + CORNERS, "|||---" + "+" * len(CORNERS))


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
        even = _even_sheet(layout, lines, first, Counter(structure), list(said))
        if even is not None:
            return even
    header, rows, cells = _parts(layout, lines, first, structure, said)
    return sheet(layout.path, layout.form, "line", header, rows, cells, len(lines), structure, said, named)


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
) -> tuple[list[str], list[Record], list[Cells]]:
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
    second_headers(header, rows, cells, structure, said)
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
        said.append(row_names(len(body)))
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
) -> tuple[list[Record], list[Record]]:  # fmt: skip
    """Rows, and comments; blank lines and rules are counted."""
    records: list[Record] = []
    comments: list[Record] = []
    stray: list[int] = []
    width, at = 0, first
    quotes = separator not in ("|", SPACES)
    while at < len(lines):
        line, number = lines[at], at + 1
        at += 1
        if not line or line.isspace():
            structure["blank lines"] += 1
        elif line.startswith(COMMENT) or line.lstrip().startswith(COMMENT):
            comments.append(Record(number, 1, line))
        elif line[0] in "|+-=:" and RULE.fullmatch(line):
            structure["rules between lines"] += 1
        elif not quotes or line.count('"') % 2 == 0:
            records.append(Record(number, 1, line))
        else:
            end = _end_of_quote(lines, at, width, split)
            if end is None:
                stray.append(number)
                records.append(Record(number, 1, line, literal=True))
            else:
                records.append(Record(number, end - number + 1, "\n".join(lines[number - 1 : end])))
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
        if len(alone) >= width > 1 and sum(is_number(cell) for cell in alone[:width]) >= min(3, width):
            return None
        if odd:
            return end + 1
    return None


def _without_preamble(
    path: Path, records: list[Record], comments: list[Record], split: Callable[[str, bool], Cells],
    named: Collection[str], structure: Counter[str], said: list[Note],
) -> list[Record]:  # fmt: skip
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
                return [Record(comment.line, 1, text), *records]
        at = 0
        cells = split(records[0].text, records[0].literal) if records else []
        if len(cells) > 1 and all(is_number(cell) for cell in cells):
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


def _with_names_above(records: list[Record], at: int, split: Callable[[str, bool], Cells]) -> Record:
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
