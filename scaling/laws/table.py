"""From rows of any table to observations: every row that cannot be used is listed with its reason."""

import math
import re
from collections.abc import Iterable, Mapping

import numpy as np

from scaling.laws.observations import DEFAULT_CONVENTION, Exclusion, Observations

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
    """Read rows, as of a CSV or JSON-lines file, into observations.

    Args:
        rows: mappings from column name to number or text.
        columns: the table's name of a column for each of `COLUMNS` that is called otherwise.
        convention: how the table counts params and flops.
        first_line: number of the first row in its file, for the exclusions; 2 for a CSV with a header.

    A blank flops is 6 * params * tokens, a blank unique_tokens means fresh text, a blank loss_sem is unknown (0). A
    row is excluded when a value is missing, no number, not finite or not positive, or when all its numbers repeat
    those of an earlier row.

    Raises:
        ValueError: `columns` names an unknown field, a required column is missing, or no row can be used.
    """
    names = {field: field for field in COLUMNS} | dict(columns or {})
    unknown = set(names) - set(COLUMNS)
    if unknown:
        raise ValueError(f"columns names {sorted(unknown)}: the fields are {', '.join(COLUMNS)}")
    listed = [(line, row) for line, row in enumerate(rows, start=first_line)]
    if not listed:
        raise ValueError("the table has no rows: give at least one with params, tokens and loss")
    present = set().union(*(row.keys() for _, row in listed))
    for field in REQUIRED:
        if names[field] not in present:
            raise ValueError(
                f"no column {names[field]!r} for {field}: the columns are {', '.join(sorted(map(str, present)))}; "
                f"name it with columns.{field}=NAME"
            )
    for field, name in (columns or {}).items():
        if name not in present:
            raise ValueError(f"no column {name!r} for {field}: the columns are {', '.join(sorted(map(str, present)))}")
    seen: dict[tuple[float, ...], int] = {}
    used: list[tuple[int, dict[str, float], str]] = []
    excluded: list[Exclusion] = []
    for line, row in listed:
        try:
            numbers = _numbers(row, names, present)
        except ValueError as problem:
            excluded.append(Exclusion(line, str(problem)))
            continue
        key = tuple(numbers[field] for field in (*REQUIRED, *OPTIONAL))
        if key in seen:
            excluded.append(Exclusion(line, f"duplicate of row {seen[key]}"))
            continue
        seen[key] = line
        run = row.get(names["run"])
        used.append((line, numbers, str(line) if _blank(run) else f"run {run}"))
    if not used:
        reasons = "; ".join(f"row {e.row}: {e.reason}" for e in excluded[:3])
        raise ValueError(
            f"none of the {len(listed)} rows can be used ({reasons}): correct the table or map its columns"
        )
    column = {field: np.array([numbers[field] for _, numbers, _ in used]) for field in (*REQUIRED, *OPTIONAL)}
    return Observations(
        params=column["params"],
        tokens=column["tokens"],
        loss=column["loss"],
        flops=column["flops"],
        trajectory=np.array([run for _, _, run in used]),
        convention=convention,
        excluded=tuple(excluded),
        unique_tokens=column["unique_tokens"] if names["unique_tokens"] in present else None,
        loss_sem=column["loss_sem"] if names["loss_sem"] in present else None,
        budget=column["budget"] if names["budget"] in present else None,
    )


def _blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _numbers(row: Mapping[str, object], names: Mapping[str, str], present: set[str]) -> dict[str, float]:
    numbers = {field: _number(row.get(names[field]), field) for field in REQUIRED}
    defaults = {
        "flops": 6.0 * numbers["params"] * numbers["tokens"],
        "unique_tokens": numbers["tokens"],
        "loss_sem": 0.0,
    }
    for field in OPTIONAL:
        value = row.get(names[field])
        if not _blank(value) and not (isinstance(value, float) and math.isnan(value)):
            numbers[field] = _number(value, field, zero_allowed=field == "loss_sem")
        elif field in defaults:
            numbers[field] = defaults[field]
        elif names[field] in present:
            raise ValueError(f"{field} is missing")
        else:
            numbers[field] = 0.0  # no such column: never read
    return numbers


def _number(value: object, field: str, zero_allowed: bool = False) -> float:
    if _blank(value):
        raise ValueError(f"{field} is missing")
    if isinstance(value, str) and "," in value:
        if field.startswith("loss") or not THOUSANDS.fullmatch(value.strip()):
            raise ValueError(f"{field} is {value!r}, not a number: write its decimals after a point")
        value = value.replace(",", "")
    try:
        number = float("bool") if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"{field} is {value!r}, not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{field} is {number}, not finite")
    if number < 0 or (number == 0 and not zero_allowed):
        raise ValueError(f"{field} is {number:g}, not positive")
    if number and not SMALLEST < number < LARGEST:
        raise ValueError(f"{field} is {number:g}, outside {SMALLEST:g} to {LARGEST:g}: correct its unit")
    return number
