"""The training curves of a study's runs, read back from their folders."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from scaling.analysis.observations import Convention
from scaling.curves import curve_path, read_losses
from scaling.laws.observations import Observations
from scaling.results import CurveSegment
from scaling.specs import Plan


def read_segments(
    folder: Path, plan: Plan, tell: Callable[[str], None] = lambda words: None
) -> tuple[CurveSegment, ...]:
    """The trunk and the branches of each run that has them, in the plan's order. Lines that cannot be read are told."""
    segments = []
    for run in plan.runs:
        for budget in (None, *run.budgets):
            path = curve_path(folder / run.id, budget)
            if not path.exists():
                continue
            losses = read_losses(path, tell)
            segments.append(CurveSegment(run.id, run.size, budget, losses.tokens, losses.train, losses.validation))
    return tuple(segments)


def trunk_curves(segments: Sequence[CurveSegment], plan: Plan, convention: Convention) -> Observations | None:
    """Validation losses along the trunks, before any cooldown: too high for a law, and a curve for approach 1.

    None where no trunk was evaluated on its way.
    """
    rows = [
        (convention.params(model), tokens, loss, tokens * convention.flops_per_token(model), segment.run_id)
        for segment in segments
        if segment.budget is None
        for model in (plan.by_id[segment.run_id].model,)
        for tokens, loss in zip(segment.tokens, segment.validation_loss, strict=True)
        if loss is not None and tokens > 0 and 0 < loss < float("inf")
    ]
    if not rows:
        return None
    params, tokens, loss, flops = (np.array([row[i] for row in rows], dtype=np.float64) for i in range(4))
    runs = np.array([row[4] for row in rows])
    return Observations(params, tokens, loss, flops, trajectory=runs, convention=convention.text)
