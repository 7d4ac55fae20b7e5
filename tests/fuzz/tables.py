"""Tables of losses of every shape, and tables whose bytes are damaged."""

import gzip
import json
import math
from pathlib import Path
from random import Random

import numpy as np

from tests.fuzz.damage import damaged
from tests.fuzz.process import Ended, command, strict_json

SIZES = (1, 2, 3, 5, 6, 7, 8, 9, 12, 20, 36, 60, 150, 400)
CELLS = (
    "",
    "nan",
    "inf",
    "-1",
    "0",
    "1e400",
    "abc",
    "1e-400",
    "1,5",
    "9" * 400,
    "x" * 60_000,
    "[red]",
    "${oc.env:HOME}",
)


def draw(random: Random, folder: Path) -> tuple[Path, list[str], str]:
    """A table's file, the arguments of the fit, and what it is in words."""
    shape = random.choice(("scattered", "grid", "one N", "one D", "one ratio", "budgets", "checkpoints", "copies"))
    losses = random.choice(("law", "law", "law", "equal", "two", "rising", "huge", "tiny", "noise", "steep", "one odd"))
    n = random.choice(SIZES)
    rng = np.random.default_rng(random.getrandbits(32))
    params, tokens = _shape(shape, n, rng)
    loss = _losses(losses, params, tokens, rng)
    columns: dict[str, list[object]] = {"params": params.tolist(), "tokens": tokens.tolist(), "loss": loss.tolist()}
    if shape == "budgets":
        columns["budget"] = (6 * params * tokens).round(-int(math.log10(6e15))).tolist()
    if shape == "checkpoints" or random.random() < 0.2:
        columns["run"] = [f"run {i % max(1, n // 5)}" for i in range(n)]
    if random.random() < 0.2:
        columns["unique_tokens"] = (tokens / random.choice((1, 2, 50))).tolist()
    odd = random.choice((0, 0, 0, 1, 2, n))
    for _ in range(odd):
        columns[random.choice(list(columns))][random.randrange(n)] = random.choice(CELLS)
    path = folder / f"table.{random.choice(('csv', 'csv', 'jsonl', 'csv.gz'))}"
    _write(path, columns)
    words = f"{n} rows, {shape}, losses {losses}, {odd} odd cells, {path.name}"
    if random.random() < 0.3:
        words += f", {damaged(path, random)}"
    arguments = [f"source={path}", f"out={folder / 'laws'}", "bootstrap=20", f"figures={random.random() < 0.3}".lower()]
    if random.random() < 0.5:
        arguments.append(f"holdout={random.choice(('0.2', '0.9', '0.001', 'flops>1e17', 'loss<2'))}")
    if random.random() < 0.2:
        arguments.append(f"targets=[{random.choice(('1e21', '1e10', '1e34,1e-3', '1e18,1e19,1e20'))}]")
    return path, arguments, words


def _shape(shape: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    params, tokens = 10 ** rng.uniform(6, 9, n), 10 ** rng.uniform(8, 11, n)
    side = max(1, round(n**0.5))
    match shape:
        case "grid" | "checkpoints":
            params, tokens = 1e6 * 3.0 ** (np.arange(n) % side), 1e8 * 2.0 ** (np.arange(n) // side % 60)
        case "one N":
            params = np.full(n, 1e8)
        case "one D":
            tokens = np.full(n, 1e10)
        case "one ratio":
            tokens = 20 * params
        case "budgets":
            flops = 1e18 * 10.0 ** (np.arange(n) // 6 % 8)
            params = np.sqrt(flops / 120) * 2.0 ** (np.arange(n) % 6 - 2.5)
            tokens = flops / 6 / params
        case "copies":
            params, tokens = params[np.zeros(n, int)], tokens[np.zeros(n, int)]
    return params, tokens


def _losses(kind: str, params: np.ndarray, tokens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    law = 1.8 + 480 / params**0.35 + 2100 / tokens**0.37
    n = len(law)
    return np.asarray(
        {
            "law": law * np.exp(0.003 * rng.standard_normal(n)),
            "equal": np.full(n, 2.5),
            "two": np.where(np.arange(n) % 2, 2.5, 2.6),
            "rising": 1 / law,
            "huge": law * 1e90,
            "tiny": law * 1e-90,
            "noise": rng.uniform(1, 5, n),
            "steep": 1 + (1e6 / params) ** 7.5,
            "one odd": np.where(np.arange(n) == n // 2, 50.0, law),
        }[kind]
    )


def _write(path: Path, columns: dict[str, list[object]]) -> None:
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if path.suffix == ".jsonl":
        text = "".join(json.dumps(row) + "\n" for row in rows)
    else:
        lines = [
            ",".join(columns),
            *(",".join(f'"{v}"' if "," in str(v) else str(v) for v in r.values()) for r in rows),
        ]
        text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def run(random: Random, folder: Path) -> tuple[str, list[str]]:
    """Fit a table; what it was, and what is wrong with what became of it."""
    _, arguments, words = draw(random, folder)
    ended = command("fit", arguments)
    return f"{words}: {' '.join(arguments)}", [*ended.faults(), *_nonsense(ended, folder / "laws" / "fits.json")]


def _nonsense(ended: Ended, fits: Path) -> list[str]:
    if ended.code not in (0, 3):
        return ["it is refused and there are laws"] if fits.exists() else []
    try:
        plain = strict_json(fits.read_text())
    except (OSError, ValueError) as error:
        return [f"fits.json: {error}"]
    found = []
    rows = plain["observations"]
    if rows["num_rows"] != rows["num_used"] + rows["num_heldout"] + len(rows["excluded"]):
        found.append(
            f"rows are lost: {rows['num_rows']} are {rows['num_used']} and {rows['num_heldout']} and the excluded"
        )
    for fit in plain["fits"]:
        for name, interval in fit["intervals"].items():
            low, high = interval["low"], interval["high"]
            if low is not None and high is not None and low > high:
                found.append(f"the interval of {name} of {fit['law']} is {low} to {high}")
    bad = [f for f in plain["forecasts"] if not (f["loss"] > 0 and f["params"] > 0 and f["tokens"] > 0)]
    return [*found, *(f"a forecast of {forecast}" for forecast in bad)]
