"""Studies that one multirun has made, held against the first of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from scaling.analysis.compare import Incomparable, compare, study_sides
from scaling.config import PLAN_FILE, ConfigError, stored_config
from scaling.records import RunRecord, read_records
from scaling.specs import Plan, read_plan
from scaling.terminal import warn
from scaling.values import to_plain


def compared(folders: Sequence[Path]) -> Iterator[str]:
    """A line for each study after the first: what `scaling.compare` says of the two, or why it says nothing."""
    first, *others = folders
    for other in others:
        try:
            a, b = study_sides([_side(first), _side(other)])
            words = compare(a, b).verdict
        except (Incomparable, ConfigError, OSError) as error:
            words = str(error)
        yield f"A {first.name}, B {other.name}: {words}"


def _side(folder: Path) -> tuple[str, Plan, Sequence[RunRecord], dict[str, object]]:
    config = stored_config(folder)
    return str(folder), read_plan(folder / PLAN_FILE), list(read_records(folder, warn)), dict(to_plain(config.data))
