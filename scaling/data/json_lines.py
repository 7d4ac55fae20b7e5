"""The texts of JSON files: an object a line, an array of objects, or objects one after another.

Only the column of text is looked at, so the others may hold what they like: other types from row to row, half an emoji.
"""

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from scaling.data.config import DataError

LOOKED_AT = 256  # rows by which a file is known to lack the column


def json_texts(path: Path, column: str) -> Iterator[str]:
    """The strings of `column`, "" where a row has none or null. Raises DataError, which names the file and the line."""
    lacking: dict[str, None] = {}
    found, waiting = False, 0
    for row in _rows(path):
        if not found and column not in row:
            lacking |= dict.fromkeys(row)
            waiting += 1
            if waiting == LOOKED_AT:
                break
            continue
        if not found:
            found = True
            yield from [""] * waiting
        value = row.get(column)
        if value is not None and not isinstance(value, str):
            raise DataError(
                f"data.source.text_column={column!r} of {path} holds {type(value).__name__}, not text: choose a "
                f"column of strings among {', '.join(map(repr, row))}."
            )
        yield value or ""
    if lacking and not found:
        raise DataError(
            f"data.source.text_column={column!r} is no column of {path}, which has {', '.join(map(repr, lacking))}: "
            "choose one of these."
        )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with open_binary(path) as file:
        start = file.read(64).lstrip(b"\xef\xbb\xbf").lstrip()[:1]
    if start == b"[":
        with open_binary(path) as file:
            yield from _objects(json.loads(_text(file.read())), path)
        return
    with open_binary(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(_text(line))
            except json.JSONDecodeError as error:
                if number == 1 and line.strip() == b"{":
                    yield from _one_after_another(path)
                    return
                raise DataError(
                    f"{path} cannot be read (line {number} is not JSON: {error}): it is truncated, damaged, or not "
                    "what its name says; replace it, or take it out."
                ) from None
            yield from _objects([row], path)


def _objects(rows: Any, path: Path) -> Iterator[dict[str, Any]]:
    for row in rows:
        if not isinstance(row, dict):
            raise DataError(f"{path} holds {str(row)[:40]!r} where a row is an object: give each text a key.")
        yield row


def _one_after_another(path: Path) -> Iterator[dict[str, Any]]:
    decoder, at = json.JSONDecoder(), 0
    with open_binary(path) as file:
        text = _text(file.read())
    while at < len(text):
        row, at = decoder.raw_decode(text, at)
        while at < len(text) and text[at] in " \t\r\n":
            at += 1
        yield from _objects([row], path)


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="replace").lstrip("\ufeff")


def open_binary(path: Path) -> BinaryIO:
    """A file's bytes, unpacked where its name says that it is packed."""
    match path.suffix.lower():
        case ".gz":
            return cast(BinaryIO, gzip.open(path, "rb"))
        case ".zst":
            import zstandard

            return io.BufferedReader(zstandard.open(path, "rb"))
    return path.open("rb")
