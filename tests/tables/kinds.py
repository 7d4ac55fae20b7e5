"""Tables as people keep them, each planted with one law: the same rows in another notation, or spoilt in one way.

A kind is the name of its file, what is in it, and the words that a person must be told.
"""

import gzip
import json
import math
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from operator import itemgetter
from typing import Any

import numpy as np

from tests.tables.asked import Row, csv_text, law, planted

Content = Callable[[], str | bytes]
Kind = tuple[str, Content, tuple[str, ...]]
ROWS = planted()
ROUND = [{**r, "loss": round(r["loss"], 5)} for r in ROWS]
MANY = planted(9, 8)


def named(*names: str, rows: Sequence[Row] = ROWS) -> list[Row]:
    return [dict(zip(names, row.values(), strict=True)) for row in rows]


def made(rows: Iterable[Row] = ROWS, **columns: Callable[[Row], Any]) -> list[Row]:
    return [{name: value(row) for name, value in columns.items()} for row in rows]


def beside(rows: Sequence[Row], name: str, value: Callable[[int, Row], Any]) -> list[Row]:
    return [{**row, name: value(i, row)} for i, row in enumerate(rows)]


def of_two(name: str, first: Any, second: Any, factor: float, which: Callable[[int, Row], bool]) -> list[Row]:
    """A column of two values; the losses of the second are another quantity."""
    return [
        {**r, "loss": r["loss"] * factor, name: second} if which(i, r) else {**r, name: first}
        for i, r in enumerate(ROWS)
    ]


def columns(head: str, *forms: Callable[[Row], Any], rows: Sequence[Row] = ROWS) -> str:
    """A header as it stands, and rows of these cells."""
    return "\n".join([head, *(",".join(str(form(row)) for form in forms) for row in rows)])


N, D, L = itemgetter("params"), itemgetter("tokens"), itemgetter("loss")


def millions(row: Row) -> float:
    return float(row["params"] / 1e6)


def billions(row: Row) -> float:
    return float(row["tokens"] / 1e9)


def compute(row: Row) -> float:
    return float(6 * row["params"] * row["tokens"])


def comma(value: Any) -> str:
    return str(value).replace(".", ",")


def grouped(by: str) -> Callable[[Any], str]:
    return lambda value: f"{value:,}".replace(",", by) if isinstance(value, int) else f"{value:.5f}"


def german(value: Any) -> str:
    return comma(value) if isinstance(value, float) else grouped(".")(value)


def lakh(value: Any) -> str:
    """As in India: 1,41,23,520."""
    if not isinstance(value, int):
        return str(value)
    head, tail, parts = str(value)[:-3], str(value)[-3:], []
    while len(head) > 2:
        head, last = head[:-2], head[-2:]
        parts.insert(0, last)
    return ",".join([head, *parts, tail])


def human(value: Any) -> str:
    if not isinstance(value, int):
        return f"{value:.4f}"
    return f"{value / 1e9:.4g}B" if value >= 1e9 else f"{value / 1e6:.4g}M"


def markdown() -> str:
    lines = ["| " + " | ".join(ROWS[0]) + " |", "|" + " :---: |" * 3]
    return "\n".join([*lines, *(f"| **{N(r)}** | {D(r)} | {L(r)} |" for r in ROWS)])


def boxed() -> str:
    rule = "├" + "┼".join("─" * 16 for _ in range(3)) + "┤"
    lines = [list(ROWS[0]), *([str(v) for v in r.values()] for r in ROWS)]
    return "\n".join([rule, *("│ " + " │ ".join(f"{c:>14}" for c in line) + " │" for line in lines), rule])


def to_string() -> str:
    """As pandas prints a frame: an index before each row that the header does not name."""
    return "    params tokens loss\n" + "\n".join(
        f"{i:<3} {N(r):>12} {D(r):>12} {L(r):.5f}" for i, r in enumerate(ROWS)
    )


def wandb(crashed: bool = False) -> list[Row]:
    """Its table of runs, downloaded: one row a run, whose last step stands beside."""
    return [
        {
            "Name": f"run-{i}", "State": "crashed" if crashed and i % 9 == 4 else "finished", "Group": "", "Tags": "",
            "Created": "2026-01-02T03:04:05", "Runtime": 3600 + i, "ID": f"ab{i:04x}", "config.n_params": N(r),
            "tokens": D(r), "_step": 1000 + i, "_runtime": 99.0 + i, "_timestamp": 1.7e9 + i, "train/loss": L(r) * 0.98,
            "val/loss": L(r) * (1.3 if crashed and i % 9 == 4 else 1),
        }
        for i, r in enumerate(ROWS)
    ]  # fmt: skip


