"""Records of a planned study whose losses follow a planted law."""

import math
import random
from dataclasses import replace

from scaling.model.counting import (
    chinchilla_training_flops,
    count_parameters,
    count_training_flops,
    kaplan_training_flops,
)
from scaling.records import RECORD_SCHEMA, Provenance, RunRecord
from scaling.specs import Plan, PlannedPoint

E, A, B, ALPHA, BETA = 1.2, 60.0, 300.0, 0.45, 0.5
PROVENANCE = Provenance(
    "0", None, "3", "2", "cpu", "fp32", 1, "host", "corpus", "tokenizer", "2026-01-01T00:00:00+00:00"
)


def planted_loss(params: float, tokens: float) -> float:
    return E + A / params**ALPHA + B / tokens**BETA


def make_record(plan: Plan, point: PlannedPoint, loss: float | None, **changes: object) -> RunRecord:
    """The record of a planned point; without a loss it diverged."""
    model = plan.by_id[point.run_id].model
    values: dict[str, object] = {
        "schema": RECORD_SCHEMA,
        "run_id": point.run_id,
        "size": point.size,
        "init_seed": point.init_seed,
        "data_seed": point.init_seed,
        "budget_tokens": point.tokens,
        "status": "diverged" if loss is None else "done",
        "reason": "at step 7 the loss is nan" if loss is None else None,
        "params": count_parameters(model),
        "tokens": point.tokens,
        "steps": point.steps,
        "unique_tokens": point.tokens,
        "epochs": 0.1,
        "flops": point.tokens * count_training_flops(model).total,
        "flops_kaplan": point.tokens * kaplan_training_flops(model),
        "flops_chinchilla": point.tokens * chinchilla_training_flops(model),
        "final_loss_nats": loss,
        "best_loss_nats": loss,
        "best_loss_tokens": point.tokens,
        "loss_sem_nats": 0.01,
        "bits_per_byte": None if loss is None else loss / math.log(2),
        "perplexity": None if loss is None else math.exp(loss),
        "validation_tokens": 1000,
        "skipped_steps": 0,
        "seconds": 1.0,
        "tokens_per_second": 1.0,
        "peak_memory_bytes": 1,
        "provenance": replace(PROVENANCE, corpus=plan.by_id[point.run_id].corpus),
        **changes,
    }
    return RunRecord(**values)  # type: ignore[arg-type]


def make_records(plan: Plan, noise: float = 0.0) -> list[RunRecord]:
    generator = random.Random(0)
    return [
        make_record(plan, p, planted_loss(p.params, p.tokens) * math.exp(noise * generator.gauss(0, 1)))
        for p in plan.points
    ]
