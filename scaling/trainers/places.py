"""Where a program leaves its numbers, and what stands there: in its output, in files, in TensorBoard's events.

output:PATTERN         each line that matches; named groups are numbers of the same moment, one without a name is the
                       number itself
json:FILE#key          a key, dotted where it is nested
jsonl:FILE#key@step    a line each; step names the key of the step
csv:FILE#key@step      a row each
tensorboard:DIR#tag    scalars, with their steps
{arithmetic}           over what was read and a point's names
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.trainers.expressions import ExpressionError, UnknownName, evaluate, fill, home, pieces

KINDS = ("output", "json", "jsonl", "csv", "tensorboard")
_COLOURS = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
_RANK = re.compile(r"^(?:\[(?:default|rank)?\d+\]:\s?)+")
_NUMBER = re.compile(r"([+-]?(?:\d{1,3}(?:,\d{3})+|\d+|(?=\.\d))(\.\d*)?(?:[eE]([+-]?\d+))?)\s*([kKMBGT])?")
_UNITS = {"": 0, "k": 3, "K": 3, "M": 6, "B": 9, "G": 9, "T": 12}
_FULL_DIGITS = 9  # so many say that a number was not rounded for people


class PlaceError(ValueError):
    """A place that cannot be read as it is written; the message says what it should be."""


@dataclass(frozen=True)
class Reading:
    """A number as it was read: at which step, and half of its last digit."""

    value: float
    step: float | None = None
    half_digit: float = 0.0


def clean_lines(output: str) -> list[str]:
    """A program's output as lines of plain text: without colours and rank prefixes; what a carriage return wrote over
    is a line of its own."""
    plain = _COLOURS.sub("", output)
    return [_RANK.sub("", line).rstrip() for line in re.split(r"[\r\n]+", plain)]


def number(text: object) -> tuple[float, float] | None:
    """A number and half of its last digit, of JSON or as people write them: 1,234,567, 10.65M, -nan. None for none."""
    if isinstance(text, bool) or text is None:
        return None
    if isinstance(text, int | float):
        return float(text), 0.0
    words = str(text).strip()
    found = _NUMBER.fullmatch(words)
    if found is None:
        if words.lstrip("+-").casefold() in ("nan", "inf", "infinity"):
            return float(words), 0.0
        return None
    exponent = _UNITS[found[4] or ""] + int(found[3] or 0)
    plain = found[1].replace(",", "")
    value = float(plain) * 10.0 ** _UNITS[found[4] or ""]
    decimals = len(found[2] or ".") - 1
    digits = len(re.sub(r"[eE].*|\D", "", plain).lstrip("0"))
    whole = decimals == 0 and not found[4] and not found[3]
    return value, 0.0 if whole or digits >= _FULL_DIGITS else 0.5 * 10.0 ** (exponent - decimals)


def check_place(name: str, place: str) -> None:
    """Raises PlaceError for what is no place."""
    if place.startswith("{"):
        for code, _ in pieces(place):
            evaluate_syntax(name, code)
        return
    kind, _, rest = place.partition(":")
    if kind not in KINDS:
        raise PlaceError(f"trainer.read.{name} is {place!r}; begin it with {', '.join(f'{k}:' for k in KINDS)} or {{")
    if kind == "output":
        _compiled(name, rest)
    elif "#" not in rest:
        raise PlaceError(f"trainer.read.{name} is {place!r}; name the file and the key in it: {kind}:FILE#key")


def evaluate_syntax(name: str, code: str) -> None:
    try:
        evaluate(code, {})
    except UnknownName:
        return
    except ExpressionError as error:
        raise PlaceError(f"trainer.read.{name}: {error}") from None


def read_place(name: str, place: str, lines: list[str], names: Mapping[str, Any]) -> dict[str, list[Reading]]:
    """The readings at one place, by name: a pattern may give several. Empty where nothing stands there yet."""
    kind, _, rest = place.partition(":")
    if kind == "output":
        return _of_output(name, rest, lines)
    file, _, key = rest.partition("#")
    key, _, step_key = key.partition("@")
    found: list[Reading] = []
    for path in sorted(_files(home(fill(file, names))), key=lambda path: (path.stat().st_mtime_ns, path)):
        found += _of_file(kind, path, key, step_key)
    return {name: found} if found else {}


def _files(pattern: str) -> list[Path]:
    """Those that a path with * in it names."""
    if "*" not in pattern:
        return [Path(pattern)] if Path(pattern).exists() else []
    root = Path(pattern.partition("*")[0] + "x").parent
    return list(root.glob(str(Path(pattern).relative_to(root))))


def _compiled(name: str, pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern.strip(" ") if not pattern.startswith("  ") else pattern)
    except re.error as error:
        raise PlaceError(f"trainer.read.{name} has a pattern that is none ({error}): {pattern!r}") from None
    if compiled.groups > len(compiled.groupindex) + 1:
        raise PlaceError(f"trainer.read.{name} has several groups without a name: {pattern!r}; name them (?P<step>...)")
    return compiled


def _of_output(name: str, pattern: str, lines: list[str]) -> dict[str, list[Reading]]:
    compiled = _compiled(name, pattern)
    found: dict[str, list[Reading]] = {}
    for line in lines:
        match = compiled.search(line)
        if match is None:
            continue
        named = {key: number(text) for key, text in match.groupdict().items() if text is not None}
        step = named.pop("step", None)
        if compiled.groups > len(compiled.groupindex):
            unnamed = next(i for i in range(1, compiled.groups + 1) if i not in compiled.groupindex.values())
            named[name] = number(match[unnamed])
        elif compiled.groups == 0:
            named[name] = (1.0, 0.0)
        for key, value in named.items():
            # A group that matched what is no number is a loss that is none: it is read as such.
            read, half = (math.nan, 0.0) if value is None else value
            found.setdefault(key, []).append(Reading(read, None if step is None else step[0], half))
        if step is not None:
            found.setdefault("step", []).append(Reading(step[0], step[0]))
    return found


def _of_file(kind: str, path: Path, key: str, step_key: str) -> Iterator[Reading]:
    if kind == "tensorboard":
        yield from _events(path, key)
        return
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return
    rows: list[Any] = []
    if kind == "json":
        rows = [_json(text)]
    elif kind == "jsonl":
        rows = [_json(line) for line in text.splitlines() if line.strip()]
    else:
        rows = list(csv.DictReader(io.StringIO(text)))
    for row in rows:
        value = number(_dotted(row, key))
        step = number(_dotted(row, step_key)) if step_key else None
        if value is not None:
            yield Reading(value[0], None if step is None else step[0], value[1])


def _json(text: str) -> Any:
    """A value that is being written has no end yet: it is not there."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _dotted(row: Any, key: str) -> Any:
    if isinstance(row, Mapping) and key in row:
        return row[key]
    for part in key.split("."):
        if isinstance(row, list) and part.lstrip("-").isdecimal() and -len(row) <= int(part) < len(row):
            row = row[int(part)]
        elif isinstance(row, Mapping) and part in row:
            row = row[part]
        else:
            return None
    return row


def _events(folder: Path, tag: str) -> Iterator[Reading]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for path in sorted({file.parent for file in folder.rglob("*tfevents*")} if folder.is_dir() else {folder}):
        events = EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0})
        events.Reload()
        if tag in events.Tags()["scalars"]:
            for event in events.Scalars(tag):
                yield Reading(float(event.value), float(event.step))
        elif tag in events.Tags().get("tensors", ()):
            import numpy as np
            from tensorboard.util import tensor_util

            for event in events.Tensors(tag):
                yield Reading(float(np.ravel(tensor_util.make_ndarray(event.tensor_proto))[0]), float(event.step))
