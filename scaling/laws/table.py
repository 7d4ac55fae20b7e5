"""From rows of any table to observations: every row that cannot be used is listed with its reason."""

import math
import re
from collections.abc import Iterable, Mapping

import numpy as np

from scaling.laws.observations import DEFAULT_CONVENTION, BoolArray, Exclusion, FloatArray, IntArray, Observations

REQUIRED = ("params", "tokens", "loss")
OPTIONAL = ("flops", "budget", "unique_tokens", "loss_sem")
SMALLEST, LARGEST = 1e-100, 1e100  # products of two such numbers are float64 still
THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+(\.\d*)?")  # in a count; in a loss a comma would be a decimal one
COLUMNS = (*REQUIRED, *OPTIONAL, "run")


def observations_from_rows(
    rows: Iterable[Mapping[str, object]],
    columns: Mapping[str, str] | None = None,
    *,
    convention: str = DEFAULT_CONVENTION,
    first_line: int = 1,
) -> Observations:
    """Read rows of numbers, as of a clean CSV or JSON-lines file, into observations.

    Args:
        rows: mappings from column name to number or text.
        columns: the table's name of a column for each of `COLUMNS` that is called otherwise.
        convention: how the table counts params and flops.
        first_line: number of the first row in its file, for the exclusions; 2 for a CSV with a header.

    A blank flops is 6 * params * tokens, and so is a blank budget; a blank unique_tokens means fresh text, a blank
    loss_sem is unknown (0). A row is excluded when a value is missing, no number, not finite or not positive, or when
    all its numbers repeat those of an earlier row.

    Raises:
        ValueError: `columns` names an unknown field, a required column is missing, or no row can be used.
    """
    names = {field: field for field in COLUMNS} | dict(columns or {})
    unknown = set(names) - set(COLUMNS)
    if unknown:
        raise ValueError(f"columns names {sorted(unknown)}: the fields are {', '.join(COLUMNS)}")
    listed = list(rows)
    if not listed:
        raise ValueError("the table has no rows: give at least one with params, tokens and loss")
    present = set().union(*(row.keys() for row in listed))
    for field in (*REQUIRED, *(columns or {})):
        if names[field] not in present:
            raise ValueError(
                f"no column {names[field]!r} for {field}: the columns are {', '.join(sorted(map(str, present)))}; "
                f"name it with columns.{field}=NAME"
            )
    problems: dict[int, str] = {}
    numbers = {
        field: _numbers([row.get(names[field]) for row in listed], field, problems)
        for field in (*REQUIRED, *OPTIONAL)
        if names[field] in present
    }
    runs = [row.get(names["run"]) for row in listed]
    lines = np.arange(first_line, first_line + len(listed))
    return observations_from_columns(numbers, lines, runs=runs, problems=problems, convention=convention)


def observations_from_columns(
    columns: Mapping[str, FloatArray],
    lines: IntArray,
    *,
    runs: Iterable[object] | None = None,
    problems: Mapping[int, str] | None = None,
    convention: str = DEFAULT_CONVENTION,
) -> Observations:
    """Give the usable rows of numeric columns, [n] each, by field; NaN stands for a blank cell.

    Args:
        columns: by field; those of `REQUIRED` must be there.
        lines: what each row is called in the exclusions, [n].
        runs: each row's training run; blank where it has none.
        problems: rows, by number, that are known to be unusable, with the reason.
        convention: how params and flops are counted.

    Raises:
        ValueError: no row can be used.
    """
    num_rows = len(lines)
    reasons = {**unusable_rows(columns), **(problems or {})}
    full = filled(columns)
    good = np.ones(num_rows, dtype=np.bool_)
    good[list(reasons)] = False
    for row, first in repeated_rows([full[f] for f in (*REQUIRED, *OPTIONAL) if f in full], good).items():
        reasons[row] = f"duplicate of row {lines[first]}"
        good[row] = False
    excluded = tuple(Exclusion(int(lines[row]), reasons[row]) for row in sorted(reasons))
    if not good.any():
        said = "; ".join(f"row {e.row}: {e.reason}" for e in excluded[:3])
        raise ValueError(f"none of the {num_rows} rows can be used ({said}): correct the table or map its columns")
    kept = np.flatnonzero(good)
    named = list(runs) if runs is not None else [None] * num_rows
    return Observations(
        **{field: full[field][kept] for field in (*REQUIRED, *OPTIONAL) if field in full},
        trajectory=np.array([str(lines[i]) if _blank(named[i]) else f"run {named[i]}" for i in kept.tolist()]),
        convention=convention,
        excluded=excluded,
    )


