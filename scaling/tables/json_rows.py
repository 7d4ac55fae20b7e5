"""JSON as rows: an object a line, an array of objects, objects one after another, columns; nested keys with dots."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from scaling.tables.account import Note, TableError
from scaling.tables.files import Sheet
from scaling.tables.headers import recognised

Object = Mapping[str, object]
SAMPLE = 20  # lines by which a file of one object a line is known
INT_DIGITS = 18  # of an integer that keeps its digits; longer ones are float64


def read_json_rows(path: Path, text: str, notes: tuple[Note, ...]) -> Sheet:
    """Raises TableError where no object is in it."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    begun = [line for line in lines if line.strip()][:SAMPLE]
    if 2 * sum(isinstance(_parsed(line), dict) for line in begun) < max(len(begun), 1) or len(begun) == 1:
        whole = _parsed(text)
        if whole is not None:
            found, words = _entries(whole)
            if found is None:
                raise TableError(f"{path} holds {words}: give an array of objects, or an object a line")
            note = (*notes, Note(words, len(found), "")) if words else notes
            return _sheet(path, "JSON", "entry", found, list(range(1, len(found) + 1)), {}, len(found), {}, note)
        if text.lstrip().startswith("["):
            raise TableError(f"{path} is not JSON ({_why(text)}): write it anew")
        if begun and begun[0].strip() == "{":
            return _one_after_another(path, text, lines, notes)
    rows: list[object] = []
    numbers, problems, blank = [], {}, 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            blank += 1
            continue
        row = _parsed(line)
        if not isinstance(row, dict):
            problems[len(rows)] = "not a JSON object" if row is not None else f"not JSON: {_why(line)}"
        rows.append(row if isinstance(row, dict) else {})
        numbers.append(number)
    return _sheet(path, "JSON lines", "line", rows, numbers, problems, len(lines), {"blank lines": blank}, notes)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= INT_DIGITS else float(digits)


DECODER = json.JSONDecoder(parse_int=_integer)


def _parsed(text: str) -> object | None:
    """The value, or None where it is none; null is no row either."""
    try:
        value: object = DECODER.decode(text)
    except (json.JSONDecodeError, RecursionError):
        return None
    return value


def _why(text: str) -> str:
    try:
        DECODER.decode(text)
    except (json.JSONDecodeError, RecursionError) as error:
        return str(error)
    return "null"


def _entries(whole: object) -> tuple[Sequence[object] | None, str]:
    """The rows of a whole file, and what was taken for them; None where there are none."""
    if isinstance(whole, list):
        return whole, ""
    if not isinstance(whole, dict):
        return None, f"the value {str(whole)[:40]!r} alone"
    if isinstance(whole.get("data"), list) and isinstance(whole.get("columns"), list):  # pandas, orient="split"
        names = [str(name) for name in whole["columns"]]
        rows = [dict(zip(names, row, strict=False)) for row in whole["data"] if isinstance(row, list)]
        return rows, "the rows under 'data', named by 'columns'"
    lists = {key: value for key, value in whole.items() if isinstance(value, list)}
    objects = [key for key, value in lists.items() if value and all(isinstance(item, dict) for item in value)]
    if len(objects) == 1:
        return whole[objects[0]], f"the objects under {objects[0]!r}"
    inner = list(whole.values())
    rows_by_key = inner and all(isinstance(value, dict) for value in inner)
    if rows_by_key and len({frozenset(value) for value in inner}) == 1 and recognised(list(inner[0]), ()) > 1:
        return [{"key": key, **value} for key, value in whole.items()], "an object of objects, whose keys are in 'key'"
    columns = {key: value for key, value in whole.items() if isinstance(value, list | dict)}
    if len(columns) > 1 and len({len(value) for value in columns.values()}) == 1:
        values = [list(value.values()) if isinstance(value, dict) else value for value in columns.values()]
        if all(not isinstance(item, dict | list) for value in values for item in value):
            return [
                dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)
            ], "columns under their names"
    if len(inner) == 1 and rows_by_key and (found := _entries(inner[0]))[1]:
        return found[0], f"{found[1]}, under {next(iter(whole))!r}"
    if rows_by_key:
        return [{"key": key, **value} for key, value in whole.items()], "an object of objects, whose keys are in 'key'"
    return [whole], ""


def _one_after_another(path: Path, text: str, lines: Sequence[str], notes: tuple[Note, ...]) -> Sheet:
    """Objects over several lines each, numbered by the line on which each begins."""
    rows: list[object] = []
    numbers, at, used = [], 0, 0
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        if at == len(text):
            break
        number = text.count("\n", 0, at) + 1
        try:
            row, end = DECODER.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError) as error:
            raise TableError(f"{path} is not JSON from line {number} on ({error}): write it anew") from None
        rows.append(row)
        numbers.append(number)
        used += text.count("\n", at, end)
        at = end
    structure = {"further lines of objects": used, "blank lines": len(lines) - used - len(rows)}
    return _sheet(path, "JSON", "line", rows, numbers, {}, len(lines), structure, notes)


def _sheet(
    path: Path, form: str, unit: str, rows: Sequence[object], numbers: Sequence[int], problems: Mapping[int, str],
    num_lines: int, structure: Mapping[str, int], notes: tuple[Note, ...],
) -> Sheet:  # fmt: skip
    flat = [_flat(row) if isinstance(row, dict) else {} for row in rows]
    problems = {i: "not a JSON object" for i, row in enumerate(rows) if not isinstance(row, dict)} | dict(problems)
    names = tuple(dict.fromkeys(name for row in flat for name in row))
    if not names and not problems:
        raise TableError(f"{path} has no rows: give at least one with params, tokens and loss")
    if any("." in name for name in names) and any(
        isinstance(v, dict) for row in rows if isinstance(row, dict) for v in row.values()
    ):
        notes = (*notes, Note("nested keys are joined by points, as in train.tokens", 0, ""))
    columns = tuple([row.get(name) for row in flat] for name in names)
    counted = {name: count for name, count in structure.items() if count}
    return Sheet(form, unit, names, columns, np.array(numbers, dtype=np.int64), problems, num_lines, counted, notes)


def _flat(row: Object) -> Object:
    if not any(isinstance(value, dict) for value in row.values()):
        return row
    out: dict[str, object] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            out |= {f"{key}.{inner}": item for inner, item in _flat(value).items()}
        else:
            out[str(key)] = value
    return out
