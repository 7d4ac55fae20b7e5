"""What a preparation that was killed had finished: the cleaned text, the tokenizer, whole token files. The next goes on
behind that: nobody wants to wait for ten gigabytes twice. A part that is not as it was written is made again."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from scaling.data.integrity import digest_of, write_whole
from scaling.data.manifest import DroppedCounts, SplitCounts
from scaling.data.spool import Side, Spool, SpooledSet

IDENTITY_FILE = "identity"


class Finished:
    """Kept beside the spooled text, in a folder that goes when the corpus is whole. A part's word is written when the
    part is, so that there is no word of half a part, and has the SHA-256 of its files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def spool(self, make: Callable[[], Spool]) -> Spool:
        words = self._folder / "spool.json"
        known = self._whole(words)
        if known is not None:
            return self._read_spool(known)
        spool = make()
        sides = {"train": spool.train, "validation": spool.validation}
        sides |= {f"set {name}": each.side for name, each in spool.sets.items()}
        files = [side.path for side in sides.values()]
        for number, side in enumerate(sides.values()):
            files.append(self._folder / f"places{number}.npz")
            np.savez(files[-1], offsets=side.offsets, lengths=side.lengths)
        told = {
            "sides": {name: side.path.name for name, side in sides.items()},
            "sets": {name: each.sha256 for name, each in spool.sets.items()},
            "source_sha256": spool.source_sha256,
            "dropped": asdict(spool.dropped),
            "validation_keys": list(spool.validation_keys),
        }
        self._finish(words, told, files)
        return spool

    def _read_spool(self, told: dict[str, Any]) -> Spool:
        sides: dict[str, Side] = {}
        for number, (name, file) in enumerate(told["sides"].items()):
            with np.load(self._folder / f"places{number}.npz") as places:
                sides[name] = Side(self._folder / file, places["offsets"], places["lengths"])
        return Spool(
            train=sides["train"],
            validation=sides["validation"],
            sets={name: SpooledSet(sides[f"set {name}"], sha256) for name, sha256 in told["sets"].items()},
            source_sha256=str(told["source_sha256"]),
            dropped=DroppedCounts(**told["dropped"]),
            validation_keys=tuple(told["validation_keys"]),
        )

    def text(self, name: str, make: Callable[[], str]) -> str:
        """A part that is a text, such as a trained tokenizer."""
        words = self._folder / f"{name}.json"
        known = self._whole(words)
        if known is None:
            known = make()
            self._finish(words, known, ())
        return str(known)

    def counts(self, file: Path, make: Callable[[], SplitCounts]) -> SplitCounts:
        """What a token file holds, which is there whole."""
        words = self._folder / f"{file.name}.json"
        known = self._whole(words)
        if known is not None:
            return SplitCounts(**known)
        counts = make()
        self._finish(words, asdict(counts), (file,))
        return counts

    def _whole(self, words: Path) -> Any:
        """What a part's word tells; None where it, or a file of the part, is not as it was written."""
        try:
            word = json.loads(words.read_bytes())
            there = {name: digest_of(self._folder.parent / name).sha256 for name in word["files"]}
            return word["told"] if there == word["files"] else None
        except (OSError, ValueError, KeyError, TypeError):  # none, or half of one
            return None

    def _finish(self, words: Path, told: object, files: Iterable[Path]) -> None:
        digests = {str(file.relative_to(self._folder.parent)): digest_of(file).sha256 for file in files}
        write_whole(words, json.dumps({"told": told, "files": digests}))


def is_of(folder: Path, identity: str) -> bool:
    """Whether a folder that was left behind is of this corpus."""
    try:
        return (folder / IDENTITY_FILE).read_bytes() == identity.encode()
    except OSError:
        return False


def name_after(folder: Path, identity: str) -> None:
    write_whole(folder / IDENTITY_FILE, identity)
