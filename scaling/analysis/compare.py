"""Two studies, or two tables of losses, side by side: what a budget in one is worth in the other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from scaling.analysis.observations import CONVENTIONS, observations, usable
from scaling.decisions import Comparison, Crossing, MultiplierRow
from scaling.laws.multiplier import Multiplier, Pairs, multiplier
from scaling.laws.observations import IntArray, Observations
from scaling.records import RunRecord
from scaling.specs import Plan
from scaling.tables.headers import words_of
from scaling.tables.options import ReadingOptions
from scaling.tables.read import Table

NUM_BUDGETS = 9
REACH = 10.0  # how far beyond both studies the table goes
# Words of columns that say what a loss is of; the text that was trained on may differ.
OF_THE_MEASURE = {
    *(
        "tokenizer",
        "tokeniser",
        "vocab",
        "vocabulary",
        "vocabsize",
        "split",
        "eval",
        "validation",
        "val",
        "test",
        "evalset",
    ),
    *("valset", "context", "ctx", "seq", "seqlen", "sequence", "metric", "unit", "units"),
}
OF_THE_TOKENIZER = ("tokenizer", "name", "description", "licence", "unique_tokens")


@dataclass(frozen=True)
class GateOptions:
    """When a few runs are enough."""

    multiplier: float = 1.1
    risk: float = 0.05


@dataclass(frozen=True)
class CompareOptions(ReadingOptions):
    """The root of `configs/compare.yaml`.

    a, b            folders of two studies, or two tables of losses; the answer is B's worth in A's compute
    columns         what both tables call their columns; both are read by the same keys of `ReadingOptions`
    convention_a, convention_b   how each table counts params and flops, in words; they must be the same
    flops           budgets of the table; null: from the smallest that both measured to ten times the largest
    level           of the intervals
    gate            where b has at most four runs: the multiplier that would be worth it, and the risk of a wrong answer
    """

    a: str
    b: str
    convention_a: str | None
    convention_b: str | None
    flops: tuple[float, ...] | None
    level: float
    json: bool
    debug: bool
    gate: GateOptions = GateOptions()
    force: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.check_reading()


class Incomparable(ValueError):
    """The two do not measure the same thing; the message says what differs and what to do."""


@dataclass(frozen=True)
class Side:
    """One of the two. `cells` are each row's size, tokens, init seed and data seed; None in a table."""

    name: str
    rows: Observations
    cells: tuple[tuple[str, int, int, int], ...] | None
    unit: str


def compare(a: Side, b: Side, *, flops: Sequence[float] | None = None, level: float = 0.9) -> Comparison:
    """Raises Incomparable: other units, or a law that may not be used."""
    if a.unit != b.unit:
        raise Incomparable(f"{a.name} is measured in {a.unit} and {b.name} in {b.unit}: bring both to one unit")
    spent = [6.0 * side.rows.params * side.rows.tokens for side in (a, b)]
    reference = min(float(c.max()) for c in spent)
    low = max(float(c.min()) for c in spent)
    budgets = np.array(flops) if flops else np.geomspace(min(low, reference / 10), REACH * reference, NUM_BUDGETS)
    pairs = match(a, b)
    try:
        found = multiplier(a.rows, b.rows, budgets, reference, pairs)
    except ValueError as error:
        raise Incomparable(f"a is {a.name}, b is {b.name}: {error}") from None
    rows = tuple(MultiplierRow(g.flops, math.exp(g.log_multiplier), *found.interval(g, level)) for g in found.gaps)
    at = MultiplierRow(reference, math.exp(found.reference.log_multiplier), *found.interval(found.reference, level))
    return Comparison(
        line=None if found.line is None else found.line.words,
        a=a.name,
        b=b.name,
        unit=a.unit,
        level=level,
        num_pairs=found.num_pairs if found.correlation is not None else 0,
        correlation=found.correlation,
        reference=at,
        rows=rows,
        told_apart=found.told_apart,
        verdict=_verdict(found, at, level),
        trend=_trend(found, level),
        clear=_clear(rows, level),
        crossing=_crossing(rows),
    )


def match(a: Side, b: Side) -> Pairs | None:
    """Rows of the same size, tokens, seed and data order, and the trajectories they belong to."""
    if a.cells is None or b.cells is None:
        return None
    there = {cell: j for j, cell in enumerate(b.cells)}
    rows = [(i, there[cell]) for i, cell in enumerate(a.cells) if cell in there]
    runs = {cell[:1] + cell[2:]: k for k, cell in enumerate({c[:1] + c[2:]: c for c in a.cells}.values())}

    def numbers(side: Side) -> IntArray:
        return np.array([runs.get(cell[:1] + cell[2:], -1) for cell in side.cells or ()], dtype=np.int64)

    return Pairs(np.array(rows, dtype=np.int64).reshape(-1, 2), numbers(a), numbers(b)) if rows else None


