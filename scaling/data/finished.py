"""What a preparation that was killed had finished: the cleaned text, the tokenizer, whole token files. The next goes on
behind that: nobody wants to wait for ten gigabytes twice."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from scaling.data.integrity import write_whole
from scaling.data.manifest import DroppedCounts, SplitCounts
from scaling.data.spool import Side, Spool, SpooledSet

IDENTITY_FILE = "identity"
DAMAGED = (ValueError, KeyError, TypeError, EOFError, BadZipFile)  # what words of a part raise: it is made anew


class Finished:
    """Kept beside the spooled text, in a folder that goes when the corpus is whole. A part's word is written when the
    part is, so that there is no word of half a part."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def spool(self, make: Callable[[], Spool]) -> Spool:
        words = self._folder / "spool.json"
        with suppress(FileNotFoundError, *DAMAGED):
            return self._read_spool(json.loads(words.read_text()))
        spool = make()
        sides = {"train": spool.train, "validation": spool.validation}
        sides |= {f"set {name}": each.side for name, each in spool.sets.items()}
        for number, side in enumerate(sides.values()):
            np.savez(self._folder / f"places{number}.npz", offsets=side.offsets, lengths=side.lengths)
        told = {
            "sides": {name: side.path.name for name, side in sides.items()},
            "sets": {name: each.sha256 for name, each in spool.sets.items()},
            "source_sha256": spool.source_sha256,
            "dropped": asdict(spool.dropped),
            "validation_keys": list(spool.validation_keys),
        }
        write_whole(words, json.dumps(told))
        return spool

    def _read_spool(self, told: dict[str, dict[str, str]]) -> Spool:
        sides: dict[str, Side] = {}
        for number, (name, file) in enumerate(told["sides"].items()):
            with np.load(self._folder / f"places{number}.npz") as places:
                sides[name] = Side(self._folder / file, places["offsets"], places["lengths"])
        return Spool(
            train=sides["train"],
            validation=sides["validation"],
            sets={name: SpooledSet(sides[f"set {name}"], sha256) for name, sha256 in told["sets"].items()},
            source_sha256=str(told["source_sha256"]),
            dropped=DroppedCounts(**told["dropped"]),  # type: ignore[arg-type]  # numbers, as they were written
            validation_keys=tuple(told["validation_keys"]),
        )

    def text(self, name: str, make: Callable[[], str]) -> str:
        """A part that is a text, such as a trained tokenizer."""
        words = self._folder / f"{name}.text"
        if not words.exists():
            write_whole(words, make())
        return words.read_text(encoding="utf-8")

    def counts(self, file: Path, make: Callable[[], SplitCounts]) -> SplitCounts:
        """What a token file holds, which is there whole."""
        words = self._folder / f"{file.name}.json"
        with suppress(FileNotFoundError, *DAMAGED):
            if file.exists():
                return SplitCounts(**json.loads(words.read_text()))
        counts = make()
        write_whole(words, json.dumps(asdict(counts)))
        return counts


def is_of(folder: Path, identity: str) -> bool:
    """Whether a folder that was left behind is of this corpus."""
    try:
        return (folder / IDENTITY_FILE).read_text() == identity
    except OSError:
        return False


def name_after(folder: Path, identity: str) -> None:
    write_whole(folder / IDENTITY_FILE, identity)
