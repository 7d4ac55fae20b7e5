"""How a study's records are fitted and reported."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class FitOptions:
    """
    convention  what N and C mean in the main fit; the report shows all
    bootstrap   resamples of the trajectories behind every interval; 0 leaves intervals to the delta method
    level       probability of the intervals
    targets     training FLOPs for which the report names the best N and D, as 6 N D; null: the
                largest that was fitted and 10 times that
    figures     false leaves the figures out
    validation  the validation set whose losses are fitted; null: the corpus' own split
    """

    convention: Literal["total", "non_embedding", "chinchilla", "kaplan"]
    bootstrap: int
    level: float
    targets: tuple[float, ...] | None
    figures: bool
    seed: int
    validation: str | None = None


@dataclass(frozen=True)
class Columns:
    """What a table calls each column; null where it has the name used here."""

    params: str | None
    tokens: str | None
    loss: str | None
    flops: str | None
    budget: str | None
    unique_tokens: str | None
    loss_sem: str | None
    run: str | None

    @property
    def renamed(self) -> dict[str, str]:
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class TableOptions:
    """The root of `configs/fit.yaml`: anyone's losses in, laws and a report out.

    source       a .csv, .jsonl or .parquet file, or the folder of a study
    out          folder for fits.json, report.md and report/
    holdout      null; a share such as 0.2, the rows with most compute; or a condition such as "flops>1e20"
    targets      training FLOPs to forecast; as 6 N D; null: the largest that was fitted and 10 times that
    convention   how the table counts params and flops, in words; null: as given
    conventions  other columns that count params: the fit is shown under each
    curves       null; a file of training curves with the same columns and `run`, for approach 1 alone: losses from
                 before the end of a schedule are too high for a law
    force        names of checks whose refusal is overruled; the report says so
    overwrite    take `out` though it holds what this program did not make
    """

    source: str
    out: str
    columns: Columns
    holdout: str | None
    targets: tuple[float, ...] | None
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

    def __post_init__(self) -> None:
        if not self.source or not self.out:
            raise ValueError("source or out is empty; name both, for example source=points.csv out=laws")
