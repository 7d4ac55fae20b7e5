"""A name that does not exist, and those that may have been meant."""

from collections.abc import Iterable
from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path

ALIKE, AS_ALIKE, MOST_NAMED = 0.6, 0.15, 3
MOST_LOOKED_AT = 2_000  # files of a folder


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message: the known names most like this one, or where none is like it, some that there are."""
    names = sorted(set(known), key=lambda other: (-_likeness(name, other), other))
    if not names:
        return "there is none"
    enough = max(ALIKE, _likeness(name, names[0]) - AS_ALIKE)
    alike = [other for other in names[:MOST_NAMED] if _likeness(name, other) >= enough]
    if alike:
        return f"did you mean {' or '.join(alike)}?"
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return f"there is {', '.join(names[:MOST_NAMED])}{more}"


def _likeness(name: str, other: str) -> float:
    return SequenceMatcher(None, name.casefold(), other.casefold()).ratio()


def nearest_path(path: Path) -> str:
    """The end of a message about a file or folder that is not there: what lies where its path still exists."""
    above = next(parent for parent in path.absolute().parents if parent.is_dir())
    missing = path.absolute().relative_to(above).parts[0]
    names = [entry.name for entry in islice(above.iterdir(), MOST_LOOKED_AT) if not entry.name.startswith(".")]
    return f"in {above}, which has no {missing}, {nearest(missing, names)}"
