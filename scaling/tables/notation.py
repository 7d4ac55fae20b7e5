"""What a comma and a point mean in a column of numbers, by the evidence of its cells and of the other columns."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from scaling.tables.account import TableError
from scaling.tables.numbers import EXPONENT, GROUPED, POWER, SUFFIX, clean

Mark = Literal[".", ","]  # of the decimals


@dataclass(frozen=True)
class Evidence:
    """What a column's cells show of its separators: an example of each kind, None where there is none.

    `either` has one comma before three digits, which may be either; `pointed` is the same with a point.
    """

    decimal_comma: str | None = None
    grouping_comma: str | None = None
    decimal_point: str | None = None
    grouping_point: str | None = None
    either: str | None = None
    pointed: str | None = None


def evidence(cells: Sequence[object], odd: Sequence[int]) -> Evidence:
    """From the cells that are no plain numbers, and for points from those with digits and one point too."""
    found: dict[str, str] = {}
    for text in {str(cells[i]) for i in odd}:
        if "," not in text and text.count(".") < 2 and "decimal_point" in found:
            continue  # nothing that is not known
        core = _core(text)
        if core is not None and (kind := _separators(core)):
            found.setdefault(kind, text.strip())
    if odd and "decimal_point" not in found:
        for cell in cells:
            if isinstance(cell, str) and "." in cell and (core := _core(cell)) is not None:
                kind = _separators(core)
                if kind in ("decimal_point", "pointed"):
                    found.setdefault(kind, cell.strip())
                if kind == "decimal_point":
                    break
    return Evidence(**found)


def pointed_evidence(cells: Sequence[object]) -> Evidence:
    """Of all cells: asked for a column without a comma in a file whose decimals are after one."""
    found: dict[str, str] = {}
    for text in {str(cell) for cell in cells if isinstance(cell, str) and "." in cell}:
        core = _core(text)
        if core is not None and (kind := _separators(core)):
            found.setdefault(kind, text.strip())
    return Evidence(**found)


def _core(text: str) -> str | None:
    """The digits and separators of a cell, without its multiple, or None."""
    if POWER.fullmatch(clean(text)):
        return None
    found = SUFFIX.fullmatch(clean(text))
    return None if found is None else found["core"].strip().lstrip("+-")


def _separators(core: str) -> str | None:
    """Which of the kinds of `Evidence` a number is, if any."""
    parts = EXPONENT.fullmatch(core)
    if parts is None:
        return None
    digits, exponent = parts["core"].strip(), parts["exponent"]
    commas, points = digits.count(","), digits.count(".")
    if commas and points:
        return "grouping_comma" if digits.rfind(".") > digits.rfind(",") else "decimal_comma"
    if not commas and not points:
        return None
    sign = "," if commas else "."
    many, three = max(commas, points) > 1, re.fullmatch(rf"[1-9]\d{{0,2}}\{sign}\d{{3}}", digits)
    if many:
        return ("grouping_comma" if commas else "grouping_point") if GROUPED.fullmatch(digits) else None
    if three and not exponent:
        return "either" if commas else "pointed"
    return "decimal_comma" if commas else "decimal_point"


def decide(
    columns: dict[str, Evidence], losses: frozenset[str], forced: Mark | None, points: Callable[[], bool]
) -> dict[str, Mark]:
    """What is before the decimals of each column, which `columns` names as a sentence does.

    `points` says whether any cell of the file has decimals after a point. Raises TableError where a column shows both
    meanings of a comma, or nothing in the file tells them apart.
    """
    if forced is not None:
        return dict.fromkeys(columns, forced)
    marks: dict[str, Mark] = {}
    for name, seen in columns.items():
        comma = seen.decimal_comma or seen.grouping_point
        other = seen.grouping_comma
        if comma and other:
            raise TableError(
                f"column {name!r} has {comma!r} beside {other!r}: a comma cannot be before the decimals of one and "
                "between the thousands of the other; correct the column, or say decimal=. or decimal=, and the cells "
                "that do not fit are left out"
            )
        if comma:
            marks[name] = ","
        elif other or seen.decimal_point:
            marks[name] = "."
    for name, seen in columns.items():
        if name in marks:
            continue
        if not seen.either:
            marks[name] = "."
        elif name in losses or "," in marks.values():
            marks[name] = ","
        elif "." in marks.values() or points():
            marks[name] = "."
        else:
            raise TableError(
                f"column {name!r} has {seen.either!r}, and nothing in the file tells whether its comma is before "
                "decimals or between thousands: say decimal=, or decimal=. "
            )
    return marks
