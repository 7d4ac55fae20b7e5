"""Frozen dataclasses from and to plain JSON values, strictly: the one place where a mapping becomes a type.

YAML (through `config`), specs and records on disk all pass here, so an unknown key, a missing key or a wrong
type is refused in the same words everywhere.
"""

import contextlib
import dataclasses
import errno
import math
import os
import re
import secrets
import stat
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeVar

from scaling.json_text import NotJson, json_text, parse_json
from scaling.names import nearest

T = TypeVar("T")

MOST_SHOWN = 200  # characters of a value in a message
SCALARS = frozenset({int, float, str, bool, type(None)})
LARGEST = 10**36  # FLOPs, of which nobody will have so many
LARGEST_FILE = 1 << 29  # bytes; a plan of 20,000 points has a tenth

# A temporary file: the name of the file to be, the process, eight digits of chance; up to version 0.2 without these.
_TEMPORARY = re.compile(r"\.(.+\.\d+-[0-9a-f]{8}|[a-z]+(-\d+)?\.(json|jsonl|pt|html|md)\.\d+)\.tmp")


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
            raise ValueMismatch(f"{where} is {shown(value)}; it must be one of {', '.join(map(str, arguments))}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ValueMismatch(f"{where} is {shown(value)}; it must be a list")
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_convert(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
        if len(value) != len(arguments):
            raise ValueMismatch(f"{where} has {len(value)} items; it must have {len(arguments)}")
        return tuple(
            _convert(k, item, f"{where}[{i}]") for i, (k, item) in enumerate(zip(arguments, value, strict=True))
        )
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ValueMismatch(f"{where} is {shown(value)}; it must be a mapping")
        return {str(key): _convert(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(kind):
        return _convert_dataclass(kind, value, where)
    return _convert_scalar(kind, value, where)


def _convert_union(arguments: tuple[Any, ...], value: object, where: str) -> Any:
    """`X | None`, or a kind beside literal words, such as `int | Literal["auto"]`."""
    if value is None and type(None) in arguments:
        return None
    kinds = [k for k in arguments if k is not type(None)]
    if isinstance(value, Mapping):
        kinds = [kind for kind in kinds if dataclasses.is_dataclass(kind)] or kinds
    for kind in kinds[:-1]:
        with contextlib.suppress(ValueMismatch):
            return _convert(kind, value, where)
    try:
        return _convert(kinds[-1], value, where)
    except ValueMismatch:
        if len(kinds) == 1:
            raise
        named = " or ".join(_name(kind) for kind in kinds)
        raise ValueMismatch(f"{where} is {shown(value)}; it must be a {named}") from None


def _convert_dataclass(kind: Any, value: object, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise ValueMismatch(f"{where} is {shown(value)}; it must be a mapping with the keys of {kind.__name__}")
    keys = _keys(kind)
    if not value.keys() <= keys.keys():
        unknown = min(str(key) for key in value if key not in keys)
        raise ValueMismatch(f"{where} has the unknown key {unknown!r}: {nearest(unknown, keys)}")
    if len(value) < len(keys):
        missing = [name for name, key in keys.items() if key.required and name not in value]
        if missing:
            raise ValueMismatch(f"{where} lacks the key {missing[0]!r}; give it a {_name(keys[missing[0]].hint)}")
    converted = {}
    for name, item in value.items():
        key, own = keys[name], type(item)
        if (own in key.as_they_are and (own is not int or abs(item) <= LARGEST)) or (own is str and item in key.words):
            converted[name] = item
        else:
            convert = _convert_dataclass if key.nested else _convert
            converted[name] = convert(key.hint, item, f"{where}.{name}")
    return kind(**converted)


@dataclasses.dataclass(frozen=True)
class _Key:
    """A field as `_convert` sees it: items of the types `as_they_are` and the `words` need no look, and a `nested` one
    is a dataclass itself."""

    hint: Any
    required: bool
    nested: bool
    as_they_are: frozenset[type]
    words: frozenset[str]


@cache
def _keys(kind: Any) -> dict[str, _Key]:
    """The fields of a dataclass by name, worked out once: a study has tens of thousands of records."""
    hints = typing.get_type_hints(kind)
    optional = (dataclasses.MISSING, dataclasses.MISSING)
    return {
        f.name: _Key(
            hint := hints[f.name],
            required=(f.default, f.default_factory) == optional,
            nested=dataclasses.is_dataclass(hint),
            as_they_are=_as_they_are(hint),
            words=frozenset(typing.get_args(hint)) if typing.get_origin(hint) is typing.Literal else frozenset(),
        )
        for f in dataclasses.fields(kind)
        if f.init
    }


@cache
def _as_they_are(kind: Any) -> frozenset[type]:
    """The types of items that a kind takes as they are, but for integers that are too large."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return frozenset[type]().union(*map(_as_they_are, typing.get_args(kind)))
    return frozenset({kind}) if kind in SCALARS else frozenset()


def require_name(what: str, name: str) -> None:
    """Raise ValueError for a name that cannot be one file's or folder's: wherever a file names a path, it names one
    below its own folder."""
    if not name.strip(".") or not name.isprintable() or "/" in name or "\\" in name:
        raise ValueError(f"{what} is {shown(name)}; it names a file or folder: use letters, digits, '_', '-' and '.'")
    if len(name.encode()) > MOST_SHOWN:
        raise ValueError(f"{what} is {shown(name)}, longer than a file's name: use at most {MOST_SHOWN} letters")


def shown(value: object) -> str:
    """A value for a message, cut where it is too long to be read."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}... ({len(text):,} characters)"


def _convert_scalar(kind: Any, value: object, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ValueMismatch(f"{where} is {shown(value)}, beyond every number that a computer holds") from None
    # YAML 1.1 reads 4e6 as text; a float with a whole value is what a person means by a token count of 4e6.
    if kind is int and isinstance(value, float) and value.is_integer():
        return _convert_scalar(kind, int(value), where)
    if kind in (int, float) and isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ValueMismatch(f"{where} is {shown(value)}; it must be a {_name(kind)}")
        return _convert_scalar(kind, number, where)
    if kind is int and isinstance(value, int) and abs(value) > LARGEST:
        raise ValueMismatch(f"{where} is {shown(value)}; no count is as large")
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueMismatch(f"{where} is {shown(value)}; it must be a {_name(kind)}")
    return value


def _name(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(map(str, typing.get_args(kind)))
    if typing.get_origin(kind) is tuple:
        return "list"
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return f"mapping of {', '.join(_keys(kind))}"
    names = {int: "whole number", float: "number", str: "text", bool: "true or false"}
    return names.get(kind, getattr(kind, "__name__", str(kind)))


def to_plain(value: object) -> Any:
    """A dataclass as nested dicts, lists and scalars that `from_plain` takes back."""
    if type(value) in SCALARS:
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: to_plain(getattr(value, name)) for name in _keys(type(value))}
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
    """Write a value as JSON, whole or not at all, as `write_atomically` does."""
    write_atomically(path, json_text(to_plain(value)).encode())


def write_atomically(
    path: Path, content: bytes | Callable[[IO[bytes]], object], *, flush: bool = True, name: str | None = None
) -> None:
    """Write a file whole or not at all: under a name of this call's own, `flush`ed to disk, then renamed.

    `content` may be what writes it, for what should not lie in memory whole. `name` stands in for the file's own in the
    temporary one, where that is looked at by other programs. Raises OSError, which names `path`; what was there before
    is then untouched.
    """
    temporary = path.with_name(f".{name or path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            if flush:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


def open_to_append(path: Path) -> BinaryIO:
    """A file of our own that grows, made if absent. A link is refused: what it leads to may be anybody's."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK  # which does not wait, whatever it is
    return os.fdopen(os.open(path, flags, 0o666), "ab")


def left_overs(folder: Path) -> list[Path]:
    """Temporary files of `write_atomically` that a killed process left in a folder, or a living one is at."""
    return [path for path in folder.glob(".*.tmp") if _TEMPORARY.fullmatch(path.name)]


def remove_left_overs(folder: Path, spare: str | None = None) -> None:
    """Remove them; only for whoever alone writes in the folder, but for the file named `spare`, which somebody else may
    be writing just now."""
    for path in left_overs(folder):
        if spare is None or not path.name.startswith(f".{spare}."):
            path.unlink(missing_ok=True)


def read_json(kind: type[T], path: Path) -> T:
    """Raises ValueMismatch, naming the file, where it is not JSON, not a `kind`, or has a value that no `kind` has;
    FileNotFoundError as usual."""
    return from_file(kind, read_plain(path), path)


def from_file(kind: type[T], plain: object, path: Path | str) -> T:
    """`plain` as a `kind`, as `from_plain`; but whatever the kind says against its values names the file too."""
    try:
        return from_plain(kind, plain, str(path))
    except ValueMismatch:
        raise
    except (ValueError, ArithmeticError) as error:
        raise ValueMismatch(f"{path} holds what cannot be: {error}") from None


def read_plain(path: Path) -> Any:
    """A JSON file's plain value. Raises ValueMismatch where it is none."""
    try:
        return parse_json(read_file(path))
    except NotJson as error:
        raise ValueMismatch(f"{path} is not JSON ({error}); delete it and run the command again") from None


def read_file(path: Path) -> bytes:
    """A file's bytes. Raises ValueMismatch, for a giant too, and OSError, as `open_file`."""
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST_FILE:
            raise ValueMismatch(f"{path} has {size:,} bytes, more than such a file ever has: move it away")
        return file.read()


def open_file(path: Path) -> BinaryIO:
    """Open a file to read it. Raises ValueMismatch for what is none, such as a folder, or a pipe, which would keep its
    reader waiting; FileNotFoundError and other OSErrors as usual."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno not in (errno.ENXIO, errno.ELOOP):
            raise
        raise ValueMismatch(f"{path} is a socket or leads to itself: move it away and run the command again") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueMismatch(f"{path} is no file: move it away and run the command again")
    return os.fdopen(descriptor, "rb")
