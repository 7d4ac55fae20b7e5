"""From records to the arrays that laws are fitted to, under a named convention; every row left out has a reason."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from scaling.laws.observations import Observations, Points, points
from scaling.model.config import ModelConfig
from scaling.model.counting import (
    chinchilla_training_flops,
    count_parameters,
    count_training_flops,
    kaplan_training_flops,
)
from scaling.records import RunRecord
from scaling.shapes import holds_size, size_models
from scaling.specs import Plan, PlannedPoint
from scaling.store import Exclusion

# A point that was trained on another number of tokens than planned is another point.
MAX_TOKENS_MISMATCH = 0.005


class MixedCorpora(ValueError):
    """Records of several corpora where one law is asked for; the message names them."""


@dataclass(frozen=True)
class Convention:
    """What N and C mean, as functions of the model. `text` goes wherever a number does."""

    name: str
    text: str
    params: Callable[[ModelConfig], int]
    flops_per_token: Callable[[ModelConfig], int]


def _total(model: ModelConfig) -> int:
    return count_parameters(model).total


def _non_embedding(model: ModelConfig) -> int:
    return count_parameters(model).non_embedding


def _counted(model: ModelConfig) -> int:
    return count_training_flops(model).total


CONVENTIONS = {
    convention.name: convention
    for convention in (
        Convention(
            "total", "N: all parameters; C: training FLOPs, counted (matrices, head, attention)", _total, _counted
        ),
        Convention(
            "non_embedding",
            "N: parameters without embeddings and head; C: training FLOPs, counted",
            _non_embedding,
            _counted,
        ),
        Convention(
            "chinchilla", "N: all parameters; C: 6 N D (Hoffmann et al. 2022)", _total, chinchilla_training_flops
        ),
        Convention(
            "kaplan",
            "N: parameters without embeddings and head; C: 6 N D (Kaplan et al. 2020)",
            _non_embedding,
            kaplan_training_flops,
        ),
    )
}


def usable(plan: Plan, records: Sequence[RunRecord]) -> tuple[list[RunRecord], list[Exclusion]]:
    """Records that a fit may use, in the plan's order, and the planned points that it may not, with reasons."""
    measured = {(record.run_id, record.budget_tokens): record for record in records}
    good: list[RunRecord] = []
    excluded: list[Exclusion] = []
    for point in plan.points:
        record = measured.get((point.run_id, point.tokens))
        corpus = plan.by_id[point.run_id].corpus
        reason = "not measured yet" if record is None else _reason(point, corpus, record)
        if record is not None and reason is None:
            good.append(record)
        elif reason is not None:
            excluded.append(Exclusion(point.run_id, point.tokens, reason))
    return good, excluded


def _reason(point: PlannedPoint, corpus: str, record: RunRecord) -> str | None:
    if record.provenance.corpus != corpus:
        return f"trained on the corpus {record.provenance.corpus[:12]} where {corpus[:12]} was planned"
    if record.status != "done":
        return f"{record.status}: {record.reason}"
    if abs(record.tokens / point.tokens - 1.0) > MAX_TOKENS_MISMATCH:
        return f"trained on {record.tokens} tokens where {point.tokens} were planned"
    if record.final_loss_nats is None:
        return "no final loss"
    return None


def observations(plan: Plan, records: Sequence[RunRecord], convention: Convention) -> Observations:
    """Rows in the order of the records; a row's trajectory is its run. Raises ValueError where there are none,
    MixedCorpora where they are of several corpora."""
    corpora = {plan.by_id[r.run_id].corpus for r in records}
    if len(corpora) > 1:
        raise MixedCorpora(
            f"the points of {plan.study} come from {len(corpora)} corpora "
            f"({', '.join(sorted(c[:12] for c in corpora))}): losses in nats/token of different "
            "text or tokens go into no common fit; fit each corpus alone"
        )
    at = points_at(plan, [(r.run_id, r.tokens) for r in records], convention)
    budgets = [plan.by_cell[r.run_id, r.budget_tokens].nominal_flops for r in records]
    return Observations(
        params=at.params,
        tokens=at.tokens,
        flops=at.flops,
        loss=np.array([r.final_loss_nats for r in records], dtype=np.float64),
        trajectory=np.array([r.run_id for r in records]),
        budget=None if None in budgets else np.array(budgets, dtype=np.float64),
        convention=convention.text,
    )


def points_at(plan: Plan, cells: Sequence[tuple[str, int]], convention: Convention) -> Points:
    """N, D and C of (run id, tokens) cells, measured or not. Where a plan holds N fixed and varies the shape, shapes of
    one N have one: a law would else explain by their last percents what is due to the shape."""
    runs = [plan.by_id[run_id] for run_id, _ in cells]
    models = [run.model for run in runs]
    tokens = np.array([tokens for _, tokens in cells], dtype=np.float64)
    alike = _one_size(plan, convention)
    return points(
        params=np.array([alike.get(run.size) or convention.params(run.model) for run in runs], dtype=np.float64),
        tokens=tokens,
        flops=tokens * np.array([convention.flops_per_token(model) for model in models], dtype=np.float64),
    )


def _one_size(plan: Plan, convention: Convention) -> dict[str, float]:
    """The N of each size that is one shape of several: the geometric mean of theirs."""
    groups = holds_size(plan)
    models = size_models(plan) if groups else {}
    found: dict[str, float] = {}
    for group in groups:
        logs = [math.log(convention.params(models[size])) for size in group.params]
        found |= dict.fromkeys(group.params, math.exp(math.fsum(logs) / len(logs)))
    return found


def held_out_keys(plan: Plan) -> set[tuple[str, int]]:
    return {(point.run_id, point.tokens) for point in plan.points if point.held_out}
