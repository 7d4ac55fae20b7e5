"""What became of a table: every line of its file, every number that was written otherwise, every column beside."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from scaling.laws.observations import IntArray

MOST_RANGES = 12  # of line numbers in a sentence


class TableError(ValueError):
    """A table that cannot be read or fitted; the message gives the value, the constraint and the remedy."""


@dataclass(frozen=True)
class ReadColumn:
    """Where a field's numbers come from: `column` of the file, or several where it was worked out, and `how`."""

    field: str
    column: str
    how: str
    unit: str | None = None


@dataclass(frozen=True)
class Note:
    """Something that was converted, taken for something, or decided; `lines` are those it concerns, "" for all."""

    text: str
    count: int
    lines: str


@dataclass(frozen=True)
class BesideColumn:
    """A column that is no field: what it was taken for, and how many different values its used rows have."""

    column: str
    meaning: str
    num_values: int


@dataclass(frozen=True)
class Reading:
    """The account of a file.

    `num_lines` are all of it, each in `unit`; `structure` counts those that are no rows, by what they are; the rest
    are rows, and each is used or listed among the exclusions with its reason. `num_set_aside` of these are as they
    should be and belong elsewhere: on the way of a run, not the best recipe, repeated text, another group.
    """

    format: str
    unit: str
    num_lines: int
    structure: Mapping[str, int]
    columns: tuple[ReadColumn, ...] = ()
    notes: tuple[Note, ...] = ()
    beside: tuple[BesideColumn, ...] = ()
    num_set_aside: int = 0

    @property
    def num_rows(self) -> int:
        return self.num_lines - sum(self.structure.values())


def line_ranges(lines: IntArray | Iterable[int]) -> str:
    """Line numbers as a person writes them: "2-9, 12"; the first dozen ranges, then how many more."""
    numbers = np.unique(np.fromiter(lines, dtype=np.int64))
    if not numbers.size:
        return ""
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    said = [f"{part[0]}" if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts[:MOST_RANGES]]
    more = sum(map(len, parts[MOST_RANGES:]))
    return ", ".join(said) + (f" and {more} more" if more else "")


def at_lines(unit: str, lines: IntArray | Iterable[int]) -> str:
    """As in "line 5", "lines 2-9, 12"."""
    numbers = list(lines)
    return f"{unit}{'s' if len(numbers) > 1 else ''} {line_ranges(numbers)}"


def note_words(note: Note, unit: str) -> str:
    """A note with the lines that it concerns."""
    return note.text + (f" ({unit}{'s' if note.count > 1 else ''} {note.lines})" if note.lines else "")
