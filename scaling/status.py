"""`python -m scaling.status study=default`: what a study has done, what runs, what failed, why, and what it costs;
and how the forecasts of all studies beside it came out.

It never writes.

Example: python -m scaling.status study=default --json
"""

from collections.abc import Iterator, Sequence

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich import box
from rich.table import Table

from scaling.analysis.ledger import ledger_lines
from scaling.command import run_hydra
from scaling.config import require_as_stored, stored_plan, study_config
from scaling.numbers import amount, duration, nats, scientific
from scaling.results import LedgerLine
from scaling.stages.overview import Overview, PointState, look_at
from scaling.store import read_ledgers
from scaling.terminal import PlainConsole, warn
from scaling.values import to_plain

MOST_LISTED = 2_000


def task(composed: DictConfig) -> int:
    config = study_config(composed)
    require_as_stored(config, "status", HydraConfig.get().overrides.task)
    overview = look_at(config.folder, stored_plan(config))
    ledger = ledger_lines(read_ledgers(config.folder.parent, warn))
    if config.json:
        PlainConsole().print_json(data={**to_plain(overview), "ledger": [to_plain(line) for line in ledger]})
    else:
        show(overview, PlainConsole())
        show_ledger([line for line in ledger if line.study == overview.study], PlainConsole())
    return 0


def show(overview: Overview, console: PlainConsole) -> None:
    counts = ", ".join(f"{count} {state}" for state, count in sorted(overview.counts.items()))
    console.print(f"{overview.study}: {counts}")
    done = [point for point in overview.points if point.state == "done"]
    if done:
        losses = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
        losses.add_column("size")
        losses.add_column("tokens: loss in nats/token, the mean over seeds")
        for size, words in by_size(done):
            losses.add_row(size, words)
        console.print(losses)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for column in ("point", "run", "D tokens", "state", "detail"):
        table.add_column(column)
    others = [point for point in overview.points if point.state != "done"]
    listed = worth_listing(others)
    for point in listed:
        table.add_row(str(point.point), point.run_id, f"{point.tokens:,}", point.state, in_words(point))
    if listed:
        console.print(table)
    if len(listed) < len(others):
        console.print(f"{len(listed):,} of {len(others):,} points that are not done are listed; --json has all")
    cost = overview.cost
    spent = [f"{scientific(cost.flops)} FLOPs"]
    spent += [f"{cost.core_hours:.3g} core-hours"] if cost.core_hours or not cost.gpu_hours else []
    spent += [f"{cost.gpu_hours:.3g} GPU-hours"] if cost.gpu_hours else []
    left = "unknown" if cost.seconds_left is None else duration(cost.seconds_left)
    console.print(
        f"so far {', '.join(spent)}; left {scientific(cost.flops_left)} FLOPs, ETA {left} with as many workers as now",
    )
    if overview.queue is not None:
        console.print(overview.queue)


def by_size(points: Sequence[PointState]) -> Iterator[tuple[str, str]]:
    """A line for each size, in the plan's order: its budgets with their losses."""
    losses: dict[str, dict[int, list[float]]] = {}
    for point in points:
        if point.loss_nats is not None:
            # The name of a size has no dash, and every run's begins with it.
            losses.setdefault(point.run_id.partition("-")[0], {}).setdefault(point.tokens, []).append(point.loss_nats)
    for size, found in losses.items():
        cells = (
            f"{amount(tokens)}: {nats(sum(each) / len(each))}" + (f" ({len(each)})" if len(each) > 1 else "")
            for tokens, each in sorted(found.items())
        )
        yield size, ", ".join(cells)


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
    run_hydra(task, "sweep", command="status", about=__doc__, argv=argv)


if __name__ == "__main__":
    main()