def log_of(rows: Sequence[Row], evaluations: int, *, name: bool = True, restart: bool = False) -> list[Row]:
    """Losses on the way of runs whose rate falls as a cosine: far too high until the end."""
    rng, out = np.random.default_rng(5), []
    for r in rows:
        for k in range(1, evaluations + 1):
            if restart and k == evaluations // 2:
                out += out[-10:]  # steps that were run again
            share = k / evaluations
            over = 0.25 * (1 + math.cos(math.pi * share)) / 2
            loss = law(N(r), D(r) * share) * (1 + over) * math.exp(0.002 * rng.normal())
            row: Row = {"run": f"{N(r)}-{D(r)}", "step": 100 * k} if name else {}
            out.append(
                {**row, "params": N(r), "tokens": int(D(r) * share), "loss": L(r) if share == 1 else float(loss)}
            )
    return out


def swept(seeds: int = 1, rate: bool = True, most: float = 1.0) -> list[Row]:
    """Each pair of N and D at seven rates, of which the best drifts with N."""
    rng, out = np.random.default_rng(8), []
    for r in ROWS:
        best = math.log(2e-3 * (N(r) / 1e8) ** -0.2)
        for lr in (2e-4, 4e-4, 8e-4, 1.6e-3, 3.2e-3, 6.4e-3, 1.28e-2):
            for seed in range(seeds if lr < most else 0):
                loss = law(N(r), D(r)) * (1 + 0.01 * (math.log(lr) - best) ** 2) * math.exp(0.001 * rng.normal())
                row = {**r, "loss": float(loss)} | ({"learning_rate": lr} if rate else {})
                out.append(row | ({"seed": seed} if seeds > 1 else {}))
    return out


def repeated(*, fresh: bool = True) -> list[Row]:
    """Unique text of 1e9 to 8e9 tokens at 1 to 32 epochs, by the law of Muennighoff et al. 2023."""
    rng, out = np.random.default_rng(2), []
    for params in np.geomspace(2e7, 1e9, 7).round().tolist():
        for unique in (1e9, 2e9, 4e9, 8e9):
            for epochs in (1, 4, 16, 32)[not fresh :]:
                worth = unique * (1 + 15.4 * (1 - math.exp(-(epochs - 1) / 15.4)))
                loss = float(law(params, worth) * np.exp(0.002 * rng.normal()))
                out.append({"params": params, "tokens": unique * epochs, "unique_tokens": unique, "loss": loss})
    return out


def workbook() -> bytes:
    import openpyxl

    book, content = openpyxl.Workbook(), BytesIO()
    for row in (["my losses"], [], list(ROWS[0]), *(list(row.values()) for row in ROWS)):
        book.active.append(row)
    book.create_sheet("notes").append(["nothing"])
    book.save(content)
    return content.getvalue()


def lines(rows: Sequence[Row], indent: int | None = None) -> str:
    return "\n".join(json.dumps(row, indent=indent) for row in rows)


def frame() -> str:
    return json.dumps({name: {str(i): r[name] for i, r in enumerate(ROWS)} for name in ROWS[0]})


def split() -> str:
    return json.dumps({"columns": list(ROWS[0]), "index": list(range(42)), "data": [list(r.values()) for r in ROWS]})


PLAIN = csv_text(ROWS)

