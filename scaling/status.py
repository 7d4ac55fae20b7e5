"""`python -m scaling.status study=default`: what a study has done, what runs, what failed, why, and what it costs;
and how the forecasts of all studies beside it came out.

It never writes.

Example: python -m scaling.status study=default --json
"""

from collections.abc import Sequence

from omegaconf import DictConfig
from rich.table import Table

from scaling.analysis.ledger import ledger_lines
from scaling.command import run_hydra
from scaling.config import stored_plan, study_config
from scaling.results import LedgerLine
from scaling.stages.overview import Overview, PointState, look_at
from scaling.store import read_ledgers
from scaling.terminal import PlainConsole, warn
from scaling.values import to_plain

MOST_LISTED = 2_000


def task(composed: DictConfig) -> int:
    config = study_config(composed)
    overview = look_at(config.folder, stored_plan(config))
    ledger = ledger_lines(read_ledgers(config.folder.parent, warn))
    if config.json:
        PlainConsole().print_json(data={**to_plain(overview), "ledger": [to_plain(line) for line in ledger]})
    else:
        show(overview, PlainConsole())
        show_ledger(ledger, PlainConsole())
    return 0


def show(overview: Overview, console: PlainConsole) -> None:
    counts = ", ".join(f"{count} {state}" for state, count in sorted(overview.counts.items()))
    table = Table(title=f"{overview.study}: {counts}", title_justify="left")
    for column in ("point", "run", "D tokens", "state", "detail"):
        table.add_column(column)
    listed = worth_listing(overview.points)
    for point in listed:
        table.add_row(str(point.point), point.run_id, f"{point.tokens:,}", point.state, in_words(point))
    console.print(table)
    if len(listed) < len(overview.points):
        console.print(
            f"{len(listed):,} of {len(overview.points):,} points are listed, those that are not done first; --json has "
            "all"
        )
    cost = overview.cost
    spent = [f"{cost.flops:.3g} FLOPs"]
    spent += [f"{cost.core_hours:.3g} core-hours"] if cost.core_hours or not cost.gpu_hours else []
    spent += [f"{cost.gpu_hours:.3g} GPU-hours"] if cost.gpu_hours else []
    left = "unknown" if cost.seconds_left is None else f"{cost.seconds_left:.0f} s"
    console.print(
        f"so far {', '.join(spent)}; left {cost.flops_left:.3g} FLOPs, ETA {left} with as many workers as now",
    )
    if overview.queue is not None:
        console.print(overview.queue)


def worth_listing(points: Sequence[PointState]) -> Sequence[PointState]:
    """Of very many points, in their order, those that run or failed, and of the others as many as a screen may hold."""
    if len(points) <= MOST_LISTED:
        return points
    usual = {"done": 1, "planned": 2}
    first = sorted(points, key=lambda point: usual.get(point.state, 0))[:MOST_LISTED]
    return sorted(first, key=lambda point: point.point)


def in_words(point: PointState) -> str:
    parts = [] if point.loss_nats is None else [f"{point.loss_nats:.4f} nats/token"]
    parts += [] if point.reason is None else [point.reason]
    parts += [] if point.heartbeat_seconds is None else [f"{point.heartbeat_seconds:.0f} s ago"]
    parts += [] if point.host is None else [f"on {point.host}"]
    parts += [] if point.queue_id is None else [f"job {point.queue_id}"]
    parts += [f"attempt {point.attempt}"] if point.attempt and point.attempt > 1 else []
    return ", ".join(parts)


def show_ledger(ledger: Sequence[LedgerLine], console: PlainConsole) -> None:
    for line in ledger:
        if line.measured:
            console.print(
                f"ledger of {line.study}, {line.law}: {line.inside} of {line.measured} {line.level:.0%} intervals "
                f"held, {line.level * line.measured:.1f} expected; mean error {line.mean_error:.2%}",
                soft_wrap=True,
            )


def main(argv: Sequence[str] | None = None) -> None:
    run_hydra(task, "sweep", about=__doc__, argv=argv)


if __name__ == "__main__":
    main()
