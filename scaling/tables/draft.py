"""A table on its way from cells to observations: its columns of numbers, the rows that are left, what is to be said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from scaling.laws.observations import BoolArray, FloatArray, IntArray
from scaling.tables.account import Note, ReadColumn, TableError, line_ranges
from scaling.tables.files import Sheet
from scaling.tables.headers import Found
from scaling.tables.options import ReadingOptions
from scaling.tables.roles import Role, role_of, values_of


@dataclass(frozen=True)
class Beside:
    """A column that is no field: its name, what it was taken for, and its values as labels, one for each row."""

    name: str
    role: Role
    values: tuple[str, ...]

    @property
    def codes(self) -> IntArray:
        """A number for each value, [n]."""
        known = {value: i for i, value in enumerate(dict.fromkeys(self.values))}
        return np.fromiter(map(known.__getitem__, self.values), np.int64, len(self.values))

    @property
    def distinct(self) -> tuple[str, ...]:
        """Its values, blanks apart, in the order of the rows."""
        return tuple(dict.fromkeys(value for value in self.values if value))

    def take(self, rows: Sequence[int]) -> "Beside":
        return (
            self if len(rows) == len(self.values) else Beside(self.name, self.role, tuple(self.values[i] for i in rows))
        )


@dataclass
class Draft:
    """`numbers` are the fields' columns, [n] each, NaN where blank; `reasons` has the rows that are left out."""

    path: str
    sheet: Sheet
    found: dict[str, Found]
    numbers: dict[str, FloatArray]
    reasons: dict[int, str]
    options: ReadingOptions
    columns: list[ReadColumn] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    beside_known: dict[str, Beside] = field(default_factory=dict)
    num_set_aside: int = 0

    def __len__(self) -> int:
        return len(self.sheet.lines)

    @property
    def kept(self) -> IntArray:
        """The rows that are left."""
        good = np.ones(len(self), dtype=np.bool_)
        good[list(self.reasons)] = False
        return np.flatnonzero(good)

    def leave_out(
        self, rows: Sequence[int] | IntArray, reason: str | Callable[[int], str], *, aside: bool = False
    ) -> None:
        """`aside`: the rows are as they should be, and belong elsewhere."""
        self.num_set_aside += len(rows) if aside else 0
        for row in np.asarray(rows, dtype=np.int64).tolist():
            self.reasons.setdefault(row, reason if isinstance(reason, str) else reason(row))

    def say(self, text: str, rows: Sequence[int] | IntArray | None = None) -> None:
        """A note on some rows, or on all."""
        if rows is None:
            self.notes.append(Note(text, len(self), ""))
        else:
            lines = self.sheet.lines[np.asarray(rows, dtype=np.int64)]
            self.notes.append(Note(text, len(lines), line_ranges(lines) if len(lines) < len(self) else ""))

    def cells(self, name: str) -> Sequence[object]:
        """A column of the file. Raises TableError where there is none, or two that differ."""
        at = [i for i, known in enumerate(self.sheet.names) if known == name]
        if not at:
            known = ", ".join(sorted({n for n in self.sheet.names if n}))
            raise TableError(f"{self.path} has no column {name!r}; its columns are {known}")
        if any(list(self.sheet.columns[i]) != list(self.sheet.columns[at[0]]) for i in at[1:]):
            raise TableError(f"{self.path} has {_count(len(at))} columns named {name!r}, which differ: rename one")
        return self.sheet.columns[at[0]]

    def beside(self, *roles: Role, grouping: bool = False) -> list[Beside]:
        """The columns of these roles, over all rows of the file; `grouping`: those of text whose few values
        recur."""
        fields = {self.sheet.names[one.column] for one in self.found.values()}
        names = [n for n in dict.fromkeys(self.sheet.names) if n and n not in fields and n not in self.options.ignore]
        first = {name: i for i, name in reversed(list(enumerate(self.sheet.names)))}
        out = []
        for name in names:
            role = role_of(name)
            if role in roles and (not grouping or self._groups_rows(name)):
                if name not in self.beside_known:
                    column = self.sheet.columns[first[name]]
                    self.beside_known[name] = Beside(name, role, tuple(values_of(column)))
                out.append(self.beside_known[name])
        return out

    def _groups_rows(self, name: str) -> bool:
        """Whether a column is text whose few values recur."""
        try:
            distinct = set(self.sheet.columns[self.sheet.names.index(name)])
        except TypeError:  # lists of JSON
            return False
        return 1 < len(distinct) <= max(2, len(self) // 4) and any(map(is_text, distinct))

    def mask(self, rows: Sequence[int] | IntArray) -> BoolArray:
        out = np.zeros(len(self), dtype=np.bool_)
        out[np.asarray(rows, dtype=np.int64)] = True
        return out


def is_text(cell: object) -> bool:
    """Whether a cell is neither blank nor a number."""
    if not isinstance(cell, str) or not cell.strip():
        return isinstance(cell, bool)
    try:
        float(cell)
    except ValueError:
        return True
    return False


def _count(number: int) -> str:
    return "two" if number == 2 else str(number)
