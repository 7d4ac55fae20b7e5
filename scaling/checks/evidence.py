"""What the checks of each moment look at: plain values, most of them there long before the next."""

from dataclasses import dataclass

from scaling.corners import Corners
from scaling.data.config import DataConfig
from scaling.data.manifest import Manifest
from scaling.laws.power import Power
from scaling.laws.shape_power import ShapePower
from scaling.records import RunRecord
from scaling.results import CurveSegment
from scaling.specs import Plan


@dataclass(frozen=True)
class Question:
    """What a study is to answer, and what its plan is expected to say of it.

    `quantity` is None where nothing is asked, `power` where no point is fitted; `remedy` names the points to add.
    `shapes` is None where no sizes are shapes of one N; `holds_size`: all are, so that no law in N is wanted.
    """

    quantity: str | None
    power: Power | None
    remedy: str = ""
    shapes: ShapePower | None = None
    holds_size: bool = False


@dataclass(frozen=True)
class PlannedStudy:
    """Before anything is spent.

    `convention` is how the fit will count N and C (`fit.convention`). `corpus` is None until it is prepared, `question`
    where the check of it is not wanted, `corners` until `scaling.tune corners=true` has measured them.
    """

    plan: Plan
    convention: str
    data: DataConfig
    corpus: Manifest | None = None
    question: Question | None = None
    corners: Corners | None = None


@dataclass(frozen=True)
class MeasuredStudy:
    """While its runs go on, and after: the points that ended so far, and the curves of the runs that began."""

    plan: Plan
    records: tuple[RunRecord, ...]
    curves: tuple[CurveSegment, ...]

    @property
    def done(self) -> tuple[RunRecord, ...]:
        """Points that a fit may use."""
        return tuple(record for record in self.records if record.status == "done")