# The law comes out of these; where there are no words, nothing is doubtful either.
READ: dict[str, Kind] = {
    "plain": ("a.csv", lambda: PLAIN, ()),
    "CRLF and a byte order mark": ("a.csv", lambda: "\ufeff" + PLAIN.replace("\n", "\r\n"), ()),
    "CR alone": ("a.csv", lambda: PLAIN.replace("\n", "\r"), ()),
    "UTF-16, as a spreadsheet's Unicode text": ("a.txt", lambda: csv_text(ROWS, "\t").encode("utf-16"), ("UTF-16",)),
    "UTF-16 without a mark": ("a.csv", lambda: PLAIN.encode("utf-16-le"), ("UTF-16",)),
    "Windows-1252": (
        "a.csv",
        lambda: csv_text(beside(ROWS, "é", lambda i, r: "ü")).encode("cp1252"),
        ("Windows-1252",),
    ),
    "gzip under another name": ("a.csv", lambda: gzip.compress(PLAIN.encode()), ()),
    "sep=": ("a.csv", lambda: "sep=;\r\n" + csv_text(ROWS, ";"), ()),
    "decimal commas": ("a.csv", lambda: csv_text(ROUND, ";", comma), ("decimals after a comma",)),
    "German numbers": ("a.csv", lambda: csv_text(ROUND, ";", german), ("grouped by a point", "decimals after a comma")),
    "commas between thousands": (
        "a.csv",
        lambda: csv_text(ROUND, ",", lambda v: f'"{grouped(",")(v)}"'),
        ("grouped by a comma",),
    ),
    "apostrophes": ("a.csv", lambda: csv_text(ROUND, ";", grouped("’")), ("grouped by an apostrophe",)),
    "narrow spaces": ("a.csv", lambda: csv_text(ROUND, ";", grouped("\u202f")), ("grouped by a space",)),
    "underscores": ("a.csv", lambda: csv_text(ROUND, ";", grouped("_")), ("grouped by an underscore",)),
    "Indian thousands": ("a.tsv", lambda: csv_text(ROUND, "\t", lakh), ("grouped by a comma",)),
    "human": ("a.csv", lambda: csv_text(ROWS, ",", human), ("multiplied out",)),
    "human, with nouns": (
        "a.csv",
        lambda: columns(
            "Model size,Tokens,val loss",
            lambda r: f"{millions(r):.2f} M params",
            lambda r: f"~{billions(r):.3f} billion",
            lambda r: f"{L(r):.4f} nats",
        ),
        ("multiplied out",),
    ),
    "powers of ten": (
        "a.csv",
        lambda: columns("N,D,loss", lambda r: f"{millions(r):.3f}×10^6", lambda r: f"{billions(r):.3f} x 10⁹", L),
        ("powers worked out",),
    ),
    "units in brackets": (
        "a.csv",
        lambda: columns("Params [M],Tokens (B),Val. loss (nats/token)", millions, billions, L),
        ("units of 1e+06",),
    ),
    "units behind an underscore": (
        "a.csv",
        lambda: columns("n_params_m,tokens_B,loss", millions, billions, L),
        ("of 1e+09",),
    ),
    "units in words": (
        "a.csv",
        lambda: columns('Parameters in millions,"Training tokens, billions",loss', millions, billions, L),
        ("of 1e+09",),
    ),
    "units on a second line": (
        "a.csv",
        lambda: columns("params,tokens,loss\n(M),(B),nats", millions, billions, L),
        ("second line", "units of 1e+06"),
    ),
    "logarithms": (
        "a.csv",
        lambda: columns("log10(N),log10_tokens,loss", lambda r: math.log10(N(r)), lambda r: math.log10(D(r)), L),
        ("logarithm to base 10",),
    ),
    "natural logarithms": (
        "a.csv",
        lambda: columns("log_params,log_tokens,loss", lambda r: math.log(N(r)), lambda r: math.log(D(r)), L),
        ("logarithm to base e",),
    ),
    "bits": (
        "a.csv",
        lambda: columns("params,tokens,loss (bits/token)", N, D, lambda r: L(r) / math.log(2)),
        ("by ln 2",),
    ),
    "bits per byte": (
        "a.csv",
        lambda: columns(
            "params,tokens,val_bpb loss (bits/byte),bytes_per_token",
            N,
            D,
            lambda r: L(r) / math.log(2) / 4.1,
            lambda r: 4.1,
        ).replace("val_bpb loss", "val_loss"),
        ("by ln 2 and by 'bytes_per_token'",),
    ),
    "perplexities": ("a.csv", lambda: columns("params,tokens,val_ppl", N, D, lambda r: math.exp(L(r))), ("logarithm",)),
    "three losses": (
        "a.csv",
        lambda: columns("train_loss,params,loss,tokens,val_loss", lambda r: L(r) * 0.9, N, lambda r: L(r) * 1.02, D, L),
        ("loss is column 'val_loss'",),
    ),
    "an index": ("a.csv", lambda: csv_text([{"": i, **r} for i, r in enumerate(ROWS)]), ()),
    "pandas' print": ("a.txt", to_string, ("one cell more",)),
    "R's row names": (
        "a.csv",
        lambda: '"params","tokens","loss"\n' + "\n".join(f'"{i}",{N(r)},{D(r)},{L(r)}' for i, r in enumerate(ROWS)),
        ("one cell more",),
    ),
    "pandas' levels": (
        "a.csv",
        lambda: columns(",,loss,loss\n,,mean,std\nparams,tokens,,", N, D, L, lambda r: 0.01),
        (),
    ),
    "pandas' groupby": (
        "a.csv",
        lambda: columns("params,tokens,loss,loss\n,,mean,std", N, D, L, lambda r: 0.01),
        ("second line",),
    ),
    "numpy's savetxt": (
        "a.txt",
        lambda: "# params tokens loss\n" + "\n".join(f"{N(r):.18e} {D(r):.18e} {L(r):.18e}" for r in ROWS),
        ("from a comment",),
    ),
    "a title above": ("a.csv", lambda: "Scaling runs of March,,\nby me,,\n,,\n" + PLAIN, ()),
    "comments between": ("a.csv", lambda: "# made by x\n// y\n\n" + PLAIN.replace("\n", "\n# z\n", 3), ()),
    "trailing commas": ("a.csv", lambda: PLAIN.replace("\n", ",,\n"), ()),
    "columns repeated": ("a.csv", lambda: columns("params,tokens,note,loss,note", N, D, N, L, D), ()),
    "the header again": ("a.csv", lambda: csv_text(ROWS[:20]) + csv_text(ROWS[20:]), ("repeat the header",)),
    "Markdown": ("a.md", markdown, ()),
    "boxes": ("a.txt", boxed, ()),
    "line ends in quotes": (
        "a.csv",
        lambda: csv_text(beside(ROWS, "notes", lambda i, r: '"one\nand ""two"", 3"' if i % 5 == 0 else "")),
        (),
    ),
    "a workbook": ("a.xlsx", workbook, ("other sheets were not read: notes",)),
    "JSON lines": ("a.jsonl", lambda: lines(ROWS), ()),
    "JSON array": ("a.json", lambda: json.dumps(named("num_params", "training_tokens", "eval_loss"), indent=2), ()),
    "JSON objects": ("a.jsonl", lambda: lines(ROWS, indent=1), ()),
    "JSON columns": ("a.json", frame, ("columns under their names",)),
    "JSON split": ("a.json", split, ("named by 'columns'",)),
    "JSON under a key": ("a.json", lambda: json.dumps({"version": 1, "results": ROWS}), ("under 'results'",)),
    "JSON nested": (
        "a.json",
        lambda: json.dumps(
            [
                {"model": {"n_params": N(r), "n_layer": 3}, "train": {"tokens": D(r)}, "eval": {"loss": L(r)}}
                for r in ROWS
            ]
        ),
        ("joined by points",),
    ),
    "blanks beside": (
        "a.csv",
        lambda: csv_text(
            beside(
                beside(ROWS, "flops", lambda i, r: "nan" if i % 3 else compute(r)),
                "loss_sem",
                lambda i, r: ("", "NaN", "n/a", "-", "None")[i % 5],
            )
        ),
        (),
    ),
    "compute alone": ("a.csv", lambda: columns("N,C,L", N, compute, L), ("worked out as C / (6 x params)",)),
    "a ratio": ("a.csv", lambda: columns("params,tokens_per_param,loss", N, lambda r: D(r) / N(r), L), ("worked out",)),
    "petaFLOP/s-days": (
        "a.csv",
        lambda: columns("params,tokens,loss,compute (PF-days)", N, D, L, lambda r: compute(r) / 8.64e19),
        ("8.64e+19",),
    ),
    "W&B's runs": ("a.csv", lambda: csv_text(wandb()), ("loss is column 'val/loss'",)),
    "W&B's runs, some crashed": ("a.csv", lambda: csv_text(wandb(crashed=True)), ("State is 'crashed'",)),
    "undecayed rows": (
        "a.csv",
        lambda: csv_text(
            [{**r, "loss": L(r) * (1 if i % 2 else 1.04), "decayed": bool(i % 2)} for i, r in enumerate(MANY)]
        ),
        ("undecayed: decayed is 'False'",),
    ),
    "unfinished rows": (
        "a.csv",
        lambda: csv_text(
            [
                {**r, "loss": L(r) * (1 if i % 3 else 1.05), "step": 1000 if i % 3 else 600, "max_steps": 1000}
                for i, r in enumerate(MANY)
            ]
        ),
        ("before the end",),
    ),
    "a log": ("a.csv", lambda: csv_text(log_of(ROWS, 12)), ("last row of each is its point",)),
    "a log with restarts": ("a.csv", lambda: csv_text(log_of(ROWS, 30, restart=True)), ("last row of each",)),
    "a log by step": (
        "a.csv",
        lambda: csv_text(sorted(log_of(ROWS, 12), key=lambda r: r["step"])),
        ("last row of each",),
    ),
    "rates searched": ("a.csv", lambda: csv_text(swept()), ("the best of each pair", "learning_rate")),
    "rates searched, with seeds": ("a.csv", lambda: csv_text(swept(seeds=3)), ("the best of each pair",)),
    "seeds": (
        "a.csv",
        lambda: csv_text(
            [
                {**r, "loss": L(r) * math.exp(0.003 * math.sin(7 * i + s)), "seed": s}
                for i, r in enumerate(ROWS)
                for s in (1, 2, 3)
            ]
        ),
        (),
    ),
    "repeated text": ("a.csv", lambda: csv_text(repeated()), ("fresh text",)),
    "repeated text by the epochs of a trainer": (
        "a.csv",
        lambda: csv_text(
            made(repeated(), params=N, tokens=D, loss=L, num_train_epochs=lambda r: D(r) / r["unique_tokens"])
        ),
        ("fresh text",),
    ),
    "repeated text by epochs": (
        "a.csv",
        lambda: csv_text(made(repeated(), params=N, tokens=D, loss=L, epochs=lambda r: D(r) / r["unique_tokens"])),
        ("fresh text",),
    ),
    "some PFLOPs": (
        "a.csv",
        lambda: csv_text(beside(ROWS, "flops", lambda i, r: compute(r) / (1e15 if i % 5 == 1 else 1))),
        ("6 N D was taken",),
    ),
    "speeds beside": (
        "a.csv",
        lambda: columns("params,tokens,tokens/s,TFLOPs/s,flops per second,loss", N, D, lambda r: 9e5, N, D, L),
        (),
    ),
    "a machine's TFLOPs": (
        "a.csv",
        lambda: columns("params,tokens,TFLOPs,loss", N, D, lambda r: 150 + N(r) % 7, L),
        ("does not go with N and D",),
    ),
    "tokens twice": ("a.csv", lambda: columns("params,tokens,train_tokens_seen,loss", N, D, D, L), ()),
    "budgets in words": (
        "a.csv",
        lambda: csv_text(beside(ROWS, "budget", lambda i, r: "small" if i < 20 else "large")),
        ("holds no numbers",),
    ),
    "units as words of the name": (
        "a.csv",
        lambda: columns("params_in_millions,Billions of tokens,loss", millions, billions, L),
        ("the column's name says 'millions'", "the column's name says 'Billions'"),
    ),
    "compute in PF-days": (
        "a.csv",
        lambda: columns("Mparams,PF-days,loss", millions, lambda r: compute(r) / 8.64e19, L),
        ("in units of 8.64e+19", "worked out"),
    ),
    "a logarithm of compute": (
        "a.csv",
        lambda: columns("params,log C,loss", N, lambda r: math.log10(compute(r)), L),
        ("a logarithm to base 10",),
    ),
    "spreads in brackets": (
        "a.csv",
        lambda: columns("params,tokens,loss", N, D, lambda r: f"{L(r):.4f} (0.01)"),
        ("spread",),
    ),
    "JSON by run": (
        "a.json",
        lambda: json.dumps({f"r{i}": r for i, r in enumerate(ROWS)}),
        ("whose keys are in 'key'",),
    ),
    "JSON under two keys": ("a.json", lambda: json.dumps({"data": {"runs": ROWS}}), ("under 'data'",)),
    "steps of the machine": (
        "a.csv",
        lambda: csv_text(
            [{**r, "gpus": 8 if N(r) < 2e8 else 64, "git commit": "ab" if N(r) < 9e7 else "cd"} for r in ROWS]
        ),
        (),
    ),
    "three zeros too many": (
        "a.csv",
        lambda: csv_text(beside(ROWS, "tokens", lambda i, r: D(r) * (1000 if i == 17 else 1))),
        ("a factor of 1,000",),
    ),
    "one row in billions": (
        "a.csv",
        lambda: csv_text(beside(ROWS, "params", lambda i, r: N(r) / (1e9 if i == 20 else 1))),
        ("out of scale",),
    ),
    "stray quotes": (
        "a.csv",
        lambda: csv_text(beside(ROWS, "note", lambda i, r: '"5 inch' if i in (5, 12) else "ok")),
        ("never closed",),
    ),
    "a stray quote in front": (
        "a.csv",
        lambda: csv_text([{"note": '"x' if i == 9 else "ok", **r} for i, r in enumerate(ROWS)]),
        ("never closed",),
    ),
    "a long cell": (
        "a.csv",
        lambda: csv_text(beside(ROWS, "log", lambda i, r: '"' + "x, " * 60_000 + '"' if i == 3 else "y")),
        (),
    ),
    "another order": (
        "a.csv",
        lambda: csv_text(made(reversed(ROWS), loss=L, seed=lambda r: 1, tokens=D, params=N)),
        (),
    ),
    "spaces around": ("a.csv", lambda: csv_text(ROWS, " , ", lambda v: f" {v} "), ()),
    "blank budgets": (
        "a.csv",
        lambda: csv_text(beside(ROWS, "budget", lambda i, r: compute(r) if i % 2 else "")),
        ("not taken for nominal budgets",),
    ),
}

