"""Logs of evaluations: a run's rows on the way are no finished runs; the last one is its point."""

from dataclasses import dataclass

import numpy as np

from scaling.laws.distributions import t_quantile
from scaling.laws.observations import BoolArray, FloatArray, IntArray
from scaling.tables.yardstick import column_effects, expected_loss

MIN_ROWS = 3  # of a run, for it to be a log by its steps
MIN_EVEN = 8  # of a run of evenly spaced tokens, for it to be looked at without steps
EVEN = 0.2  # coefficient of variation of the spacing
MOST_OF = 0.5
BENT_LEVEL = 0.999
STEEP = 2.0  # finished runs are below 1.2
HIGHER, CHANCE = 0.005, 1e-6  # of the loss, for each factor e in tokens to the end


@dataclass(frozen=True)
class Runs:
    """Rows by run, [n], ordered by tokens within each; `starts` and `sizes` of the runs in `order`."""

    order: IntArray
    starts: IntArray
    sizes: IntArray

    def last(self) -> IntArray:
        """The row with most tokens of each run; of several the last in the file."""
        ends: IntArray = self.order[self.starts + self.sizes - 1]
        return ends


def grouped(run: IntArray, tokens: FloatArray) -> Runs:
    order = np.lexsort((np.arange(len(run)), tokens, run))
    starts = np.flatnonzero(np.diff(run[order], prepend=-1))
    return Runs(order, starts, np.diff(np.append(starts, len(run))))


def follow_steps(runs: Runs, step: FloatArray, tokens: FloatArray) -> bool:
    """Whether most rows are of runs whose steps rise with their tokens: a log, not finished runs."""
    inside = 0
    for start, size in zip(runs.starts.tolist(), runs.sizes.tolist(), strict=True):
        rows = runs.order[start : start + size]
        if size >= MIN_ROWS:
            steps = step[rows]
            inside += (
                size if np.isfinite(steps).all() and (np.diff(steps) >= 0).mean() > 0.9 and steps[-1] > steps[0] else 0
            )
    return inside > MOST_OF * len(step)


def undecayed(runs: Runs, params: FloatArray, tokens: FloatArray, loss: FloatArray) -> bool:
    """Whether rows fall along runs as only a decaying rate makes them. Evaluations lie evenly, finished runs seldom:
    where rows do not, they must bend beyond chance."""
    if not evenly_spaced(runs, tokens):
        return bent_by_a_decay(runs, tokens, loss, beyond_chance=True)
    return bent_by_a_decay(runs, tokens, loss) or steeper_than_finished(runs, params, tokens, loss)


def evenly_spaced(runs: Runs, tokens: FloatArray) -> bool:
    """Whether most rows are of long runs at an even distance, as evaluations are and budgets seldom."""
    inside = 0
    for start, size in zip(runs.starts.tolist(), runs.sizes.tolist(), strict=True):
        if size >= MIN_EVEN:
            gaps = np.diff(tokens[runs.order[start : start + size]])
            gaps = gaps[gaps > 0]
            inside += size if gaps.size and gaps.std() < EVEN * gaps.mean() else 0
    return inside > MOST_OF * len(tokens)


def bent_by_a_decay(runs: Runs, tokens: FloatArray, loss: FloatArray, *, beyond_chance: bool = False) -> bool:
    """Whether losses fall ever faster, on a logarithmic scale, towards the end of most long runs.

    Finished runs of one size fall ever slower, as any power law with a floor does; a decaying rate bends the end of a
    curve down. By the sign of the second derivative of log loss in log tokens over the second half of each run, pooled.
    """
    found: list[float] = []
    for start, size in zip(runs.starts.tolist(), runs.sizes.tolist(), strict=True):
        rows = runs.order[start + size // 2 : start + size]
        if size < MIN_EVEN or len(rows) < 5:
            continue
        x, y = np.log(tokens[rows]), np.log(loss[rows])
        x = (x - x.mean()) / max(float(x.std()), 1e-300)
        design = np.stack([np.ones(len(x)), x, x * x], axis=1)
        solved, *_ = np.linalg.lstsq(design, y, rcond=None)
        found.append(float(solved[2]))
    if len(found) < 3:
        return not beyond_chance and bool(found) and len(found) == sum(value < 0 for value in found) and len(found) > 1
    bends = np.array(found)
    error = bends.std(ddof=1) / np.sqrt(len(bends))
    mostly = not beyond_chance and (bends < 0).mean() > 0.9
    return bool(mostly or bends.mean() < -t_quantile(BENT_LEVEL, len(bends) - 1) * error)


def steeper_than_finished(runs: Runs, params: FloatArray, tokens: FloatArray, loss: FloatArray) -> bool:
    """Whether the log losses of most long runs fall over their second half by several times what finished runs of so
    many tokens fall (Hoffmann et al. 2022, Eq. 10, as a yardstick)."""
    found: list[bool] = []
    for start, size in zip(runs.starts.tolist(), runs.sizes.tolist(), strict=True):
        if size >= MIN_EVEN:
            ends = runs.order[[start + size // 2, start + size - 1]]
            fall = float(-np.diff(np.log(loss[ends]))[0])
            expected = float(-np.diff(np.log(expected_loss(params[ends], tokens[ends])))[0])
            found.append(fall > STEEP * expected)
    return len(found) > 1 and float(np.mean(found)) > MOST_OF


def higher_before_the_end(runs: Runs, params: FloatArray, tokens: FloatArray, loss: FloatArray) -> bool:
    """Whether losses at equal N and D are higher the longer their run still goes on, as only before a decay.

    Told where runs of one N have other ends: otherwise how far the end is follows from N and D.
    """
    if runs.sizes[runs.sizes >= MIN_ROWS].sum() <= MOST_OF * len(tokens):
        return False
    end = np.empty(len(tokens))
    end[runs.order] = np.repeat(tokens[runs.last()], runs.sizes)
    moved = column_effects(params, tokens, loss, np.log(end / tokens)[:, None])
    return moved is not None and moved[0][0] > HIGHER and moved[1] < CHANCE


def not_last(runs: Runs, num_rows: int) -> BoolArray:
    out = np.ones(num_rows, dtype=np.bool_)
    out[runs.last()] = False
    return out
