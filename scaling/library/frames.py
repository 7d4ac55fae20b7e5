"""Rows of plain values as a frame of the library that is there, as text, and as HTML."""

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

Library = Literal["pandas", "polars", "arrow"]
Row = Mapping[str, Any]
MOST_ROWS = 8  # of a long table that are shown


class Rows(Sequence[Row]):
    """Named rows, each a mapping of plain values, that print as a table and turn into a frame."""

    def __init__(self, rows: Sequence[Row], title: str = "") -> None:
        """Keep `rows`, which all have the columns of the first."""
        self._rows, self._title = tuple(rows), title

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return Rows(self._rows[index], self._title) if isinstance(index, slice) else self._rows[index]

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __repr__(self) -> str:
        names = list(self._rows[0])[:8] if self._rows else []
        shown = self._rows if len(self) <= MOST_ROWS + 1 else self._rows[:MOST_ROWS]
        lines = table_lines([{name: row[name] for name in names} for row in shown])
        more = [] if len(shown) == len(self) else [f"... {len(self) - len(shown):,} more rows"]
        more += [f"and {len(self._rows[0]) - 8} more columns"] if self._rows and len(self._rows[0]) > 8 else []
        return "\n".join([f"{self._title}: {len(self):,} rows".strip(": "), *lines, *more])

    def _repr_html_(self) -> str:
        return preformatted(repr(self))

    def to_frame(self, library: Library | None = None) -> Any:
        """Return the rows as a frame of pandas or polars, the first of them that is installed, else an Arrow table.

        Raises:
            ValueError: `library` is not known, or is not installed.
        """
        return frame(self._rows, library)


def frame(rows: Sequence[Row], library: Library | None = None) -> Any:
    """Return rows with the same columns as a frame; see `Rows.to_frame`."""
    if library is None:
        library = "pandas" if find_spec("pandas") else "polars" if find_spec("polars") else "arrow"
    if library not in ("pandas", "polars", "arrow"):
        raise ValueError(f"library is {library!r}: it must be pandas, polars, arrow, or None for what is installed")
    if library != "arrow" and find_spec(library) is None:
        raise ValueError(f"library is {library!r}, which is not installed: pip install {library}, or take 'arrow'")
    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    if library == "polars":
        return import_module("polars").DataFrame(columns, strict=False)
    if library == "pandas":
        return import_module("pandas").DataFrame(columns)
    return import_module("pyarrow").table({name: _arrow(values) for name, values in columns.items()})


def _arrow(values: list[Any]) -> list[Any]:
    """A count beyond 64 bits, as the FLOPs of a large run, is a number of Arrow's as a float alone."""
    large = any(isinstance(value, int) and abs(value) >= 1 << 63 for value in values)
    return [float(value) if isinstance(value, int) else value for value in values] if large else values


def table_lines(rows: Sequence[Row]) -> list[str]:
    """Return aligned columns under their names, one line a row."""
    if not rows:
        return []
    names = list(rows[0])
    cells = [names, *([cell_text(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    left = [isinstance(rows[0][name], str) for name in names]
    return [
        "  ".join(
            text.ljust(width) if to_left else text.rjust(width)
            for text, width, to_left in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in cells
    ]


def cell_text(value: Any) -> str:
    """Return a value with the digits that a reader needs."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def preformatted(text: str) -> str:
    """Return text as HTML that keeps its lines."""
    return f"<pre>{html.escape(text)}</pre>"


def html_table(rows: Sequence[Row], above: str = "", below: str = "") -> str:
    """Return rows as an HTML table with a line of text above and below it."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in (rows[0] if rows else ()))
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell_text(value))}</td>" for value in row.values()) + "</tr>"
        for row in rows
    )
    around = [f"<p>{html.escape(text)}</p>" if text else "" for text in (above, below)]
    return f"{around[0]}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{around[1]}"


class Text(str):
    """Text of several lines that a notebook and a terminal show as it is, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return preformatted(self)
