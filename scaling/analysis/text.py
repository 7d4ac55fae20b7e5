"""What a study says of its text: the law on each validation set, repeated data, and how well the floor is pinned."""

from collections.abc import Sequence
from dataclasses import replace

from scaling.analysis.config import FitOptions
from scaling.analysis.observations import CONVENTIONS, observations
from scaling.analysis.repetition import repetition
from scaling.analysis.study import Measured
from scaling.analysis.vocabulary import bytes_per_token
from scaling.data.manifest import Manifest
from scaling.data.oracle import KnownEntropy
from scaling.laws.fit import fit_law
from scaling.laws.floor import floor_interval
from scaling.laws.forms import CHINCHILLA
from scaling.laws.intervals import parameter_intervals
from scaling.records import RunRecord
from scaling.results import FittedLaw, StudyReport, ValidationLaw, VocabularyLaw
from scaling.specs import Plan


class UnknownValidationSet(ValueError):
    """No record has a loss on it; the message names those that are there."""


OWN = "validation"  # the corpus' own split


def on_validation_set(records: Sequence[RunRecord], name: str | None) -> list[RunRecord]:
    """The records with their losses on a further validation set in the place of those on the corpus' own split.

    Raises UnknownValidationSet for a set that no record has.
    """
    if name in (None, OWN):
        return list(records)
    known = sorted({each for record in records for each in record.validation_sets})
    if records and name not in known:
        raise UnknownValidationSet(
            f"fit.validation is {name!r}, and the records have losses on {', '.join([OWN, *known])}: choose one of "
            "these"
        )
    return [_on(record, str(name)) for record in records]


def _on(record: RunRecord, name: str) -> RunRecord:
    loss = record.validation_sets.get(name)
    if loss is None:
        return replace(record, final_loss_nats=None, best_loss_nats=None, best_loss_tokens=None)
    return replace(
        record,
        final_loss_nats=loss.loss_nats,
        best_loss_nats=None,
        best_loss_tokens=None,
        loss_sem_nats=loss.loss_sem_nats,
        bits_per_byte=loss.bits_per_byte,
        word_perplexity=loss.word_perplexity,
        validation_tokens=loss.tokens,
    )


def with_text(
    report: StudyReport,
    measured: Measured,
    options: FitOptions,
    manifest: Manifest | None,
    entropy: KnownEntropy | None,
    vocabularies: tuple[VocabularyLaw, ...] = (),
) -> StudyReport:
    """The report with its findings on the text."""
    convention = CONVENTIONS[options.convention]
    laws = validation_laws(report.plan, report.fitted_records, options, manifest)
    everything = (*measured.fitted, *measured.repeated)
    unseen = (*measured.held_out, *measured.repeated_held_out)
    repeated = repetition(report.plan, everything, unseen, convention, options.level)
    floor = floor_interval(report.fitted, options.level)
    return replace(
        report,
        validation_laws=laws,
        vocabulary_laws=vocabularies,
        repetition=repeated,
        floor=floor,
        entropy=entropy,
    )


def validation_laws(
    plan: Plan, records: Sequence[RunRecord], options: FitOptions, manifest: Manifest | None
) -> tuple[ValidationLaw, ...]:
    """Chinchilla's law on each validation set that the records have, the corpus' own first; empty where it is alone."""
    names = dict.fromkeys(name for record in records for name in record.validation_sets)
    if not names:
        return ()
    shares = {} if manifest is None else {each.name: each.overlap.share for each in manifest.validation_sets}
    if manifest is not None:
        shares[OWN] = manifest.overlap.share
    found = []
    for name in (OWN, *names):
        there = [r for r in on_validation_set(records, name) if r.final_loss_nats is not None and r.bits_per_byte]
        rows = observations(plan, there, CONVENTIONS[options.convention])
        fit = fit_law(CHINCHILLA, rows)
        intervals = parameter_intervals(fit, rows, level=options.level) if fit.usable else {}
        law = FittedLaw(f"L(N, D) on {name}", fit, rows, None, intervals)
        found.append(ValidationLaw(name, law, bytes_per_token(there[0]), shares.get(name)))
    return tuple(found)
