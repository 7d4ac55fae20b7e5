"""How a study's records are fitted and reported."""

from dataclasses import dataclass
from typing import Literal

from scaling.tables.options import ReadingOptions


@dataclass(frozen=True)
class Targets:
    """
    flops   training FLOPs to find the best N and D for, as 6 N D; null: the largest that was fitted and 10 times that
    points  N and D whose loss is asked for: [[7e9, 3.9e12]]
    """

    flops: tuple[float, ...] | None = None
    points: tuple[tuple[float, float], ...] = ()

    @classmethod
    def of(cls, targets: "tuple[float, ...] | Targets | None") -> "Targets":
        """A list of FLOPs is short for `flops`."""
        return targets if isinstance(targets, Targets) else cls(targets)


@dataclass(frozen=True)
class FitOptions:
    """
    convention  what N and C mean in the main fit; the report shows all
    bootstrap   resamples of the trajectories behind every interval; 0 leaves intervals to the delta method
    level       probability of the intervals
    targets     what to forecast: `Targets`, or a list of training FLOPs
    figures     false leaves the figures out
    validation  the validation set whose losses are fitted; null: the corpus' own split
    """

    convention: Literal["total", "non_embedding", "chinchilla", "kaplan"]
    bootstrap: int
    level: float
    targets: tuple[float, ...] | Targets | None
    figures: bool
    seed: int
    validation: str | None = None


@dataclass(frozen=True)
class TableOptions(ReadingOptions):
    """The root of `configs/fit.yaml`: anyone's losses in, laws and a report out.

    source       a table of losses, as a text, JSON, Parquet or workbook file, or the folder of a study; how it is read
                 is said by the keys of `ReadingOptions`
    out          folder for fits.json, report.md and report/
    by           null; or a column: its values have a law each
    holdout      null; a share such as 0.2, the rows with most compute; or a condition such as "flops>1e20"
    targets      what to forecast: `Targets`, or a list of training FLOPs
    convention   how the table counts params and flops, in words; null: as given
    conventions  other columns that count params: the fit is shown under each
    curves       null; a file of training curves with the same columns and `run`, for approach 1 alone: losses from
                 before the end of a schedule are too high for a law
    force        names of checks whose refusal is overruled; the report says so
    overwrite    take `out` though it holds what this program did not make
    """

    source: str
    out: str
    holdout: str | None
    targets: tuple[float, ...] | Targets | None
    bootstrap: int
    level: float
    figures: bool
    seed: int
    convention: str | None
    conventions: tuple[str, ...]
    curves: str | None
    json: bool
    debug: bool
    force: tuple[str, ...] = ()
    overwrite: bool = False
    by: str | None = None

    def __post_init__(self) -> None:
        self.check_reading()
        if not self.source or not self.out:
            raise ValueError("source or out is empty; name both, for example source=points.csv out=laws")


@dataclass(frozen=True)
class AskOptions:
    """The keys of `configs/fit.yaml` that have a meaning where `source` is a fits.json."""

    source: str
    targets: tuple[float, ...] | Targets | None
    level: float
    json: bool
    debug: bool
