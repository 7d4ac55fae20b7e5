"""JSON as text: read as the standard has it, and written for people to read."""

import json
import math
from collections import Counter
from typing import Any

MOST_INDENTED = 2_000  # items of a list


def json_text(plain: Any) -> str:
    """Indented for people; with a line for each item of a list so long that none will read it, since Python's json is
    ten times as fast without indentation."""
    return (_in_lines(plain) if _is_long(plain) else json.dumps(plain, indent=1, allow_nan=False)) + "\n"


def _is_long(plain: Any) -> bool:
    if isinstance(plain, dict):
        return any(map(_is_long, plain.values()))
    return isinstance(plain, list) and len(plain) > MOST_INDENTED


def _in_lines(plain: Any) -> str:
    if not _is_long(plain):
        return json.dumps(plain, allow_nan=False)
    if isinstance(plain, dict):
        return "{\n" + ",\n".join(f"{json.dumps(key)}: {_in_lines(item)}" for key, item in plain.items()) + "\n}"
    return "[\n" + ",\n".join(json.dumps(item, allow_nan=False) for item in plain) + "\n]"


class NotJson(ValueError):
    """A text that is no JSON, or one that different readers would read differently."""


def parse_json(text: str | bytes) -> Any:
    """JSON as the standard has it: no NaN or infinity, each key once. Raises NotJson."""
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_each_key_once)
    except RecursionError:
        raise NotJson("it is nested too deeply") from None
    except ValueError as error:  # also of a number with thousands of digits
        raise NotJson(str(error)) from None


def _no_constant(name: str) -> float:
    raise NotJson(f"it has {name}, which is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NotJson(f"it has {text}, which is beyond every number that a computer holds")
    return value


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise NotJson(f"it has the key {twice!r:.200} twice")
    return found
