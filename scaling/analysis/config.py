"""How a study's records are fitted and reported."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class FitOptions:
    """
    convention  what N and C mean in the main fit; the report shows all
    bootstrap   resamples of the trajectories behind every interval; 0 leaves intervals to the delta method
    level       probability of the intervals
    targets     training FLOPs for which the report names the best N and D; null: 1, 10 and 100 times the study's most
    figures     false leaves the figures out
    """

    convention: Literal["total", "non_embedding", "chinchilla", "kaplan"]
    bootstrap: int
    level: float
    targets: tuple[float, ...] | None
    figures: bool
    seed: int

    def __post_init__(self) -> None:
        if self.bootstrap < 0:
            raise ValueError(f"fit.bootstrap is {self.bootstrap}; it must be at least 0")
        if not 0 < self.level < 1:
            raise ValueError(f"fit.level is {self.level}; it must lie between 0 and 1, for example 0.95")
        for target in self.targets or ():
            if not target > 0:
                raise ValueError(f"fit.targets has {target}; a budget must be positive")
