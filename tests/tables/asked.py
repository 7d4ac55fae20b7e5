"""A table asked as a person asks: read, told about, and fitted where nothing refuses it; with a planted law to hold it
against."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scaling.checks.catalogue import check_reading
from scaling.config import ConfigError
from scaling.findings import Finding, refusals
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.optimum import optimum
from scaling.stages.tables import open_table
from scaling.tables.options import Columns, ReadingOptions
from scaling.tables.read import Table

LAW = (1.69, 406.4, 0.34, 410.7, 0.28)
FLOPS = 1.11e20
Row = dict[str, Any]


def law(N: Any, D: Any) -> Any:
    E, A, alpha, B, beta = LAW
    return E + A / N**alpha + B / D**beta


def best_params(flops: float = FLOPS) -> float:
    """Of the planted law."""
    _, A, alpha, B, beta = LAW
    return float((alpha * A / (beta * B)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta)))


def planted(sizes: int = 7, budgets: int = 6, noise: float = 0.002, seed: int = 0) -> list[Row]:
    """Rows of the planted law over a grid of N and D, with other numbers than those of any file kept elsewhere."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for N in np.geomspace(1.9e7, 1.3e9, sizes).round().tolist():
        budget = np.geomspace(6.1e8, 1.9e10, budgets).round()
        loss = law(N, budget) * np.exp(noise * rng.normal(size=budgets))
        rows += [{"params": int(N), "tokens": int(D), "loss": x} for D, x in zip(budget, loss.tolist(), strict=True)]
    return rows


@dataclass(frozen=True)
class Answer:
    """`refused` is the paragraph that refuses the table, None where it is read; `best` its N* over the truth."""

    refused: str | None
    table: Table | None
    findings: tuple[Finding, ...]
    best: float
    used: int

    @property
    def said(self) -> str:
        """All that a person is told."""
        told = [self.refused or ""]
        if self.table is not None:
            reading = self.table.reading
            told += [note.text for note in reading.notes]
            told += [f"{c.field} {c.column} {c.how} {c.unit or ''}" for c in reading.columns]
            told += [e.reason for e in self.table.observations.excluded]
        told += [f"{f.level} {f.name}: {f.numbers} {f.remedy}" for f in self.findings]
        return "\n".join(told)

    @property
    def names(self) -> set[str]:
        return {finding.name for finding in self.findings if finding.level != "info"}


def ask(path: Path, *, columns: dict[str, Any] | None = None, force: Sequence[str] = (), **keys: Any) -> Answer:
    """N* at `FLOPS`; NaN where the rows carry no law."""
    options = ReadingOptions(columns=Columns(**(columns or {})), **keys)
    try:
        table, findings = open_table(str(path), options, force)
    except ConfigError as error:
        return Answer(str(error), None, (), math.nan, 0)
    account_holds(table)
    fit = fit_law(CHINCHILLA, table.observations)
    best = optimum(fit, FLOPS).params / best_params() if fit.usable else math.nan
    return Answer(None, table, findings, best, len(table.observations))


def account_holds(table: Table) -> None:
    """Lines in are rows used and rows listed, each with a reason, and no line is both."""
    listed = [e.row for e in table.observations.excluded]
    used = table.lines.tolist()
    assert table.reading.num_rows == len(used) + len(listed), (table.reading, len(used), len(listed))
    assert not set(used) & set(listed)
    assert len(set(used)) == len(used)
    assert len(set(listed)) == len(listed)
    assert all(e.reason for e in table.observations.excluded)


def csv_text(rows: Iterable[Row], separator: str = ",", form: Callable[[Any], str] = str) -> str:
    rows = list(rows)
    lines = [separator.join(rows[0])]
    lines += [separator.join(form(value) for value in row.values()) for row in rows]
    return "\n".join(lines) + "\n"


def wrong(table: Table, force: Sequence[str] = ()) -> list[str]:
    """The refusals of a table that was read without them."""
    return [finding.name for finding in refusals(check_reading(table, force))]
