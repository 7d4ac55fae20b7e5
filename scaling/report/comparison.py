"""Two recipes compared, on a terminal."""

import math

from rich.table import Table

from scaling.decisions import Comparison
from scaling.laws.gate import GateResult, Worth
from scaling.terminal import PlainConsole


def print_comparison(found: Comparison, console: PlainConsole) -> None:
    """The verdict, the multiplier by compute, and where the two cross."""
    where = "at each recipe's own optimum" if found.line is None else f"along {found.line}, for both"
    lines = [f"A: {found.a}. B: {found.b}. Losses in {found.unit}; C is 6 N D {where}."]
    if found.correlation is None:
        lines.append("No rows are paired by size, tokens, seed and data order: the two are taken as independent.")
    else:
        lines.append(f"{found.num_pairs} paired points, whose noise has a correlation of {found.correlation:.2f}.")
    lines += [found.verdict, found.trend]
    for line in lines:
        console.print(line, soft_wrap=True)
    table = Table()
    for heading in ("C in B", "worth in A", f"{found.level:.0%} interval"):
        table.add_column(heading, justify="right")
    for row in found.rows:
        worth = f"{row.multiplier:.3g} C" if math.isfinite(row.multiplier) else "A never gets there"
        table.add_row(f"{row.flops:.3g}", worth, f"{row.low:.3g} to {row.high:.3g}")
    console.print(table)
    console.print(found.clear, soft_wrap=True)
    if found.crossing is None:
        text = "The two do not cross within the table."
    else:
        low = "any smaller budget" if found.crossing.low is None else f"{found.crossing.low:.3g}"
        high = "any larger one" if found.crossing.high is None else f"{found.crossing.high:.3g}"
        text = f"They cross at {found.crossing.flops:.3g} FLOPs; between {low} and {high} neither can be told better."
    console.print(text, soft_wrap=True)


def print_gate(found: GateResult, console: PlainConsole) -> None:
    """The verdict, each run's multiplier, and the run that would decide."""
    where = "" if found.line is None else f", along {found.line}"
    console.print(
        f"A: {found.a}, {found.num_points} points{where}. B: {found.b}. Losses in {found.unit}.", soft_wrap=True
    )
    if found.num_own:
        console.print(f"{found.num_own} of A's points are B's very runs: A's law is fitted without them.")
    console.print(found.verdict, soft_wrap=True)
    table = Table()
    for heading in ("N", "D", "loss", "worth in A", f"{found.level:.0%} interval"):
        table.add_column(heading, justify="right")
    for run in found.runs:
        table.add_row(f"{run.params:.4g}", f"{run.tokens:.4g}", f"{run.loss:.4f}", *_worth(run.worth))
    table.add_row("together", "", "", *_worth(found.together))
    console.print(table)
    if found.next is not None:
        one = found.next
        likely = "would decide" if one.probability >= 0.8 else "is the likeliest to decide"
        console.print(
            f"One more run of B at N {one.params:.4g}, D {one.tokens:.4g} ({one.flops:.3g} FLOPs) {likely}: "
            f"with probability {one.probability:.0%}.",
            soft_wrap=True,
        )


def _worth(worth: Worth) -> tuple[str, str]:
    value = f"{worth.multiplier:.3g} C" if math.isfinite(worth.multiplier) else "A never gets there"
    return value, f"{worth.low:.3g} to {worth.high:.3g}"
