"""How long a table of losses takes to be read and judged, beside a bare pass of Python's csv over the same file.

python -m benchmarks.table_reading [--rows 1000000]
"""

import argparse
import csv
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from scaling.checks.catalogue import check_reading
from scaling.tables.options import Columns, ReadingOptions
from scaling.tables.read import read_table

Line = Callable[[int, float, float, float], str]
KINDS: dict[str, tuple[str, Line]] = {
    "plain": ("params,tokens,loss", lambda i, n, d, x: f"{n:.0f},{d:.0f},{x:.5f}"),
    "human": ("size,tokens,val_loss", lambda i, n, d, x: f"{n / 1e6:.1f}M,{d / 1e9:.2f}B,{x:.5f}"),
    "wide": (
        "run_id,params,tokens,loss,flops,lr,seed,tokenizer,notes",
        lambda i, n, d, x: f"r{i},{n:.0f},{d:.0f},{x:.5f},{6 * n * d:.6g},{0.001 * (1 + i % 3)},{i % 5},gpt2,hello",
    ),
    "log": (
        "run,step,params,tokens,loss",
        lambda i, n, d, x: (
            f"r{i // 100},{i % 100},{1e7 + i // 100},{1e9 * (i % 100 + 1)},{x * (2 - i % 100 / 100):.5f}"
        ),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    count = parser.parse_args().rows
    rng = np.random.default_rng(0)
    n, d = (10 ** rng.uniform(low, low + 3, count) for low in (7, 9))
    x = (1.69 + 406.4 / n**0.34 + 410.7 / d**0.28) * np.exp(0.01 * rng.normal(size=count))
    print(f"{count:,} rows: seconds of the processor, and the ratio to csv.reader over the same file")
    with tempfile.TemporaryDirectory() as folder:
        for kind, (head, line) in KINDS.items():
            path = Path(folder) / "table.csv"
            rows = (line(i, *values) for i, values in enumerate(zip(n, d, x, strict=True)))
            path.write_text("\n".join([head, *rows]) + "\n")
            began = time.process_time()
            with path.open(newline="") as file:
                for _ in csv.reader(file):
                    pass
            bare = time.process_time() - began
            began = time.process_time()
            table = read_table(str(path), ReadingOptions(columns=Columns()))
            read = time.process_time() - began
            check_reading(table)
            judged = time.process_time() - began - read
            used = len(table.observations)
            print(f"{kind:<6} read {read:5.2f} ({read / bare:4.1f}x), judged {judged:5.2f}, {used:,} rows used")


if __name__ == "__main__":
    main()
