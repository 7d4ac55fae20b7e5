"""When a run is given up: a number that is not finite, or a loss that stays above its lowest running mean."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scaling.records import Divergence
from scaling.specs import DivergenceRule

# Time constant of the running mean, as a share of the rule's steps.
MEAN_SHARE = 0.25
# Overflows in a row after which the fp16 scaler is not coming back: it halves at each, from 2^16 down to 2^-84.
MAX_SKIPPED_IN_A_ROW = 100


class Diverged(Exception):
    """The run cannot go on to a loss; the message gives step and numbers, `what` has them as a value."""

    def __init__(self, message: str, what: Divergence) -> None:
        super().__init__(message)
        self.what = what


@dataclass
class DivergenceWatch:
    """What the rule remembers from step to step; saved with a checkpoint, so a resumed run is judged alike."""

    mean_nats: float | None = None
    lowest_mean_nats: float | None = None
    steps_above: int = 0
    skipped_in_a_row: int = 0

    def look(
        self,
        rule: DivergenceRule,
        losses: Sequence[float],
        grad_norms: Sequence[float],
        *,
        first_step: int,
        scaled: bool,
    ) -> int:
        """Judge steps in order and return how many of them the fp16 scaler skipped. Raises Diverged.

        With `scaled` gradients an overflow is the scaler's business, until there are too many in a row.
        """
        skipped = 0
        for i, (loss, grad_norm) in enumerate(zip(losses, grad_norms, strict=True)):
            overflow = not math.isfinite(grad_norm)
            skipped += scaled and overflow
            self.skipped_in_a_row = self.skipped_in_a_row + 1 if overflow else 0
            step, numbers = first_step + i, f"the loss is {loss:.6g} and the gradient norm {grad_norm:.6g}"
            what = Divergence(step, _finite(loss), _finite(grad_norm), self.lowest_mean_nats)
            if not math.isfinite(loss) or (overflow and not scaled):
                raise Diverged(f"at step {step} {numbers}", what)
            if self.skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
                raise Diverged(f"up to step {step} the gradient overflowed {MAX_SKIPPED_IN_A_ROW} times in a row", what)
            if rule.steps and self._stays_above(rule, loss):
                raise Diverged(
                    f"at step {step} {numbers}: for {rule.steps} steps the loss has been more than "
                    f"{rule.margin_nats:g} nats above its lowest running mean, {self.lowest_mean_nats:.6g}",
                    what,
                )
        return skipped

    def _stays_above(self, rule: DivergenceRule, loss: float) -> bool:
        lowest = loss if self.lowest_mean_nats is None else self.lowest_mean_nats
        self.steps_above = self.steps_above + 1 if loss > lowest + rule.margin_nats else 0
        mean = loss if self.mean_nats is None else self.mean_nats
        self.mean_nats = mean + (loss - mean) / max(1.0, MEAN_SHARE * rule.steps)
        self.lowest_mean_nats = min(lowest, self.mean_nats)
        return self.steps_above >= rule.steps


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
