"""Each check of a table before its fit finds the sin that it is for, and is silent at a near miss."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scaling.checks import catalogue
from scaling.checks.catalogue import check_reading
from scaling.tables.options import Columns, ReadingOptions
from scaling.tables.read import read_table
from tests.tables.asked import Row, csv_text, law, planted

ROWS = planted()
Change = Callable[[list[Row]], list[Row]]


def each(change: Callable[[int, Row], Row]) -> Change:
    return lambda rows: [{**row, **change(i, row)} for i, row in enumerate(rows)]


def column(name: str, value: Callable[[int, Row], Any]) -> Change:
    return each(lambda i, row: {name: value(i, row)})


def times(factor: Callable[[int, Row], float], name: str = "loss") -> Change:
    return each(lambda i, row: {name: row[name] * factor(i, row)})


def noisy(sd: float, seeds: int) -> Change:
    rng = np.random.default_rng(3)
    return lambda rows: [
        {**row, "loss": row["loss"] * math.exp(sd * rng.normal()), "seed": s} for row in rows for s in range(seeds)
    ]


def unnamed(change: Change) -> Change:
    return lambda rows: [{k: v for k, v in row.items() if k != "seed"} for row in change(rows)]


def then(*changes: Change) -> Change:
    def all_of(rows: list[Row]) -> list[Row]:
        for change in changes:
            rows = change(rows)
        return rows

    return all_of


def evenly(decaying: bool) -> Change:
    """Twelve rows of each N at an even distance: finished runs, or the way of one whose rate falls."""

    def rows_of(rows: list[Row]) -> list[Row]:
        out = []
        for size in sorted({row["params"] for row in rows}):
            for k in range(1, 13):
                over = 0.3 * (1 - k / 12) ** 0.5 if decaying else 0.0
                loss = law(size, 1.6e9 * k) * (1 + over) * (1 + 0.001 * math.sin(9 * k + size))
                out.append({"params": size, "tokens": 1.6e9 * k, "loss": loss})
        return out

    return rows_of


def rates(values: tuple[float, ...]) -> Change:
    """Each pair of N and D at some learning rates, the best of which is 1e-3."""
    return lambda rows: [
        {**row, "lr": lr, "loss": row["loss"] * (1 + 0.01 * math.log(lr / 1e-3) ** 2)} for row in rows for lr in values
    ]


def epochs(most: float, fresh: int) -> Change:
    """Text that was seen more than once from the `fresh`-th N on."""
    sizes = sorted({row["params"] for row in ROWS})
    return column("unique_tokens", lambda i, r: r["tokens"] / (1 if sizes.index(r["params"]) < fresh else most))


# A sin with the level of its finding, and a near miss with another level or none.
SINS: dict[str, tuple[Change, str, Change, str | None]] = {
    "mixed_kinds": (
        column("dataset", lambda i, r: "ab"[i % 2]), "refuse",
        column("dataset_tokens", lambda i, r: 1e9 * (i % 2)), None,
    ),
    "mixed_methods": (
        column("optimizer", lambda i, r: "adam" if r["params"] > 1e8 else "sgd"), "refuse",
        column("optimizer", lambda i, r: "adam"), None,
    ),
    "unlikely_units": (times(lambda i, r: 1e-6, "params"), "refuse", times(lambda i, r: 1e-4, "params"), None),
    "unlikely_ratio": (
        lambda rows: [{**r, "params": r["tokens"], "tokens": r["params"]} for r in rows], "refuse",
        times(lambda i, r: 0.2, "tokens"), None,
    ),
    "unlikely_loss": (times(lambda i, r: 3.0), "refuse", times(lambda i, r: 1.5), "warn"),
    "rising_loss": (
        times(lambda i, r: (r["params"] / 1e7) ** 0.3), "refuse", times(lambda i, r: (r["params"] / 1e7) ** 0.02), None
    ),
    "unrelated_loss": (
        column("loss", lambda i, r: 3 + 0.01 * math.sin(91.0 * i * i)), "refuse",
        times(lambda i, r: math.exp(0.05 * math.sin(37.0 * i * i))), None,
    ),
    "flops_off": (
        column("flops", lambda i, r: 6e-15 * r["params"] * r["tokens"]), "refuse",
        column("flops", lambda i, r: 20 * r["params"] * r["tokens"]), None,
    ),
    "repeated_text": (epochs(8, fresh=2), "refuse", epochs(8, fresh=4), "info"),
    "log_of_evaluations": (evenly(decaying=True), "warn", evenly(decaying=False), None),
    "uneven_cells": (unnamed(noisy(0.06, 3)), "warn", unnamed(noisy(0.01, 3)), None),
    "unexplained_column": (
        then(column("group", lambda i, r: "xy"[i % 2]), times(lambda i, r: 1.05 if r["group"] == "x" else 1.0)), "warn",
        column("group", lambda i, r: "xy"[i % 2]), None,
    ),
    "confounded_column": (
        then(column("gpu", lambda i, r: 8 * (1 + (r["params"] > 2e8))), times(lambda i, r: 1 + r["gpu"] / 400)),
        "warn",
        column("gpu", lambda i, r: "A100" if r["params"] < 2e8 else "H100"), None,
    ),
    "rows_out_of_scale": (
        times(lambda i, r: 100 if i == 40 else 1, "tokens"), "warn",
        times(lambda i, r: 1.3 if i == 40 else 1, "tokens"), None,
    ),
    "best_recipes": (rates((4e-4, 7e-4, 1e-3)), "warn", rates((5e-4, 1e-3, 2e-3)), "info"),
}  # fmt: skip


def levels(folder: Path, rows: list[Row]) -> dict[str, str]:
    path = folder / "a.csv"
    path.write_text(csv_text(rows))
    table = read_table(str(path), ReadingOptions(columns=Columns()))
    return {finding.name: finding.level for finding in check_reading(table)}


def test_nothing_is_said_of_a_clean_table(tmp_path: Path) -> None:
    assert not levels(tmp_path, ROWS)


@pytest.mark.parametrize("name", SINS)
def test_a_sin_is_found_and_a_near_miss_is_not(tmp_path: Path, name: str) -> None:
    sin, level, near_miss, other = SINS[name]
    assert levels(tmp_path, sin(ROWS)).get(name) == level
    assert levels(tmp_path, near_miss(ROWS)).get(name) == other


def test_every_check_of_a_reading_has_a_sin() -> None:
    assert {check.__name__ for check in catalogue.READING} == set(SINS)


def test_clean_tables_raise_no_alarm(tmp_path: Path) -> None:
    """Of a hundred clean tables of other sizes, noise and designs, at most one is doubted."""
    doubted = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        rows = planted(int(rng.integers(4, 9)), int(rng.integers(3, 8)), float(rng.uniform(0.0005, 0.01)), seed)
        if seed % 3 == 0:
            rows = noisy(0.005, 2)(rows)
        found = levels(tmp_path, rows)
        doubted += [(seed, found)] if found else []
    assert len(doubted) <= 1, doubted