def study_sides(found: Sequence[tuple[str, Plan, Sequence[RunRecord], dict[str, object]]]) -> tuple[Side, Side]:
    """Two studies with their plans, records and corpus configs; in bits for each byte where tokenizers differ.

    Raises Incomparable where they were not validated on the same text, or one has no measured point.
    """
    (name_a, _, _, corpus_a), (name_b, _, _, corpus_b) = found
    differs = sorted(
        key for key in corpus_a.keys() | corpus_b.keys()
        if key not in OF_THE_TOKENIZER and corpus_a.get(key) != corpus_b.get(key)
    )  # fmt: skip
    if differs:
        raise Incomparable(
            f"{name_a} and {name_b} were validated on other text (data.{', data.'.join(differs)} differ), and losses "
            "on two texts have no common scale: run one of them again on the corpus of the other"
        )
    bytes_too = corpus_a.get("tokenizer") != corpus_b.get("tokenizer")
    sides = []
    for name, plan, records, _ in found:
        good, _ = usable(plan, records)
        if bytes_too and any(record.bits_per_byte is None for record in good):
            raise Incomparable(f"{name} has no bits for each byte, which two tokenizers need: train it again")
        if not good:
            raise Incomparable(f"{name} has no measured point that a law could be fitted to: run its sweep first")
        rows = observations(plan, good, CONVENTIONS["total"])
        if bytes_too:
            rows = replace(rows, loss=np.array([record.bits_per_byte for record in good], dtype=np.float64))
        cells = tuple((r.size, r.budget_tokens, r.init_seed, r.data_seed) for r in good)
        unit = "bits per byte" if bytes_too else "nats per token"
        sides.append(Side(name, rows, None if bytes_too else cells, unit))
    return sides[0], sides[1]


def require_one_convention(options: CompareOptions) -> None:
    """Raises Incomparable where two tables are said to count otherwise."""
    if options.convention_a != options.convention_b:
        raise Incomparable(
            f"a counts {options.convention_a!r} and b {options.convention_b!r}: a multiplier of compute needs one "
            "count; convert one of the tables"
        )


def table_sides(a: Table, b: Table) -> tuple[Side, Side]:
    """Two tables. Raises Incomparable where a column says that their losses are of other tokens or other text."""
    others = {column.name.casefold(): column for column in b.beside if column.role == "kind"}
    for column in a.beside:
        other = others.get(column.name.casefold())
        if column.role != "kind" or other is None or not set(words_of(column.name)) & OF_THE_MEASURE:
            continue
        ours, theirs = ({value.casefold() for value in each.distinct} for each in (column, other))
        if ours and theirs and ours != theirs:
            raise Incomparable(
                f"column {column.name!r} of a says {', '.join(column.distinct)} and that of b "
                f"{', '.join(other.distinct)}: their losses are not one quantity; bring both to one, or say "
                f"ignore=[{column.name}]"
            )
    first, second = (Side(Path(table.source).name, table.observations, None, "nats per token") for table in (a, b))
    return first, second


def _verdict(found: Multiplier, at: MultiplierRow, level: float) -> str:
    where = f"at {at.flops:.3g} FLOPs, the largest that both measured"
    gap, _ = found.loss_gap
    worth = f"a FLOP in B is worth {at.multiplier:.3g} in A, {level:.0%} interval {at.low:.3g} to {at.high:.3g}"
    if math.isinf(at.multiplier):
        worth = (
            f"A's floor is above B's loss, so no compute in A is worth it; B's loss is {-math.expm1(-gap):.1%} lower"
        )
    if not found.told_apart:
        return f"The two cannot be told apart {where}: {worth}."
    return f"{'B is better' if gap > 0 else 'A is better'}: {where}, {worth}."


def _trend(found: Multiplier, level: float) -> str:
    slope, sd = found.trend
    half = found.t(level) * sd
    if not math.isfinite(half):
        return "Whether the gap closes with compute cannot be told, since A does not reach B's loss."
    change = f"ln m changes by {slope:.2g} ± {half:.2g} for each e-fold"
    if abs(slope) <= half:
        return f"Whether the gap closes with compute cannot be told ({change})."
    wider = (slope > 0) == (found.reference.log_multiplier > 0)
    return f"The gap {'widens' if wider else 'closes'} with compute: {change}."


def _clear(rows: Sequence[MultiplierRow], level: float) -> str:
    """At which budgets of the table one is better than the other: a verdict at the largest says nothing of smaller."""
    words = []
    for name, budgets in (("B", [r.flops for r in rows if r.low > 1]), ("A", [r.flops for r in rows if r.high < 1])):
        ends = f", from {min(budgets):.3g} to {max(budgets):.3g} FLOPs" if budgets else ""
        words.append(f"{name} is better at {len(budgets)} of {len(rows)} budgets{ends}")
    return f"Each budget by itself, by its {level:.0%} interval: {'; '.join(words)}."


def _crossing(rows: Sequence[MultiplierRow]) -> Crossing | None:
    """The first change of sign of ln m, between neighbours in the table, and the budgets around it that contain 1."""
    for i, (left, right) in enumerate(pairwise(rows)):
        if not (math.isfinite(left.multiplier) and math.isfinite(right.multiplier)):
            continue
        before, after = math.log(left.multiplier), math.log(right.multiplier)
        if before * after < 0:
            share = before / (before - after)
            flops = math.exp((1 - share) * math.log(left.flops) + share * math.log(right.flops))
            clear_left = [row.flops for row in rows[: i + 1] if not row.low <= 1 <= row.high]
            clear_right = [row.flops for row in rows[i + 1 :] if not row.low <= 1 <= row.high]
            return Crossing(flops, max(clear_left, default=None), min(clear_right, default=None))
    return None
