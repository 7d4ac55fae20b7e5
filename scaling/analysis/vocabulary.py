"""A law for each vocabulary of a study. Nats per token of different tokens do not compare: bits per byte do."""

import math
from collections.abc import Mapping, Sequence

from scaling.analysis.config import FitOptions
from scaling.analysis.observations import CONVENTIONS, observations
from scaling.analysis.repetition import held_out_error
from scaling.analysis.study import split_records
from scaling.laws.fit import Fit, fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.intervals import parameter_intervals
from scaling.laws.optimum import optimum
from scaling.records import RunRecord
from scaling.results import FittedLaw, VocabularyLaw
from scaling.specs import Plan


def vocabulary_laws(
    parts: Mapping[int, Plan], records: Sequence[RunRecord], options: FitOptions
) -> tuple[VocabularyLaw, ...]:
    """Chinchilla's law of each vocabulary's own points, in nats per token of its own; empty where there is one.

    The budget at which they are compared is the largest 6 N D that every vocabulary was fitted at. A vocabulary
    without a measured point is left out.
    """
    if len(parts) < 2:
        return ()
    convention = CONVENTIONS[options.convention]
    there = {vocabulary: split_records(plan, records) for vocabulary, plan in parts.items()}
    there = {vocabulary: measured for vocabulary, measured in there.items() if measured.fitted}
    rows = {v: observations(parts[v], measured.fitted, convention) for v, measured in there.items()}
    shared = min((float((6.0 * o.params * o.tokens).max()) for o in rows.values()), default=math.nan)
    found = []
    for vocabulary, measured in there.items():
        fitted = rows[vocabulary]
        fit = fit_law(CHINCHILLA, fitted)
        unseen = observations(parts[vocabulary], measured.held_out, convention) if measured.held_out else None
        found.append(
            VocabularyLaw(
                vocab_size=vocabulary,
                law=FittedLaw(
                    f"L(N, D), {vocabulary:,} entries",
                    fit,
                    fitted,
                    None,
                    parameter_intervals(fit, fitted, level=options.level) if fit.usable else {},
                ),
                bytes_per_token=bytes_per_token(measured.fitted[0]),
                flops=shared,
                best_loss=_best(fit, shared),
                error=held_out_error(fit, unseen),
            )
        )
    return tuple(found)


def bytes_per_token(record: RunRecord) -> float:
    """Of the validation text that a record was measured on."""
    assert record.final_loss_nats is not None
    assert record.bits_per_byte is not None
    return record.final_loss_nats / math.log(2) / record.bits_per_byte


def _best(fit: Fit, flops: float) -> float | None:
    return optimum(fit, flops).loss if fit.usable else None
