"""The part of somebody's trainer that decides its numbers: it enters the id of every run."""

from dataclasses import dataclass, field

from scaling.model.external import Scalar


@dataclass(frozen=True)
class FileOptions:
    """A file that is written below {out} before each start: `source` (in YAML: from) as it is but for keys that are
    `set` and text that is replaced; without a source, the keys alone."""

    source: str | None = None
    set: dict[str, Scalar | tuple[Scalar, ...]] = field(default_factory=dict)
    replace: dict[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class Program:
    """Templates as they were written, not yet filled in. `recipe` has the numbers of the recipe that they name and
    those that only this trainer knows. `unit` is that of its losses; `bytes_per_token` of its validation text, where
    both of its sizes were given."""

    command: tuple[str, ...]
    env: dict[str, str]
    files: dict[str, FileOptions]
    recipe: dict[str, Scalar]
    unit: str
