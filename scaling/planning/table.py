"""The plan as a person reads it: every point with its derived numbers, and what the whole costs."""

from rich.table import Table
from rich.text import Text

from scaling.findings import Finding
from scaling.model.counting import kaplan_training_flops
from scaling.planning.cost import Cost
from scaling.planning.proposals import Proposals
from scaling.planning.schedule import wall_seconds
from scaling.specs import Plan
from scaling.terminal import PlainConsole, visible

MOST_POINTS = 2_000  # that are all listed
FEW = 200  # of more
LEVEL_STYLES = {"info": "cyan", "warn": "yellow", "refuse": "bold red"}


def print_plan(plan: Plan, cost: Cost, workers: int, console: PlainConsole) -> None:
    """One row a point. `C` is counted; `6ND` takes the total N, `Kaplan` 6 times the non-embedding N."""
    table = Table(
        title=f"{plan.study}: {len(plan.points)} points on {len(plan.runs)} trajectories", title_justify="left"
    )
    columns = (
        "point", "size", "seed", "N total", "N non-emb", "D tokens", "nominal", "C FLOPs", "6ND", "Kaplan", "batch",
        "steps", "warmup", "cooldown", "LR", "emb LR", "epochs", "est. s", "held out",
    )  # fmt: skip
    for column in columns:
        table.add_column(column, justify="left" if column == "size" else "right", no_wrap=True)
    few = len(plan.points) <= MOST_POINTS
    shown = plan.points if few else [plan.points[i * (len(plan.points) - 1) // (FEW - 1)] for i in range(FEW)]
    for point in shown:
        run = plan.by_id[point.run_id]
        nominal = f"{point.nominal_tokens:.4g}" if point.nominal_flops is None else f"{point.nominal_flops:.3g} FLOPs"
        table.add_row(
            str(point.index),
            point.size,
            str(point.init_seed),
            f"{point.params:,}",
            f"{point.non_embedding_params:,}",
            f"{point.tokens:,}",
            nominal,
            f"{point.flops:.3g}",
            f"{6.0 * point.params * point.tokens:.3g}",
            f"{float(kaplan_training_flops(run.model) * point.tokens):.3g}",
            f"{run.optimizer.batch_tokens:,}",
            f"{point.steps:,}",
            str(run.schedule.warmup_steps),
            f"{point.steps - run.cooldown_start(point.tokens):,}",
            f"{run.optimizer.matrix_lr:.3g}",
            f"{run.optimizer.embedding_lr:.3g}",
            "–" if point.epochs is None else f"{point.epochs:.3f}",
            "–" if point.estimated_seconds is None else f"{point.estimated_seconds:.0f}",
            "yes" if point.held_out else "",
        )
    console.print(table)
    if not few:
        console.print(f"{FEW} of {len(plan.points):,} points are listed, evenly spread; json=true lists all.")
    first, second = wall_seconds(plan, cost, workers)
    beside = cost.time_model.seconds_per_study
    console.print(
        f"{plan.total_flops:.3g} training FLOPs with shared trunks. Estimated {first + second + beside:.0f} s on "
        f"{workers} worker{'s' if workers > 1 else ''}: {first:.0f} s, then {second:.0f} s for the {plan.num_held_out} "
        f"held-out points, whose losses are predicted in between; {beside:.0f} s for forecasts, fits and report. "
        f"{_basis(plan, cost)}"
    )


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
    table = Table(title=f"next points for {found.quantity} at {found.target_flops:.3g} FLOPs", title_justify="left")
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
        f"sd of {found.quantity}: {found.sd_before:.3g} now, {found.sd_after:.3g} with {found.flops:.3g} FLOPs more. "
        "Points for the form are predicted before they are trained, and fitted in the round after.",
        soft_wrap=True,
    )


def print_findings(findings: tuple[Finding, ...], console: PlainConsole) -> None:
    for finding in findings:
        style = LEVEL_STYLES[finding.level]
        words = f"{finding.name}: {finding.numbers} {finding.remedy} ({finding.source})"
        console.print(Text.assemble((f"{finding.level_words}:", style), f" {visible(words)}"), soft_wrap=True)
