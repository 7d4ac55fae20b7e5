"""What a check saw: a value that the dry run prints and the report shows at its top."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["info", "warn", "refuse"]


@dataclass(frozen=True)
class Finding:
    """`numbers` are what was seen beside its threshold, in words; `source` is the evidence for the threshold."""

    name: str
    level: Level
    numbers: str
    remedy: str
    source: str
