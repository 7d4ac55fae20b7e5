"""Frozen dataclasses from and to plain JSON values, strictly: the one place where a mapping becomes a type.

YAML (through `config`), specs and records on disk all pass here, so an unknown key, a missing key or a wrong
type is refused in the same words everywhere.
"""

import contextlib
import dataclasses
import json
import math
import os
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

T = TypeVar("T")


class ValueMismatch(ValueError):
    """A value does not fit its declared type; the message names the key, the value and what is expected."""


def from_plain(kind: type[T], value: object, where: str) -> T:
    """`value` (JSON or YAML types) as a `kind`; `where` is the key's path for messages.

    Raises ValueMismatch for an unknown key, a missing one or a wrong type; whatever a dataclass' own
    `__post_init__` raises passes through.
    """
    converted: T = _convert(kind, value, where)
    return converted


def _convert(kind: Any, value: object, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(arguments, value, where)
    if origin is typing.Literal:
        if value not in arguments or isinstance(value, bool) is not isinstance(arguments[0], bool):
            raise ValueMismatch(f"{where} is {value!r}; it must be one of {', '.join(map(str, arguments))}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ValueMismatch(f"{where} is {value!r}; it must be a list")
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_convert(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
        if len(value) != len(arguments):
            raise ValueMismatch(f"{where} has {len(value)} items; it must have {len(arguments)}")
        return tuple(
            _convert(k, item, f"{where}[{i}]") for i, (k, item) in enumerate(zip(arguments, value, strict=True))
        )
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ValueMismatch(f"{where} is {value!r}; it must be a mapping")
        return {str(key): _convert(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(kind):
        return _convert_dataclass(kind, value, where)
    return _convert_scalar(kind, value, where)


def _convert_union(arguments: tuple[Any, ...], value: object, where: str) -> Any:
    """`X | None`, or a kind beside literal words, such as `int | Literal["auto"]`."""
    if value is None and type(None) in arguments:
        return None
    kinds = [k for k in arguments if k is not type(None)]
    for kind in kinds[:-1]:
        with contextlib.suppress(ValueMismatch):
            return _convert(kind, value, where)
    try:
        return _convert(kinds[-1], value, where)
    except ValueMismatch:
        if len(kinds) == 1:
            raise
        named = " or ".join(_name(kind) for kind in kinds)
        raise ValueMismatch(f"{where} is {value!r}; it must be a {named}") from None


def _convert_dataclass(kind: Any, value: object, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise ValueMismatch(f"{where} is {value!r}; it must be a mapping with the keys of {kind.__name__}")
    fields = {f.name: f for f in dataclasses.fields(kind) if f.init}
    unknown = sorted(str(key) for key in value if key not in fields)
    if unknown:
        raise ValueMismatch(
            f"{where} has the unknown key {unknown[0]!r}; the keys are {', '.join(sorted(fields))}: correct or "
            "remove it"
        )
    hints = typing.get_type_hints(kind)
    optional = (dataclasses.MISSING, dataclasses.MISSING)
    missing = [name for name, f in fields.items() if name not in value and (f.default, f.default_factory) == optional]
    if missing:
        raise ValueMismatch(f"{where} lacks the key {missing[0]!r}; give it a {_name(hints[missing[0]])}")
    return kind(**{str(key): _convert(hints[str(key)], item, f"{where}.{key}") for key, item in value.items()})


def _convert_scalar(kind: Any, value: object, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    # YAML 1.1 reads 4e6 as text; a float with a whole value is what a person means by a token count of 4e6.
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind in (int, float) and isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            raise ValueMismatch(f"{where} is {value!r}; it must be a {_name(kind)}") from None
        return _convert_scalar(kind, number, where)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueMismatch(f"{where} is {value!r}; it must be a {_name(kind)}")
    return value


def _name(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(map(str, typing.get_args(kind)))
    names = {int: "whole number", float: "number", str: "text", bool: "true or false"}
    return names.get(kind, getattr(kind, "__name__", str(kind)))


def to_plain(value: object) -> Any:
    """A dataclass as nested dicts, lists and scalars that `from_plain` takes back."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return value


def finite_or_null(plain: Any) -> Any:
    """Plain values with None for NaN and infinity, which JSON does not have: missing is null."""
    if isinstance(plain, dict):
        return {key: finite_or_null(item) for key, item in plain.items()}
    if isinstance(plain, list | tuple):
        return [finite_or_null(item) for item in plain]
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON, whole or not at all: to a temporary file, flushed to disk, then renamed."""
    text = json.dumps(to_plain(value), indent=1, allow_nan=False) + "\n"
    write_atomically(path, text.encode())


def write_atomically(path: Path, content: bytes | Callable[[IO[bytes]], object]) -> None:
    """`content` may be what writes it, for what should not lie in memory whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_left_overs(folder: Path, spare: str | None = None) -> None:
    """Temporary files of `write_atomically` that a killed process left; only for whoever alone writes in the folder,
    but for the file named `spare`, which somebody else may be writing just now."""
    for path in folder.glob(".*.tmp"):
        if spare is None or not path.name.startswith(f".{spare}."):
            path.unlink(missing_ok=True)


def read_json(kind: type[T], path: Path) -> T:
    """Raises ValueMismatch, naming the file, where it is not JSON or not a `kind`; FileNotFoundError as usual."""
    return from_plain(kind, read_plain(path), str(path))


def read_plain(path: Path) -> Any:
    """A JSON file's plain value. Raises ValueMismatch where it is none."""
    try:
        return json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueMismatch(f"{path} is not JSON ({error}); delete it and run the command again") from None