# These are refused before any fit, by what is wrong with them.
REFUSED: dict[str, Kind] = {
    "two tokenizers": (
        "a.csv",
        lambda: csv_text(of_two("tokenizer", "bpe", "unigram", 1.05, lambda i, r: i % 2 == 0)),
        ("mixed_kinds", "bpe: 21 rows", "by=tokenizer"),
    ),
    "two vocabularies": (
        "a.csv",
        lambda: csv_text(of_two("vocab_size", 32000, 128256, 1.05, lambda i, r: N(r) > 1e8)),
        ("mixed_kinds", "'vocab_size'"),
    ),
    "two splits": (
        "a.csv",
        lambda: csv_text(of_two("Split", "val", "train", 0.97, lambda i, r: i % 3 == 0)),
        ("mixed_kinds", "'Split'"),
    ),
    "two evaluation sets": (
        "a.csv",
        lambda: csv_text(of_two("eval_set", "c4", "pile", 1.1, lambda i, r: i % 2 == 0)),
        ("mixed_kinds", "'eval_set'"),
    ),
    "two contexts": (
        "a.csv",
        lambda: csv_text(of_two("seq_len", 1024, 4096, 0.97, lambda i, r: D(r) > 4e9)),
        ("mixed_kinds", "'seq_len'"),
    ),
    "nested datasets": (
        "a.jsonl",
        lambda: lines(beside(ROWS, "data", lambda i, r: {"dataset": "ab"[i % 2]})),
        ("mixed_kinds", "'data.dataset'"),
    ),
    "a schedule by tokens": (
        "a.csv",
        lambda: csv_text(of_two("lr_schedule", "cosine", "wsd", 1.02, lambda i, r: D(r) > 4e9)),
        ("mixed_methods", "'lr_schedule'"),
    ),
    "an optimizer by size": (
        "a.csv",
        lambda: csv_text(of_two("Optimizer", "adamw", "lion", 0.97, lambda i, r: N(r) > 2e8)),
        ("mixed_methods", "'Optimizer'"),
    ),
    "an optimizer here and there": (
        "a.csv",
        lambda: csv_text(of_two("optim", "adamw", "lion", 0.97, lambda i, r: i * 7 % 3 == 0)),
        ("mixed_methods", "'optim'"),
    ),
    "units unsaid": (
        "a.csv",
        lambda: columns("params,tokens,loss", millions, billions, L),
        ("unlikely_units", "columns.params_unit=1e6", "columns.tokens_unit=1e9"),
    ),
    "logarithms unsaid": (
        "a.csv",
        lambda: columns("params,tokens,loss", lambda r: math.log10(N(r)), lambda r: math.log10(D(r)), L),
        ("unlikely_units", "columns.params_unit=log10"),
    ),
    "counts under a unit": ("a.csv", lambda: columns("params (M),tokens (B),loss", N, D, L), ("unlikely_units",)),
    "N and D exchanged": (
        "a.csv",
        lambda: columns("params,tokens,loss", D, N, L),
        ("unlikely_ratio", "columns.params=tokens"),
    ),
    "perplexities unsaid": (
        "a.csv",
        lambda: columns("params,tokens,loss", N, D, lambda r: math.exp(L(r))),
        ("unlikely_loss", "loss_unit=perplexity"),
    ),
    "a sum over eight": ("a.csv", lambda: columns("params,tokens,loss", N, D, lambda r: 8 * L(r)), ("unlikely_loss",)),
    "accuracies": ("a.csv", lambda: columns("params,tokens,loss", N, D, lambda r: 1 / L(r)), ("rising_loss",)),
    "other rows' losses": (
        "a.csv",
        lambda: csv_text(
            made(
                zip(ROWS, np.random.default_rng(4).permutation([L(r) for r in ROWS]).tolist(), strict=True),  # type: ignore[arg-type]
                params=lambda p: N(p[0]),
                tokens=lambda p: D(p[0]),
                loss=lambda p: p[1],
            )
        ),
        ("unrelated_loss",),
    ),
    "all in EFLOPs": (
        "a.csv",
        lambda: columns("params,tokens,loss,flops", N, D, L, lambda r: compute(r) / 1e18),
        ("flops_off", "columns.flops_unit=1e+18"),
    ),
    "bits per byte alone": (
        "a.csv",
        lambda: columns("params,tokens,bpb", N, D, lambda r: L(r) / 3),
        ("no column for loss",),
    ),
    "bits per byte without bytes": (
        "a.csv",
        lambda: columns("params,tokens,loss (bits/byte)", N, D, lambda r: L(r) / 3),
        ("add a column bytes_per_token",),
    ),
    "all text repeated": ("a.csv", lambda: csv_text(repeated(fresh=False)), ("repeated_text",)),
    "a comma that may be either": (
        "a.csv",
        lambda: (
            "params;tokens;loss\n"
            + "\n".join(f"{N(r) // 1000:,};{D(r) // 10**6:,};3" for r in ROWS if N(r) < 9e8 and D(r) > 1e9)
        ),
        ("decimal=",),
    ),
    "both meanings of a comma": (
        "a.csv",
        lambda: "params;tokens;loss\n1,234,567;1e9;3\n0,5;1e9;3\n",
        ("1,234,567", "0,5"),
    ),
    "no header": ("a.csv", lambda: PLAIN.partition("\n")[2], ("no header",)),
    "two tables in one file": (
        "a.csv",
        lambda: PLAIN + csv_text(made(loss=L, tokens=D, params=N)),
        ("another header", "line 44"),
    ),
    "a W&B chart": (
        "a.csv",
        lambda: '"Step","a - val_loss","a - val_loss__MIN"\n"1","3","3"\n',
        ("chart of a W&B panel",),
    ),
    "a switch by size": (
        "a.csv",
        lambda: csv_text(beside(ROWS, "use_muon", lambda i, r: int(N(r) > 2e8))),
        ("mixed_methods", "'use_muon'"),
    ),
    "a schedule cut short by tokens": (
        "a.csv",
        lambda: csv_text(beside(ROWS, "sched", lambda i, r: "wsd" if D(r) > 3e9 else "cosine")),
        ("mixed_methods", "'sched'"),
    ),
    "N and D exchanged where they overlap": (
        "a.csv",
        lambda: csv_text(made(planted(8, 6), tokens=lambda r: N(r) * 1.7, params=lambda r: D(r) / 2, loss=L)),
        ("unlikely_ratio", "columns.params=tokens"),
    ),
    "compute alone, unit unsaid": (
        "a.csv",
        lambda: columns("params,flops,loss", N, lambda r: compute(r) / 1e18, L),
        ("unlikely_units", "columns.flops_unit=1e+18"),
    ),
    "a name that a shell would split": (
        "a.csv",
        lambda: csv_text(of_two("val dataset", "c4", "pile", 1.1, lambda i, r: i % 2 == 0)),
        ("mixed_kinds", 'by="val dataset"'),
    ),
    "a damaged workbook": ("a.xlsx", lambda: b"PK\x03\x04 nothing", ("damaged workbook",)),
    "truncated gzip": ("a.csv.gz", lambda: gzip.compress(PLAIN.encode())[:-40], ("damaged",)),
    "steps and no tokens": (
        "a.csv",
        lambda: columns("params,steps,batch_size,loss", N, lambda r: 1000, lambda r: 512, L),
        ("no column for tokens", "steps x batch x context"),
    ),
    "two columns as good": (
        "a.json",
        lambda: json.dumps(
            [{"train": {"tokens": D(r)}, "data": {"tokens": 2 * D(r)}, "params": N(r), "loss": L(r)} for r in ROWS]
        ),
        ("could each be the tokens",),
    ),
}

