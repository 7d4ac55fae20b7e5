"""Mutated tables: never a traceback, never a row without an account, never an answer off by a unit without a word."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaling.tables.account import TableError
from scaling.tables.options import Columns, ReadingOptions
from scaling.tables.read import read_table
from tests.tables.asked import Row, account_holds, ask, csv_text, planted

ROWS = planted(5, 5)
Cells = list[list[str]]
FAR = 1.6  # times the best N beyond which an answer is off by more than noise, for 25 rows
WEIRD = [
    "", "nan", "inf", "-1", "0", "1e400", "1e-400", "abc", "1,5", "1.234.567", "1 000", "14.1M", "∞", "½", "1e", "e5",
    '"', '""', "'", "`", "\\", "|", "#", "=1+1", "1/2", "0x10", "1_000", "１２３", "\u202f", "\x0b", "\x1c", "\u2028",
    "9" * 400, "±", "3±", "10^9", "10^99999", "M", "1MM", "true", "None", "[1]", "{}", "-", "$", "1e5M", "\ufeff", "%",
]  # fmt: skip
SEPARATORS = [",", ";", "\t", "|"]


def cells_of(rows: list[Row]) -> Cells:
    return [list(rows[0]), *([str(v) for v in row.values()] for row in rows)]


def set_cell(cells: Cells, draw: random.Random) -> None:
    row = draw.choice(cells)
    row[draw.randrange(len(row))] = draw.choice(WEIRD)


def scale_column(cells: Cells, draw: random.Random) -> None:
    """A column in another unit: what must be said or refused."""
    at, factor = draw.randrange(len(cells[0])), 10.0 ** draw.choice([-9, -6, -3, 3, 6, 9])
    for row in cells[1:]:
        try:
            row[at] = repr(float(row[at]) * factor)
        except (ValueError, IndexError):
            continue


def scale_cell(cells: Cells, draw: random.Random) -> None:
    row = draw.choice(cells[1:] or cells)
    at = draw.randrange(len(row))
    try:
        row[at] = repr(float(row[at]) * 10.0 ** draw.choice([-6, -3, -1, 1, 2, 3, 6]))
    except ValueError:
        return


def drop_row(cells: Cells, draw: random.Random) -> None:
    if len(cells) > 2:
        del cells[draw.randrange(len(cells))]


def repeat_row(cells: Cells, draw: random.Random) -> None:
    cells.insert(draw.randrange(len(cells) + 1), list(draw.choice(cells)))


def cut_row(cells: Cells, draw: random.Random) -> None:
    row = draw.choice(cells)
    del row[draw.randrange(len(row)) :]
    row += [""] * (not row)


def swap_columns(cells: Cells, draw: random.Random) -> None:
    a, b = draw.randrange(len(cells[0])), draw.randrange(len(cells[0]))
    for row in cells:
        if max(a, b) < len(row):
            row[a], row[b] = row[b], row[a]


def swap_names(cells: Cells, draw: random.Random) -> None:
    draw.shuffle(cells[0])


def rename(cells: Cells, draw: random.Random) -> None:
    names = [
        "N",
        "D",
        "L",
        "size (M)",
        "tokens_B",
        "val_loss",
        "ppl",
        "step",
        "run",
        "tokenizer",
        "",
        "lr",
        "epochs",
        "C",
    ]
    cells[0][draw.randrange(len(cells[0]))] = draw.choice(names)


def add_column(cells: Cells, draw: random.Random) -> None:
    name = draw.choice(
        ["tokenizer", "lr", "seed", "step", "run", "state", "loss", "flops", "note", "epochs", "optimizer"]
    )
    values = draw.choice([["a", "b"], ["1", "2", "3"], ["x"], ["finished", "crashed"], ["1e18", "1e3"], [""]])
    for i, row in enumerate(cells):
        row.append(name if i == 0 else draw.choice(values))


MUTATIONS: list[Callable[[Cells, random.Random], None]] = [
    set_cell, scale_column, scale_cell, drop_row, repeat_row, cut_row, swap_columns, swap_names, rename, add_column,
]  # fmt: skip


def written(folder: Path, cells: Cells, draw: random.Random) -> Path:
    kind = draw.choice(["csv", "csv", "csv", "quoted", "jsonl", "md", "utf16", "bytes"])
    if kind == "jsonl":
        head, *rows = cells
        text = "\n".join(json.dumps(dict(zip(head, row, strict=False))) for row in rows)
        path = folder / "a.jsonl"
        path.write_text(text, encoding="utf-8", errors="replace")
        return path
    mark = "|" if kind == "md" else draw.choice(SEPARATORS)
    quote = (lambda cell: '"' + cell.replace('"', '""') + '"') if kind == "quoted" else (lambda cell: cell)
    lines = [mark.join(map(quote, row)) for row in cells]
    text = draw.choice(["\n", "\r\n"]).join([f"|{line}|" for line in lines] if kind == "md" else lines) + "\n"
    content = text.encode("utf-16" if kind == "utf16" else "utf-8", errors="replace")
    if kind == "bytes" and content:
        at = draw.randrange(len(content))
        content = content[:at] + bytes([draw.randrange(256)]) + content[at + 1 :]
    path = folder / "a.csv"
    path.write_bytes(content)
    return path


def check(folder: Path, seed: int, num_mutations: int) -> None:
    draw = random.Random(seed)
    cells = cells_of(ROWS)
    for _ in range(num_mutations):
        draw.choice(MUTATIONS)(cells, draw)
    path = written(folder, cells, draw)
    got = ask(path)  # asserts the account; any other exception than a refusal fails
    if got.refused is not None:
        assert "\n" not in got.refused
        return
    silent = not got.names and not any(f.level != "info" for f in got.findings)
    assert got.table is not None
    said = (
        got.table.reading.notes
        or got.table.observations.excluded
        or any(c.how.startswith(("taken", "worked")) or c.unit for c in got.table.reading.columns)
    )
    # N and D both a thousandth make toy models, which are as plausible as any: the command prints the ranges.
    toys = got.table.observations.params.max() < 3e7
    if silent and not said and not toys and not math.isnan(got.best):
        assert 1 / FAR < got.best < FAR, (got.best, path.read_bytes()[:2000])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), num_mutations=st.integers(1, 5))
def test_a_mutated_table_is_read_or_refused(tmp_path: Path, seed: int, num_mutations: int) -> None:
    check(tmp_path, seed, num_mutations)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), num_mutations=st.integers(1, 8))
def test_two_thousand_mutated_tables_are_read_or_refused(tmp_path: Path, seed: int, num_mutations: int) -> None:
    check(tmp_path, seed, num_mutations)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(st.text(max_size=300), st.binary(max_size=300)),
    kind=st.sampled_from(["csv", "json", "jsonl", "md", "txt"]),
)
def test_any_file_is_read_or_refused(tmp_path: Path, content: str | bytes, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", errors="surrogatepass"))
    try:
        table = read_table(str(path), ReadingOptions(columns=Columns()))
    except TableError:
        return
    account_holds(table)


def test_the_clean_table_is_silent(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(csv_text(ROWS))
    got = ask(tmp_path / "a.csv")
    assert not got.names
    assert 1 / FAR < got.best < FAR
