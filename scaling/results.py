"""What a study found: the value that the analysis makes and the report shows. Nothing here computes or reads."""

from collections.abc import Mapping
from dataclasses import dataclass

from scaling.data.oracle import KnownEntropy
from scaling.findings import Finding
from scaling.laws.agreement import Answer
from scaling.laws.analysis import Analysis
from scaling.laws.bootstrap import Bootstrap
from scaling.laws.fit import Fit
from scaling.laws.floor import FloorInterval
from scaling.laws.intervals import Interval, Prediction
from scaling.laws.observations import Observations
from scaling.laws.optimum import Allocation
from scaling.records import RunRecord
from scaling.shapes import Shapes
from scaling.specs import Plan
from scaling.store import Exclusion, Forecast
from scaling.tables.account import Reading


@dataclass(frozen=True)
class FittedLaw:
    """A fit with the rows it was made from and the words that say which slice they are, e.g. "L(N) at D = 1.0M"."""

    title: str
    fit: Fit
    observations: Observations
    bootstrap: Bootstrap | None
    intervals: dict[str, Interval]


@dataclass(frozen=True)
class CurveSegment:
    """A training curve: the trunk (`budget` None) or a branch. Rows are (tokens, train loss, validation loss)."""

    run_id: str
    size: str
    budget: int | None
    tokens: tuple[int, ...]
    train_loss: tuple[float | None, ...]
    validation_loss: tuple[float | None, ...]


@dataclass(frozen=True)
class SeedNoise:
    """Relative standard deviation of the loss over seeds, pooled over `num_cells` replicated (size, budget) cells."""

    relative_sd: float
    num_cells: int
    num_points: int


@dataclass(frozen=True)
class OptimalAllocation:
    """The best N and D for a budget with their intervals."""

    allocation: Allocation
    params: Interval | None
    tokens: Interval | None
    loss: Interval | None


@dataclass(frozen=True)
class LedgerLine:
    """How the forecasts of one law came out, in one study or over all of a folder.

    `inside` of `measured` losses lay in their intervals of probability `level`; `made` counts those not measured yet
    too. `data_hashes` name the sets of rows that the forecasts came from.
    """

    study: str
    law: str
    level: float
    made: int
    measured: int
    inside: int
    mean_error: float | None
    data_hashes: tuple[str, ...]


@dataclass(frozen=True)
class ValidationLaw:
    """Chinchilla's law of the losses on one validation set; `overlap`: share of its 13-grams known from training."""

    name: str
    law: FittedLaw
    bytes_per_token: float
    overlap: float | None


@dataclass(frozen=True)
class VocabularyLaw:
    """Chinchilla's law of the points of one vocabulary, in nats/token; over ln 2 and `bytes_per_token`, bits/byte.

    `best_loss` is the law's at its best N and D for `flops`, a budget (6 N D) that all vocabularies share; None where
    the law may not be used. `error`: on its held-out points.
    """

    vocab_size: int
    law: FittedLaw
    bytes_per_token: float
    flops: float
    best_loss: float | None
    error: "HeldOutError | None"


@dataclass(frozen=True)
class HeldOutError:
    """Absolute relative errors of a law on points that it has not seen."""

    law: str
    num_points: int
    mean: float
    largest: float


@dataclass(frozen=True)
class Repetition:
    """What repeated text is worth. `law` knows unique tokens, `plain` takes every token for a new one; both are
    fitted to all points, of which `num_repeated` saw text more than once, and at most `most_epochs` times. `law` stands
    on the law of fresh text, whose own status is `fresh_status`; None where all its parameters were fitted at once.
    `errors` are on repeated points that were held out."""

    law: FittedLaw
    plain: FittedLaw
    fresh_status: str | None
    num_repeated: int
    most_epochs: float
    errors: tuple[HeldOutError, ...]