def filled(columns: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Give the columns, [n] each, with what a blank cell stands for; flops are always among them."""
    with np.errstate(invalid="ignore", over="ignore"):  # rows that are left out
        product = 6.0 * columns["params"] * columns["tokens"]
    flops = np.where(np.isnan(columns["flops"]), product, columns["flops"]) if "flops" in columns else product
    defaults = {"budget": product, "unique_tokens": columns["tokens"], "loss_sem": np.zeros(len(product))}
    return {
        **columns,
        "flops": flops,
        **{f: np.where(np.isnan(columns[f]), value, columns[f]) for f, value in defaults.items() if f in columns},
    }


def unusable_rows(columns: Mapping[str, FloatArray]) -> dict[int, str]:
    """Give the rows with a value that is missing, not finite, not positive or beyond all units, with the reason."""
    reasons: dict[int, str] = {}
    for field in (*REQUIRED, *OPTIONAL):
        if field not in columns:
            continue
        column = columns[field]
        with np.errstate(invalid="ignore"):
            bad = ~((column > SMALLEST) & (column < LARGEST))
        if field == "loss_sem":
            bad &= column != 0
        if field in OPTIONAL:
            bad &= ~np.isnan(column)
        for row in np.flatnonzero(bad).tolist():
            reasons.setdefault(row, _reason(field, float(column[row])))
    return reasons


def _reason(field: str, number: float) -> str:
    if math.isnan(number):
        return f"{field} is missing"
    if not math.isfinite(number):
        return f"{field} is {number}, not finite"
    if number <= 0:
        return f"{field} is {number:g}, not positive"
    return f"{field} is {number:g}, outside {SMALLEST:g} to {LARGEST:g}: correct its unit"


def repeated_rows(columns: Iterable[FloatArray], good: BoolArray) -> dict[int, int]:
    """Give the rows all whose numbers repeat those of an earlier one among `good`, [n], and that first row."""
    every = list(columns)
    kept = np.flatnonzero(good)
    # Most rows differ from all others by a hash of their bits: only the rest are compared in full.
    code = np.zeros(len(kept), dtype=np.uint64)
    for column in every:
        code = (code ^ column[kept].view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        code ^= code >> np.uint64(29)
    by_code = np.argsort(code)
    tie = np.zeros(len(kept) + 1, dtype=np.bool_)
    tie[1:-1] = code[by_code[1:]] == code[by_code[:-1]]
    kept = kept[np.sort(by_code[tie[1:] | tie[:-1]])]
    if not kept.size:
        return {}
    matrix = np.stack([column[kept] for column in every])
    order = np.lexsort(matrix)  # stable: of equal rows the first in the table comes first
    same = (matrix[:, order[1:]] == matrix[:, order[:-1]]).all(axis=0)
    starts = np.concatenate([[True], ~same])
    firsts = np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))
    again = np.flatnonzero(~starts)
    return dict(zip(kept[order[again]].tolist(), kept[order[firsts[again]]].tolist(), strict=True))


def _blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _numbers(cells: list[object], field: str, problems: dict[int, str]) -> FloatArray:
    """The cells as float64, [n]; a cell that is no number is a problem of its row, unless it has one."""
    out = np.full(len(cells), np.nan)
    for i, cell in enumerate(cells):
        if _blank(cell):
            continue
        try:
            out[i] = _number(cell, field)
            if math.isnan(out[i]) and field in REQUIRED:
                problems.setdefault(i, f"{field} is nan, not finite")
        except ValueError as problem:
            problems.setdefault(i, str(problem))
    return out


def _number(value: object, field: str) -> float:
    if isinstance(value, str) and "," in value:
        if field.startswith("loss") or not THOUSANDS.fullmatch(value.strip()):
            raise ValueError(f"{field} is {value!r}, not a number: write its decimals after a point")
        value = value.replace(",", "")
    try:
        return float("bool") if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"{field} is {value!r}, not a number") from None
    except OverflowError:
        return math.inf
