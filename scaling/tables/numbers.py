"""Cells to numbers, as people write them; whatever is not a plain number is said.

Plain cells take a fast path; only the others are looked at one by one, each distinct text once.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from scaling.laws.observations import BoolArray, FloatArray, IntArray
from scaling.tables.units import MULTIPLES, NOUNS

BLANK = {
    *(
        "",
        "-",
        "--",
        "---",
        "–",
        "—",
        "na",
        "n/a",
        "#n/a",
        "#na",
        "nan",
        "-nan",
        "nan()",
        "null",
        "none",
        "nil",
        "<na>",
    ),
    *("?", "#div/0!", "#value!", "#ref!", "missing", "n.a.", "k.a.", "nd", "n.d.", "1.#qnan", "1.#ind", "nat"),
}
INFINITE = {"inf", "+inf", "-inf", "infinity", "+infinity", "-infinity", "∞", "1.#inf"}
QUICK = set("kKmMbBgGtT")  # multiples behind a plain number
DIGITS = r"[\d.,'’‘` _]"
POWERS = {**dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True)), "⁻": "-", "⁺": "+"}
POWER = re.compile(rf"(?:(?P<times>{DIGITS}+?)\s*[x×·*]\s*)?(?P<base>10|2)\s*(?:\^|\*\*)\s*\{{?(?P<power>[+-]?\d+)\}}?")
SUFFIX = re.compile(rf"(?P<core>[+-]?{DIGITS}*\d{DIGITS}*(?:[eEdD][+-]?\d+)?)\s*(?P<suffix>[^\W\d_][\w./ ]*)?")
EXPONENT = re.compile(r"(?P<core>[^eEdD]+)(?P<exponent>[eEdD][+-]?\d+)?")
SPREAD = re.compile(r"(?P<core>.*?\d)\s*(?:±|\+/-|\+-)\s*[\d.,]+|(?P<brief>.*?\d)\s?\([\d.]+\)")
GROUPED = re.compile(r"\d{1,3}(?:(?P<by>[,.'’‘` _])\d{3})(?:(?P=by)\d{3})*|\d{1,2}(?:,\d{2})+,\d{3}")
NAMES = {",": "comma", ".": "point", " ": "space", "_": "underscore"}  # the others are apostrophes


@dataclass
class Numbers:
    """A column's numbers, [n]: NaN where a cell is blank or no number; `bad` has the reason of each that is none.

    `own_unit` marks cells that carry their own multiple, as 14.1M does. `said` are conversions: by what was done, the
    rows and an example.
    """

    values: FloatArray
    blank: BoolArray
    bad: dict[int, str] = field(default_factory=dict)
    own_unit: BoolArray | None = None
    said: dict[str, tuple[list[int], str]] = field(default_factory=dict)


def plain_floats(cells: Sequence[object]) -> tuple[FloatArray, list[int]]:
    """Each cell as Python reads a number, [n], NaN elsewhere, and the places of those that are none."""
    kinds = set(map(type, cells))
    if bool not in kinds:
        try:
            return np.fromiter(map(float, cells), np.float64, len(cells)), []  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            pass
    values: list[float] = []
    odd: list[int] = []
    for i, cell in enumerate(cells):
        try:
            values.append(float(cell) if not isinstance(cell, bool) else _no_number())  # type: ignore[arg-type]
        except (TypeError, ValueError):
            values.append(math.nan)
            odd.append(i)
        except OverflowError:  # an integer beyond float64
            values.append(math.inf)
    return np.array(values, dtype=np.float64), odd


def _no_number() -> float:
    raise TypeError


def clean(text: str) -> str:
    """A cell without markup, signs of approximation and exotic spaces; superscripts after a ^."""
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+", lambda m: "^" + "".join(POWERS[c] for c in m[0]), text)
    text = unicodedata.normalize("NFKC", text).replace("−", "-")
    text = re.sub(r"\s+", " ", text).strip().strip('`*$"').strip()
    return re.sub(r"^(?:~|≈|ca\.|c\.|about|approx\.?)\s*", "", text, flags=re.IGNORECASE)


def numbers(cells: Sequence[object], values: FloatArray, odd: Sequence[int], decimal: str, *, count: bool) -> Numbers:
    """The column under one meaning of its comma. `values`, `odd` are of `plain_floats`; `count`: no loss.

    Points that group digits (`decimal` a comma) make plain cells such as 14.123 other numbers: all are read anew.
    """
    values = values.copy()
    out = Numbers(values, np.zeros(len(cells), dtype=np.bool_))
    if decimal == "," and count:
        odd = [i for i, cell in enumerate(cells) if isinstance(cell, str) and ("." in cell or not _is_plain(cell))]
    own = np.zeros(len(cells), dtype=np.bool_)
    done: dict[tuple[str, ...], IntArray] = {}
    if len(odd):
        at = np.asarray(odd, dtype=np.int64)
        keys = [cell if isinstance(cell := cells[i], str) else None if cell is None else repr(cell) for i in odd]
        known = {key: k for k, key in enumerate(dict.fromkeys(keys))}
        codes = np.fromiter(map(known.__getitem__, keys), np.int64, len(keys))
        first = {k: cells[i] for i, k in zip(reversed(odd), reversed(codes.tolist()), strict=True)}
        read = [
            _one(cell, decimal, count) if isinstance(cell := first[k], str) else _no_text(cell) for k in known.values()
        ]
        values[at] = np.array([one[0] if isinstance(one, tuple) else math.nan for one in read])[codes]
        own[at] = np.array([isinstance(one, tuple) and one[2] for one in read])[codes]
        out.blank[at] = np.array([one is None for one in read])[codes]
        for row in at[np.array([isinstance(one, str) for one in read])[codes]].tolist():
            out.bad[row] = str(read[known[cell if isinstance(cell := cells[row], str) else repr(cell)]])
        for marks in {one[1] for one in read if isinstance(one, tuple)} - {()}:
            done[marks] = at[np.array([isinstance(one, tuple) and one[1] == marks for one in read])[codes]]
    if _has_underscores(cells):
        where = [i for i, cell in enumerate(cells) if isinstance(cell, str) and "_" in cell and i not in out.bad]
        done[("digits grouped by an underscore",)] = np.array(where, dtype=np.int64)
    for marks, rows in sorted(done.items()):
        for mark in marks if len(rows) else ():
            example = f"{str(cells[rows[0]]).strip()!r} is {values[rows[0]]:.12g}"
            out.said.setdefault(mark, ([], example))[0].extend(rows.tolist())
    out.own_unit = own if own.any() else None
    return out


def _no_text(cell: object) -> str | None:
    return None if cell is None else f"is {_shown(cell)}, not a number"


def _has_underscores(cells: Sequence[object]) -> bool:
    try:
        return "_" in "".join(cells)  # type: ignore[arg-type]
    except TypeError:
        return any(isinstance(cell, str) and "_" in cell for cell in cells)


def _is_plain(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _shown(cell: object) -> str:
    """A cell as a sentence shows it, cut."""
    text = repr(cell)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"


def _one(cell: str, decimal: str, count: bool) -> tuple[float, tuple[str, ...], bool] | str | None:
    """A cell's number, what was done to it and whether it has its own multiple; or why it is none; None of a blank."""
    if count and decimal == "." and cell[-1:] in QUICK and _is_plain(cell[:-1]) and cell[0] != "-":
        return float(cell[:-1]) * MULTIPLES[cell[-1].lower()], (_multiplied(cell[-1]),), True
    lowered = cell.strip().lower()
    if lowered in BLANK:
        return None
    if lowered in INFINITE:
        return "is inf, not finite" if not lowered.startswith("-") else "is -inf, not finite"
    text, marks = clean(cell), []
    if (found := SPREAD.fullmatch(text)) is not None:
        text = found["core"] or found["brief"]
        marks.append("the spread behind a number left out")
    if (found := POWER.fullmatch(text)) is not None:
        times = _digits(found["times"] or "1", decimal)
        if times is None or abs(int(found["power"])) > 1000:
            return f"is {_shown(cell)}, not a number"
        try:
            return times[0] * float(found["base"]) ** int(found["power"]), (*marks, "powers worked out"), True
        except OverflowError:
            return f"is {_shown(cell)}, beyond all numbers"
    found = SUFFIX.fullmatch(text)
    if found is not None and not count and "," in found["core"] and "." not in found["core"]:
        decimal = ","  # no loss has thousands
    read = None if found is None else _digits(found["core"], decimal)
    if found is None or read is None:
        hint = ""
        if "," in text and decimal == ".":
            hint = (
                ": write its decimals after a point"
                if not count
                else ": its comma is neither of decimals nor of thousands"
            )
        return f"is {_shown(cell)}, not a number{hint}"
    value, grouped = read
    marks += grouped
    factor, own = 1.0, False
    if found["suffix"]:
        multiple = _multiple(found["suffix"], count)
        if multiple is None:
            return f"is {_shown(cell)}, not a number"
        factor, own = multiple, multiple != 1.0
        if own:
            marks.append(_multiplied(found["suffix"].split()[0]))
    if len(marks) == 0 and text != cell.strip() and "~" in cell:
        marks.append("signs of approximation left out")
    return value * factor, tuple(marks), own


