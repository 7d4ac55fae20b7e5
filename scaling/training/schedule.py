"""The learning rate as a share of its peak, a pure function of the step and of the horizon."""

import math

from scaling.specs import RunSpec


def trunk_share(spec: RunSpec, step: int) -> float:
    """Share of the peak at `step` (0-based) of the trunk: linear warmup, then constant."""
    return min(1.0, (step + 1) / max(1, spec.schedule.warmup_steps))


def learning_rate_share(spec: RunSpec, step: int, budget: int) -> float:
    """Share of the peak at `step` (0-based) of the run that ends at `budget` tokens.

    For wsd it equals `trunk_share` up to the branch's first step, which is what lets branches share a trunk.
    """
    schedule = spec.schedule
    steps, warmup = spec.steps(budget), schedule.warmup_steps
    share = trunk_share(spec, step)
    if schedule.kind == "wsd":
        start = spec.cooldown_start(budget)
        if step < start:
            return share
        # The first cooled step is already below the peak and the last is above zero: no step is wasted.
        return share * (steps - step) / (steps - start + 1)
    progress = max(0.0, (step + 1 - warmup) / (steps - warmup + 1))
    if schedule.kind == "cosine":
        decayed = 0.5 * (1.0 + math.cos(math.pi * progress))
    else:
        decayed = 1.0 - progress
    return share * (schedule.final_lr_share + (1.0 - schedule.final_lr_share) * decayed)
