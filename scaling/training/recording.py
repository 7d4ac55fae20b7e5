"""A record from what a trajectory has measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scaling.data.corpus import Corpus
from scaling.model.counting import (
    chinchilla_training_flops,
    count_parameters,
    count_training_flops,
    kaplan_training_flops,
)
from scaling.records import RECORD_SCHEMA, Divergence, PointStatus, Provenance, RunRecord, ValidationLoss
from scaling.specs import RunSpec
from scaling.training.evaluate import Evaluation
from scaling.training.progress import Progress


@dataclass(frozen=True)
class Outcome:
    """How a point ended after `steps` steps; one that is done or stopped early has evaluations."""

    status: PointStatus
    steps: int
    evaluation: Evaluation | None = None
    validation_sets: Mapping[str, ValidationLoss] = field(default_factory=dict)
    reason: str | None = None
    divergence: Divergence | None = None


@dataclass(frozen=True)
class Execution:
    """What it ran on. `peak_flops_per_second` and `energy_joules` are of all its devices together."""

    provenance: Provenance
    peak_memory_bytes: int
    peak_reserved_bytes: int | None
    peak_flops_per_second: float
    datasheet_flops_per_second: float | None
    energy_joules: float | None


def make_record(
    spec: RunSpec, budget: int, corpus: Corpus, progress: Progress, outcome: Outcome, execution: Execution
) -> RunRecord:
    tokens = outcome.steps * spec.optimizer.batch_tokens
    flops = tokens * count_training_flops(spec.model).total
    seconds, done, text = max(progress.seconds, 1e-9), outcome.evaluation, corpus.manifest.validation
    return RunRecord(
        schema=RECORD_SCHEMA,
        run_id=spec.id,
        size=spec.size,
        init_seed=spec.init_seed,
        data_seed=spec.data_seed,
        budget_tokens=budget,
        status=outcome.status,
        reason=outcome.reason,
        params=count_parameters(spec.model),
        tokens=tokens,
        steps=outcome.steps,
        unique_tokens=min(tokens, corpus.num_windows(spec.model.context) * spec.model.context),
        epochs=corpus.epochs(tokens, spec.model.context),
        flops=flops,
        flops_kaplan=tokens * kaplan_training_flops(spec.model),
        flops_chinchilla=tokens * chinchilla_training_flops(spec.model),
        final_loss_nats=None if done is None else done.loss_nats,
        best_loss_nats=progress.best_loss_nats,
        best_loss_tokens=progress.best_loss_tokens,
        loss_sem_nats=None if done is None else done.loss_sem_nats,
        bits_per_byte=None if done is None else done.bits_per_byte(text.bytes_per_token),
        perplexity=None if done is None else done.perplexity,
        validation_tokens=0 if done is None else done.num_tokens,
        skipped_steps=progress.skipped_steps,
        seconds=progress.seconds,
        tokens_per_second=tokens / seconds,
        peak_memory_bytes=execution.peak_memory_bytes,
        peak_reserved_bytes=execution.peak_reserved_bytes,
        provenance=execution.provenance,
        word_perplexity=None if done is None else done.word_perplexity(text.words_per_token),
        validation_sets=dict(outcome.validation_sets),
        divergence=outcome.divergence,
        peak_flops_per_second=execution.peak_flops_per_second,
        datasheet_flops_per_second=execution.datasheet_flops_per_second,
        mfu=flops / seconds / execution.peak_flops_per_second,
        energy_joules=execution.energy_joules,
    )
