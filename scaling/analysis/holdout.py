"""What is kept out of the fit, to test it: a share of the rows by compute, or those that a condition names."""

import operator
import re
from dataclasses import dataclass

import numpy as np

from scaling.laws.observations import BoolArray, FloatArray, IntArray, Observations
from scaling.laws.splits import top_share
from scaling.laws.table import OPTIONAL, REQUIRED
from scaling.tables.account import TableError
from scaling.tables.read import Table, number_in

COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
CONDITION = re.compile(r"(?P<column>[^<>=]+?)\s*(?P<sign>>=|<=|>|<)\s*(?P<number>[^<>=\s]+)")
HOW = 'give a share such as 0.2, or a condition such as "flops>1e20" (with >, >=, < or <=)'


@dataclass(frozen=True)
class HoldOut:
    """Which rows are kept out, [n], and the rule in words; `repeated`: which of the rows whose text was repeated."""

    held: BoolArray
    rule: str
    repeated: BoolArray


def hold_out(table: Table, rule: str | None) -> HoldOut:
    """By the rule, or by a study's own column where there is no rule.

    Raises TableError: no such rule or column, or nothing would be left on one side.
    """
    num_rows, repeated = len(table.observations), table.repeated
    again = np.zeros(0 if repeated is None else len(repeated), dtype=np.bool_)
    if rule is None:
        own = table.held_out
        return HoldOut(np.zeros(num_rows, dtype=np.bool_) if own is None else own, "as the study planned", again)
    share = _number(rule)
    if share is None:
        held, again, words = _by_condition(table, rule)
    elif 0 < share < 1:
        held, words = np.zeros(num_rows, dtype=np.bool_), f"the {share:.0%} of the rows with most compute"
        held[top_share(table.observations, share).held] = True
        if repeated is not None:
            again = repeated.flops >= table.observations.flops[held].min()
    else:
        raise TableError(f"holdout is {rule}; a share lies between 0 and 1: {HOW}")
    if not held.any() or held.all():
        which = "every row" if held.all() else "no row"
        raise TableError(f"holdout is {rule!r}, which keeps out {which} of {num_rows}: choose a value within the data")
    return HoldOut(held, words, again)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _by_condition(table: Table, rule: str) -> tuple[BoolArray, BoolArray, str]:
    found = CONDITION.fullmatch(rule.strip())
    limit = _number(found["number"]) if found else None
    if found is None or limit is None:
        raise TableError(f"holdout is {rule!r}, neither a share nor a condition: {HOW}")
    name, compare = found["column"].strip(), COMPARE[found["sign"]]
    held, repeated = (
        np.zeros(0, dtype=np.bool_) if rows is None else np.asarray(compare(_column(table, name, rows, at), limit))
        for rows, at in ((table.observations, table.rows), (table.repeated, table.repeated_rows))
    )
    return held, repeated, f"the rows with {rule.strip()}"


def _column(table: Table, name: str, rows: Observations, at: IntArray | None) -> FloatArray:
    """A column by its name here, which may be worked out (flops), or by its name in the file."""
    if name in (*REQUIRED, *OPTIONAL):
        values: FloatArray | None = getattr(rows, name)
        if values is not None:
            return values
    return number_in(table, name, at)
