"""The learning rate at the corners of a grid: what was measured there, and what it says of the rule."""

import math
from dataclasses import dataclass
from pathlib import Path

from scaling.folders import study_lock
from scaling.specs import Plan
from scaling.values import ValueMismatch, read_json, write_json

CORNERS_FILE = "lr-corners.json"
CORNERS_SCHEMA = 1


@dataclass(frozen=True)
class Corner:
    """One (size, budget) under the rule's rates times each of `multiples`, 1 among them. Losses are nats/token, None
    where that run diverged or ran out of memory. `run_id` is that of the rule's own run, as the plan has it."""

    run_id: str
    size: str
    params: int
    tokens: int
    multiples: tuple[float, ...]
    losses: tuple[float | None, ...]

    @property
    def own_loss(self) -> float | None:
        return self.losses[self.multiples.index(1.0)]

    @property
    def gains(self) -> dict[float, float]:
        """By multiple, the share by which its loss is below the rule's own; those that have both."""
        own = self.own_loss
        if own is None:
            return {}
        return {
            multiple: 1.0 - loss / own
            for multiple, loss in zip(self.multiples, self.losses, strict=True)
            if multiple != 1.0 and loss is not None
        }


@dataclass(frozen=True)
class Corners:
    """All corners of a study with the noise of a seed, as a share of the loss (`noise_freedom` degrees of freedom).

    `best_multiples` are the corners' optima by a parabola in the log of the rate, kept within what was measured;
    `remedy` is the override that corrects the rule to them.
    """

    schema: int
    corners: tuple[Corner, ...]
    noise_relative_sd: float
    noise_freedom: int
    best_multiples: tuple[float, ...]
    remedy: str

    def __post_init__(self) -> None:
        for corner in self.corners:
            if 1.0 not in corner.multiples or len(corner.multiples) != len(corner.losses):
                raise ValueError(
                    f"the corner {corner.size} has multiples {corner.multiples} and losses {corner.losses}"
                )
        if len(self.best_multiples) != len(self.corners):
            raise ValueError(f"there are {len(self.corners)} corners and {len(self.best_multiples)} best multiples")

    @property
    def gain_sd(self) -> float:
        """Of a gain between two runs of equal expectation."""
        return math.sqrt(2.0) * self.noise_relative_sd

    def belongs_to(self, plan: Plan) -> bool:
        """Whether the plan still trains the very runs that these corners vary."""
        return all(corner.run_id in plan.by_id for corner in self.corners)


def write_corners(study_folder: Path, corners: Corners) -> None:
    with study_lock(study_folder):
        write_json(study_folder / CORNERS_FILE, corners)


def read_corners(study_folder: Path) -> Corners | None:
    """None where the study has none. Raises ValueMismatch for a file of another version."""
    path = study_folder / CORNERS_FILE
    if not path.exists():
        return None
    corners = read_json(Corners, path)
    if corners.schema != CORNERS_SCHEMA:
        raise ValueMismatch(f"{path} has schema {corners.schema} and this version reads {CORNERS_SCHEMA}: delete it")
    return corners
