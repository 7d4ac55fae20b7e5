"""The plan as a person reads it: every point with its derived numbers, and what the whole costs."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rich import box
from rich.table import Table
from rich.text import Text

from scaling.findings import Finding
from scaling.model.counting import count_parameters, kaplan_training_flops
from scaling.numbers import MISSING, amount, bytes_text, duration, plural, scientific, significant
from scaling.planning.cost import Cost
from scaling.planning.memory import run_bytes
from scaling.planning.power import points_for_the_laws, repeated_apart
from scaling.planning.proposals import Proposals
from scaling.planning.schedule import wall_seconds
from scaling.specs import Plan, PlannedPoint, RunSpec
from scaling.terminal import PlainConsole, visible

MOST_POINTS = 2_000  # that are all listed
FEW = 200  # of more
LEVEL_STYLES = {"info": "cyan", "warn": "yellow", "refuse": "bold red"}


class Shown(NamedTuple):
    """A column of the plan: its heading, and what it says of a point and its trajectory."""

    heading: str
    cell: Callable[[PlannedPoint, RunSpec], str]


# In their order on the page. `C` is counted; `6ND` takes the total N, `Kaplan` 6 times the non-embedding N.
COLUMNS = (
    Shown("point", lambda p, r: str(p.index)),
    Shown("size", lambda p, r: p.size),
    Shown("seed", lambda p, r: str(p.init_seed)),
    Shown("N total", lambda p, r: f"{p.params:,}"),
    Shown("N non-emb", lambda p, r: f"{p.non_embedding_params:,}"),
    Shown("D tokens", lambda p, r: f"{p.tokens:,}"),
    Shown("nominal", lambda p, r: amount(p.nominal_tokens) if p.nominal_flops is None else scientific(p.nominal_flops)),
    Shown("C FLOPs", lambda p, r: scientific(p.flops)),
    Shown("6ND", lambda p, r: scientific(6.0 * p.params * p.tokens)),
    Shown("Kaplan", lambda p, r: scientific(float(kaplan_training_flops(r.model) * p.tokens))),
    Shown("batch", lambda p, r: f"{r.optimizer.batch_tokens:,}"),
    Shown("steps", lambda p, r: f"{p.steps:,}"),
    Shown("warmup", lambda p, r: str(r.schedule.warmup_steps)),
    Shown("cooldown", lambda p, r: f"{p.steps - r.cooldown_start(p.tokens):,}"),
    Shown("LR", lambda p, r: f"{r.optimizer.matrix_lr:.3g}"),
    Shown("emb LR", lambda p, r: f"{r.optimizer.embedding_lr:.3g}"),
    Shown("epochs", lambda p, r: MISSING if p.epochs is None else f"{p.epochs:.3f}"),
    Shown("takes", lambda p, r: MISSING if p.estimated_seconds is None else duration(p.estimated_seconds)),
    Shown("held out", lambda p, r: "yes" if p.held_out else ""),
)
# What matters first, as long as there is room for it.
PRIORITY = ("point", "size", "D tokens", "N total", "C FLOPs", "takes", "held out", "steps", "seed", "LR", "batch",
            "epochs", "warmup", "cooldown", "emb LR", "N non-emb", "nominal", "6ND", "Kaplan")  # fmt: skip


def print_plan(plan: Plan, cost: Cost, workers: int, console: PlainConsole, *, all_columns: bool = False) -> None:
    """One row a point, in as many columns as the console is wide, and what the whole costs."""
    few = len(plan.points) <= MOST_POINTS
    shown = plan.points if few else [plan.points[i * (len(plan.points) - 1) // (FEW - 1)] for i in range(FEW)]
    cells = {c.heading: [c.cell(point, plan.by_id[point.run_id]) for point in shown] for c in COLUMNS}
    if all_columns:
        console.width = max(console.width, sum(map(_width, cells.items())))
    chosen = columns_that_fit(cells, console.width)
    trajectories = plural(len(plan.runs), "trajectory", "trajectories")
    table = Table(
        title=f"{plan.study}: {plural(len(plan.points), 'point')} on {trajectories}",
        title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip
    for heading in chosen:
        table.add_column(heading, justify="left" if heading == "size" else "right", no_wrap=True)
    for row in zip(*(cells[heading] for heading in chosen), strict=True):
        table.add_row(*row)
    console.print(table)
    if not few:
        console.print(f"{FEW} of {len(plan.points):,} points are listed, evenly spread; --json lists all.")
    if len(chosen) < len(COLUMNS):
        console.print(f"{len(chosen)} of {len(COLUMNS)} columns fit here; columns=all and --json have all.")
    print_totals(plan, cost, workers, console)


def columns_that_fit(cells: Mapping[str, Sequence[str]], width: int) -> list[str]:
    """By their importance until the width is full, then in their order."""
    taken: set[str] = set()
    for heading in PRIORITY:
        if sum(_width((each, cells[each])) for each in (*taken, heading)) > width:
            break
        taken.add(heading)
    return [heading for heading in cells if heading in taken]


def _width(column: tuple[str, Sequence[str]]) -> int:
    """With the space beside it."""
    heading, found = column
    return max(map(len, (heading, *found))) + 2


def print_totals(plan: Plan, cost: Cost, workers: int, console: PlainConsole) -> None:
    first, second = wall_seconds(plan, cost, workers)
    beside = cost.time_model.seconds_per_study
    apart = repeated_apart(plan)
    held_out = plan.num_held_out - sum(point.held_out for point in apart)
    words = (
        f"{scientific(plan.total_flops)} training FLOPs with shared trunks, in {duration(first + second + beside)} on "
        f"{plural(workers, 'worker')}: {duration(first)} up to the forecasts, {duration(second)} for the "
        f"{plan.num_held_out} held-out points that they predict, {duration(beside)} for fits and report. "
        f"{_basis(plan, cost)} {_resources(plan, cost, workers, first + second)}"
    )
    if apart:
        words += (
            f" {plural(len(apart), 'point repeats its text and goes', 'points repeat their text and go')} to the law "
            "of repeated data: the plain laws are "
            f"fitted to {len(points_for_the_laws(plan))} points and tested on {held_out}."
        )
    console.print(words, soft_wrap=True)


def _resources(plan: Plan, cost: Cost, workers: int, seconds: float) -> str:
    memory = max(run_bytes(run, "fp32") for run in plan.runs)
    # Weights and two moments in float32: of the trunk, and of each branch until it has ended.
    disk = sum(3 * 4 * count_parameters(run.model).total * (2 + len(run.budgets)) for run in plan.runs)
    watts = cost.time_model.watts
    energy = "" if watts is None else f", {significant(watts * workers * seconds / 3.6e6)} kWh at the most"
    return f"At most {bytes_text(memory)} of memory for a worker, {bytes_text(disk)} of checkpoints on disk{energy}."


def _basis(plan: Plan, cost: Cost) -> str:
    if all(cost.is_measured(run) for run in plan.runs):
        words = "Steps were measured on this machine."
    else:
        named = cost.time_model.name
        words = (
            f"By time_model{f' ({named})' if named else ''}, not by this machine: calibrate=true measures its steps."
        )
    unknown = "The corpus is not prepared: that, and evaluations on its validation text, come on top."
    return words if cost.validation_tokens else f"{words} {unknown}"


def print_proposals(found: Proposals, console: PlainConsole) -> None:
    """One row a point: what it costs beyond what is there, and what is known with it."""
    table = Table(
        title=f"next points for {found.quantity} at {scientific(found.target_flops)} FLOPs", title_justify="left"
    )
    for column in ("size", "shape", "N total", "D tokens", "FLOPs more", "for", "sd after"):
        table.add_column(column, justify="left" if column in ("size", "for") else "right", no_wrap=True)
    for point in found.points:
        shape = f"{point.size.num_layers} x {point.size.d_model}" + (", new" if point.new_size else "")
        after = f"{point.sd_after:.3g}" if point.purpose != "form" else "gamma " + f"{point.sd_after:.2g}"
        table.add_row(
            point.size.name, shape, f"{point.params:,}", f"{point.tokens:,}", f"{point.flops:.3g}", point.purpose, after
        )
    console.print(table)
    console.print(
        f"sd of {found.quantity}: {found.sd_before:.3g} now, {found.sd_after:.3g} with {scientific(found.flops)} "
        "FLOPs more. "
        "Points for the form are predicted before they are trained, and fitted in the round after.",
        soft_wrap=True,
    )


def print_findings(findings: tuple[Finding, ...], console: PlainConsole) -> None:
    for finding in findings:
        style = LEVEL_STYLES[finding.level]
        words = f"{finding.name}: {finding.numbers} {finding.remedy} ({finding.source})"
        console.print(Text.assemble((f"{finding.level_words}:", style), f" {visible(words)}"), soft_wrap=True)
