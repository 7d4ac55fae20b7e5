"""A few runs of a variant, held against the law of a baseline."""

import math

import numpy as np

from scaling.analysis.compare import GateOptions, Incomparable, Side
from scaling.laws.analysis import sample_rows
from scaling.laws.backtest import forecaster
from scaling.laws.gate import Gate, GatedRun, GateResult, Worth, gate
from scaling.laws.observations import BoolArray, points

FEW_RUNS = 4


def hold_at_gate(a: Side, b: Side, options: GateOptions, level: float) -> GateResult:
    """Raises Incomparable: other units, no law of A, runs where it says nothing, or impossible options."""
    if a.unit != b.unit:
        raise Incomparable(f"{a.name} is measured in {a.unit} and {b.name} in {b.unit}: bring both to one unit")
    own = _own_rows(a, b)
    rows = sample_rows(a.rows.take(~own))
    try:
        found = gate(forecaster(rows), b.rows, options.multiplier, options.risk)
    except ValueError as error:
        raise Incomparable(f"a is {a.name}, b is {b.name}: {error}") from None
    together, decision, line = found.interval(level), found.decision, found.asked.line
    runs = zip(b.rows.params.tolist(), b.rows.tokens.tolist(), b.rows.loss.tolist(), found.each(level), strict=True)
    cells = np.unique(np.stack([rows.params, rows.tokens]), axis=1)
    return GateResult(
        a=a.name,
        b=b.name,
        unit=a.unit,
        line=None if line is None else line.words,
        level=level,
        num_points=len(rows),
        num_own=int(own.sum()),
        runs=tuple(GatedRun(*run) for run in runs),
        together=together,
        wanted=options.multiplier,
        risk=options.risk,
        evidence=found.evidence,
        boundary=found.boundary,
        decision=decision,
        next=found.next_run(points(*cells)) if decision == "undecided" else None,
        verdict=_verdict(found, together, level),
    )


def _own_rows(a: Side, b: Side) -> BoolArray:
    """The rows of A, [n], that are runs of B: a law that was fitted to a run says nothing of it."""
    there = {*zip(b.rows.params.tolist(), b.rows.tokens.tolist(), b.rows.loss.tolist(), strict=True)}
    rows = zip(a.rows.params.tolist(), a.rows.tokens.tolist(), a.rows.loss.tolist(), strict=True)
    return np.array([row in there for row in rows], dtype=np.bool_)


def _verdict(found: Gate, together: Worth, level: float) -> str:
    worth = "A never gets there"
    if math.isfinite(together.multiplier):
        worth = f"{together.multiplier:.3g}, {level:.0%} interval {together.low:.3g} to {together.high:.3g}"
    said = {
        "promote": f"Promote: the runs speak for {found.worth:g} against 1",
        "drop": f"Drop: the runs speak for 1 against {found.worth:g}",
        "undecided": f"Undecided between 1 and {found.worth:g}",
    }[found.decision]
    return f"{said} (risk {found.risk:g} either way). A FLOP in B is worth this in A: {worth}."