# These are answered, under a warning of the first name that has the other words.
WARNED: dict[str, Kind] = {
    "a log without runs": (
        "a.csv",
        lambda: csv_text(log_of([r for r in ROWS if D(r) > 1.8e10], 30, name=False)),
        ("log_of_evaluations", "columns.run=params"),
    ),
    "recipes that no column tells": ("a.csv", lambda: csv_text(swept(rate=False)), ("uneven_cells", "duplicates=best")),
    "two unknown things": (
        "a.csv",
        lambda: csv_text(of_two("series", "x", "y", 1.06, lambda i, r: i % 2 == 0)),
        ("unexplained_column", "'series'", "by=series"),
    ),
    "epochs by another name": (
        "a.csv",
        lambda: csv_text([{**r, "epoch": D(r) / r["unique_tokens"], "unique_tokens": ""} for r in repeated()]),
        ("repeated_text", 'columns.epochs="epoch"'),
    ),
    "a corpus smaller than the tokens": (
        "a.csv",
        lambda: csv_text(made(repeated(), params=N, tokens=D, loss=L, dataset_tokens=lambda r: r["unique_tokens"])),
        ("repeated_text", 'columns.unique_tokens="dataset_tokens"'),
    ),
    "evaluations of one cosine for each N, ever farther apart": (
        "a.csv",
        lambda: columns(
            "params,tokens,loss",
            N,
            D,
            L,
            rows=[
                {"params": n, "tokens": 2e10 * f, "loss": law(n, 2e10 * f) * (1 + 0.12 * (1 - f) ** 0.7)}
                for n in (3e7, 9e7, 2.7e8, 8e8, 2e9)
                for f in np.geomspace(0.02, 1, 14).tolist()
            ],
        ),
        ("log_of_evaluations", "columns.run=params"),
    ),
    "a tag that tells two things apart": (
        "a.csv",
        lambda: csv_text(of_two("tag", "old", "new", 1.06, lambda i, r: i % 2 == 0)),
        ("unexplained_column", "'tag'", "by=tag"),
    ),
    "reductions of the loss": (
        "a.csv",
        lambda: csv_text(of_two("loss_fn", "mean", "sum", 1.06, lambda i, r: i % 2 == 0)),
        ("unexplained_column", "'loss_fn'"),
    ),
    "an unknown thing by size": (
        "a.csv",
        lambda: csv_text(of_two("who", "me", "you", 1.03, lambda i, r: N(r) > 2e8)),
        ("confounded_column", "'who'", "Losses break by"),
    ),
    "an unknown number by tokens": (
        "a.csv",
        lambda: csv_text(of_two("v", 1, 2, 1.03, lambda i, r: D(r) > 3e9)),
        ("confounded_column", "'v'", "Losses break by"),
    ),
    "a few evaluations of runs without names": (
        "a.csv",
        lambda: csv_text([{k: r[k] for k in ("params", "tokens", "loss")} for r in log_of(ROWS, 8)][3:]),
        ("log_of_evaluations", "columns.run="),
    ),
    "bits unsaid": (
        "a.csv",
        lambda: columns("params,tokens,loss", N, D, lambda r: L(r) / math.log(2)),
        ("unlikely_loss", "loss_unit=bits"),
    ),
    "decimal logarithms": (
        "a.csv",
        lambda: columns("params,tokens,loss", N, D, lambda r: L(r) / math.log(10)),
        ("unlikely_loss", "loss_unit=nats"),
    ),
    "an untuned end": ("a.csv", lambda: csv_text(swept(most=1e-3)), ("best_recipes", "largest or the least tried")),
}
