"""What the checks of each moment look at: plain values, most of them there long before the next."""

from dataclasses import dataclass

from scaling.data.config import DataConfig
from scaling.data.manifest import Manifest
from scaling.specs import Plan


@dataclass(frozen=True)
class PlannedStudy:
    """Before anything is spent.

    `convention` is how the fit will count N and C (`fit.convention`). `corpus` is None until it is prepared.
    """

    plan: Plan
    convention: str
    data: DataConfig
    corpus: Manifest | None = None