def _multiplied(suffix: str) -> str:
    return f"the multiple {suffix} multiplied out"


def _digits(core: str, decimal: str) -> tuple[float, list[str]] | None:
    """Digits with separators, as a number and what its separators were; None where they group nothing."""
    parts = EXPONENT.fullmatch(core.strip())
    if parts is None:
        return None
    sign, digits = re.fullmatch(r"([+-]?)(.*)", parts["core"].strip()).groups()  # type: ignore[union-attr]
    marks = []
    whole, mark, rest = digits.partition(decimal)
    if mark and (decimal in rest or not re.fullmatch(r"\d*", rest)):
        return None
    if whole and not whole.isdigit():
        found = GROUPED.fullmatch(whole)
        if found is None:
            return None
        by = found["by"] or ","
        marks.append(f"digits grouped by {_article(NAMES.get(by, 'apostrophe'))}")
        whole = re.sub(r"\D", "", whole)
    if not whole and not rest:
        return None
    if mark and decimal == ",":
        marks.append("decimals after a comma")
    return float(f"{sign}{whole or '0'}.{rest or '0'}{re.sub('[dD]', 'e', parts['exponent'] or '')}"), marks


def _article(name: str) -> str:
    return f"an {name}" if name[0] in "au" else f"a {name}"


def _multiple(suffix: str, count: bool) -> float | None:
    """What a number's letters multiply it by: 1 for a noun such as tokens, None for what is neither."""
    words = [word for word in re.split(r"[\s/]+", suffix.strip(" .").lower()) if word]
    if not count:
        return 1.0 if all(word in NOUNS for word in words) else None
    factor = 1.0
    for i, word in enumerate(words):
        if word in NOUNS:
            continue
        multiple = MULTIPLES.get(word) or next(
            (MULTIPLES[word[:1]] for noun in (*NOUNS, "t") if word[1:] == noun and word[:1] in MULTIPLES), None
        )
        if multiple is None or i:
            return None
        factor = multiple
    return factor