@dataclass(frozen=True, eq=False)
class LawReport:
    """What every report shows, wherever its losses come from.

    `fitted` are the rows that the laws were fitted to, `held_out` those kept back (None until they are measured),
    both under the main convention. `analysis` has every form and the selected forecast; `laws` are its forms in their
    order, Chinchilla's first. `source` is where the rows came from, `rule` says which were kept out (None: none), and
    `excluded` which are not used and why (None: those of `fitted`). `estimators` and `conventions` ask for the best N
    of the first target in several ways. Missing is None or empty, and the report says so.
    """

    fitted: Observations
    held_out: Observations | None
    optima: tuple[OptimalAllocation, ...]
    noise: SeedNoise | None
    findings: tuple[Finding, ...]
    source: str
    rule: str | None
    excluded: tuple[tuple[object, str], ...] | None
    seconds: Mapping[str, float]
    analysis: Analysis
    laws: tuple[FittedLaw, ...]
    estimators: tuple[Answer, ...]
    conventions: tuple[Answer, ...]

    def __repr__(self) -> str:
        held = 0 if self.held_out is None else len(self.held_out)
        said = ", ".join(f"{law.title} {law.fit.status}" for law in self.laws[:3])
        return f"<{type(self).__name__}: {len(self.fitted)} rows fitted, {held} held out; {said} ...>"

    @property
    def surface(self) -> FittedLaw:
        """Chinchilla's L(N, D)."""
        return self.laws[0]

    @property
    def law(self) -> FittedLaw:
        """The study's law: Chinchilla's, or that along the line which all rows lie on."""
        along = self.analysis.along
        if along is None:
            return self.surface
        return next(law for law in self.laws if law.fit is along.fit)

    @property
    def lines(self) -> tuple[FittedLaw, ...]:
        """The power laws of one variable, with and without floor."""
        return tuple(law for law in self.laws if law.fit.law.name.startswith("power"))

    @property
    def held_out_prediction(self) -> Prediction | None:
        """What the selected forecast says of the held-out rows without them."""
        return self.analysis.heldout_prediction


@dataclass(frozen=True, eq=False, repr=False)
class StudyReport(LawReport):
    """All of a study.

    `fitted_records` and `held_out_records` are the records of the fitted and held-out rows in the same order.
    `exclusions` are the points that no plain fit may use, each with its reason. `ledger` says how the forecasts of
    all studies in the folder came out, this one's included. `validation_laws` are there where a corpus has several
    validation sets, `vocabulary_laws` where the grid has several
    vocabularies, `repetition` where text was repeated, `entropy` where that of the text is known, `shapes` where sizes
    are shapes of one N; `floor` says how well the fitted rows pin E.
    """

    study: str
    question: str
    command: str
    corpus: str
    plan: Plan
    records: tuple[RunRecord, ...]
    curves: tuple[CurveSegment, ...]
    fitted_records: tuple[RunRecord, ...]
    held_out_records: tuple[RunRecord, ...]
    forecasts: tuple[Forecast, ...]
    exclusions: tuple[Exclusion, ...] = ()
    ledger: tuple[LedgerLine, ...] = ()
    validation_laws: tuple[ValidationLaw, ...] = ()
    vocabulary_laws: tuple[VocabularyLaw, ...] = ()
    repetition: Repetition | None = None
    floor: FloorInterval | None = None
    entropy: KnownEntropy | None = None
    shapes: Shapes | None = None


@dataclass(frozen=True)
class RowInfluence:
    """What a fitted row does to the best N of the first target: Chinchilla's law without it, over with it.

    `line` is where it stands; `residual` the log of its loss over the law's, which was fitted with it.
    """

    line: int
    params: float
    tokens: float
    loss: float
    residual: float
    best_params: float
    ratio: float


@dataclass(frozen=True, eq=False, repr=False)
class TableReport(LawReport):
    """All that anyone's table of losses says.

    `by_run` says that the table names its training runs; `reading`, what became of each line. `repetition` is there
    where text was repeated in rows that are not `fitted`; `influence` has the rows that move the best N most, the first
    before all others.
    """

    command: str
    by_run: bool
    reading: Reading
    repetition: Repetition | None = None
    influence: tuple[RowInfluence, ...] = ()


@dataclass(frozen=True)
class GroupLaw:
    """Chinchilla's law of the rows of a table in which a column has `value`; their report is in `folder`.

    The best N and D, the loss there and its bits/byte are for a budget that all groups were fitted at. None where the
    law may not be used, as `status` and `message` say, or where bytes are not known.
    """

    value: str
    folder: str
    num_points: int
    status: str
    message: str
    parameters: dict[str, float] | None = None
    best_params: float | None = None
    best_tokens: float | None = None
    best_loss: float | None = None
    bytes_per_token: float | None = None
    best_bits_per_byte: float | None = None
