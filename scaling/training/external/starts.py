"""Every start of a program in a run's folder, kept beside its output: from where it went on, how far it came, how it
ended."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scaling.trainers.config import ResumeOptions
from scaling.trainers.expressions import home, pieces, value_of
from scaling.values import ValueMismatch, read_json, write_json

STARTS_FILE = "starts.json"
_SPECIAL = re.compile(r"[\\()\[\]{}*+?|^$]")


@dataclass(frozen=True)
class Start:
    """`checkpoint` is None from the beginning, and empty where the program finds its own. `log_bytes` is where its
    output begins, `step` the furthest that was read, `code` its exit code (None: nobody saw it end), `stopped` by us.
    """

    checkpoint: str | None
    log_bytes: int
    began_at: float
    step: float | None = None
    code: int | None = None
    stopped: bool = False
    seconds: float = 0.0

    @property
    def ended_well(self) -> bool:
        return self.code == 0 and not self.stopped


@dataclass(frozen=True)
class Starts:
    """`useless` are checkpoints from which a start came no further."""

    starts: tuple[Start, ...] = ()
    useless: tuple[str, ...] = ()

    def with_start(self, start: Start) -> "Starts":
        return replace(self, starts=(*self.starts, start))

    def with_last(self, start: Start) -> "Starts":
        return replace(self, starts=(*self.starts[:-1], start))

    @property
    def step(self) -> float:
        """The furthest since the last start from the beginning."""
        furthest = -1.0
        for start in reversed(self.starts):
            furthest = max(furthest, -1.0 if start.step is None else start.step)
            if start.checkpoint is None:
                break
        return furthest


def read_starts(run_folder: Path) -> Starts:
    try:
        return read_json(Starts, run_folder / STARTS_FILE)
    except (FileNotFoundError, ValueMismatch):
        return Starts()


def write_starts(run_folder: Path, starts: Starts) -> None:
    write_json(run_folder / STARTS_FILE, starts)


@dataclass(frozen=True)
class Checkpoint:
    path: str
    groups: Mapping[str, str]
    rank: tuple[float, float]


def checkpoints(options: ResumeOptions, names: Mapping[str, Any]) -> list[Checkpoint]:
    """Those that are there, the newest first."""
    pattern, literal, is_literal = "", "", True
    for piece, is_code in pieces(home(options.newest)):
        # What is filled in is a path, in which no letter means anything else.
        text = str(value_of(f"{{{piece}}}", names)) if is_code else piece
        pattern += re.escape(text) if is_code else text
        special = None if is_code else _SPECIAL.search(text)
        literal += (text if special is None else text[: special.start()]) if is_literal else ""
        is_literal = is_literal and special is None
    compiled, root = re.compile(pattern), Path(literal + "x").parent
    found = []
    for path in sorted(root.rglob("*")) if root.is_dir() else ():
        match = compiled.fullmatch(str(path))
        if match is not None:
            at = match.groupdict().get("at") or ""
            rank = (float(at) if at.isdecimal() else 0.0, path.stat().st_mtime)
            found.append(Checkpoint(str(path), match.groupdict(), rank))
    return sorted(found, key=lambda one: one.rank, reverse=True)


def identity(path: str) -> str:
    """Of a checkpoint's content: one that was written anew under the same name is another. The program's own, which
    nobody sees, is none."""
    if not path:
        return path
    try:
        state = Path(path).stat()
    except OSError:
        return path
    return f"{path}:{state.st_size}:{state.st_mtime_ns}"


def usable(found: Sequence[Checkpoint], useless: Sequence[str]) -> Checkpoint | None:
    return next((one for one in found if identity(one.path) not in useless), None)
