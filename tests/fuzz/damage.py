"""Ten kinds of damage to a file."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any


def cut(path: Path, random: Random) -> None:
    os.truncate(path, random.randrange(max(path.stat().st_size, 1)))


def empty(path: Path, random: Random) -> None:
    path.write_bytes(b"")


def gone(path: Path, random: Random) -> None:
    path.unlink()


def flipped(path: Path, random: Random) -> None:
    """Bits here and there."""
    content = bytearray(path.read_bytes())
    for _ in range(random.choice((1, 1, 3, 20)) if content else 0):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


def noise(path: Path, random: Random) -> None:
    path.write_bytes(random.randbytes(random.choice((3, 500, 20_000))))


def zeros(path: Path, random: Random) -> None:
    """As after a power cut."""
    path.write_bytes(bytes(path.stat().st_size))


def folder(path: Path, random: Random) -> None:
    path.unlink()
    path.mkdir()


def doubled(path: Path, random: Random) -> None:
    path.write_bytes(path.read_bytes() * 2)


def foreign(path: Path, random: Random) -> None:
    """Another file of the same folder in its place."""
    others = [other for other in sorted(path.parent.iterdir()) if other.is_file() and other != path]
    if others:
        path.write_bytes(random.choice(others).read_bytes())


def impossible(path: Path, random: Random) -> None:
    """Still JSON, with a value that cannot be; text of another kind has a digit changed."""
    content = path.read_bytes()
    try:
        lines = content.decode().splitlines() if path.suffix == ".jsonl" else [content.decode()]
        at = random.randrange(len(lines))
        plain = json.loads(lines[at])
        lines[at] = json.dumps(_with_another(plain, random))
        path.write_text("\n".join(lines) + "\n")
    except (ValueError, UnicodeDecodeError, RecursionError):
        digits = [i for i, byte in enumerate(content) if chr(byte).isdigit()]
        if digits:
            i = random.choice(digits)
            path.write_bytes(content[:i] + random.choice((b"-", b"9" * 30, b"x", b"")) + content[i + 1 :])


ODD: tuple[Any, ...] = (
    None, -1, 0, 1e308, -1e308, float("nan"), float("inf"), "", "x" * 1000, "../../../etc", True, [], {}, [None],
    10**400, "[red]", "2026-13-45", 1.5, {"a": {}},
)  # fmt: skip


def _with_another(plain: Any, random: Random) -> Any:
    """One value, wherever it stands, changed."""
    if isinstance(plain, dict) and plain and random.random() < 0.9:
        key = random.choice(list(plain))
        if random.random() < 0.05:
            return {other: item for other, item in plain.items() if other != key}
        return plain | {key: _with_another(plain[key], random)}
    if isinstance(plain, list) and plain and random.random() < 0.9:
        at = random.randrange(len(plain))
        return [*plain[:at], _with_another(plain[at], random), *plain[at + 1 :]]
    return random.choice(ODD)


KINDS: tuple[Callable[[Path, Random], None], ...] = (
    cut, empty, gone, flipped, noise, zeros, folder, doubled, foreign, impossible,
)  # fmt: skip


def damaged(path: Path, random: Random, kind: Callable[[Path, Random], None] | None = None) -> str:
    """Do one kind of damage, and name it."""
    kind = kind or random.choice(KINDS)
    kind(path, random)
    return kind.__name__
