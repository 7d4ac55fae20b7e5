"""What a table of losses says, on a terminal."""

from collections.abc import Sequence

from rich.table import Table

from scaling.findings import refusals
from scaling.laws.analysis import PointForecast
from scaling.report.answer import verdict
from scaling.report.numbers import MISSING, amount, greek, level_text, nats, plural, range_text, significant
from scaling.report.reading import interval_level, largest_flops
from scaling.report.selection import selected
from scaling.report.tables import held_out_words, optimum_row, point_row
from scaling.results import GroupLaw, OptimalAllocation, TableReport
from scaling.tables.account import note_words
from scaling.terminal import PlainConsole

TOO_FAR = "too far beyond the fitted rows for a number"


def four_digits(value: float) -> str:
    return significant(value, 4)


def print_summary(report: TableReport, console: PlainConsole) -> None:
    fit, analysis = report.law.fit, report.analysis
    held = 0 if report.held_out is None else len(report.held_out)
    left_out = len(report.fitted.excluded)
    console.print(
        f"{report.source}: {plural(len(report.fitted), 'row')} fitted, {held:,} held out, {left_out:,} left out"
        + (" (reasons in fits.json)" if left_out else ""),
    )
    rows = report.fitted
    console.print(
        f"N {amount(rows.params.min())} to {amount(rows.params.max())}, D {amount(rows.tokens.min())} to "
        f"{amount(rows.tokens.max())}, loss {nats(rows.loss.min())} to {nats(rows.loss.max())}",
    )
    for note in report.reading.notes:
        console.print(f"Read: {note_words(note, report.reading.unit)}", soft_wrap=True)
    said = verdict(report)
    console.print(f"{said.words}. {said.sentence}")
    for finding in report.findings:
        if finding.level != "info":
            console.print(f"{finding.level_words} {finding.name}: {finding.numbers}")
    if not (fit.usable or analysis.line) or refusals(report.findings):
        return
    if fit.usable:
        _print_parameters(report, console)
    console.print(selected(report))
    plain = analysis.reports[0].heldout
    if analysis.heldout is not None:
        console.print(
            f"Held-out error: {held_out_words(analysis.heldout)}"
            + ("" if plain is None else f"; Chinchilla alone: {held_out_words(plain)}"),
        )
    print_forecasts(report.optima, report.analysis.points, largest_flops(report), console)


def _print_parameters(report: TableReport, console: PlainConsole) -> None:
    fit, intervals = report.law.fit, report.law.intervals
    parameters = Table(title=fit.law.formula, title_justify="left")
    for heading in ("parameter", "value", f"{level_text(interval_level(report))} interval"):
        parameters.add_column(heading, justify="left" if heading == "parameter" else "right")
    for name, value in fit.parameters.items():
        parameters.add_row(greek(name), four_digits(value), range_text(intervals.get(name), four_digits))
    console.print(parameters)


def print_forecasts(
    optima: Sequence[OptimalAllocation], points: Sequence[PointForecast], largest: float, console: PlainConsole
) -> None:
    """A line for each budget and for each N and D that was asked for; `largest` FLOPs were fitted."""
    for flops, beyond, params, params_range, tokens, tokens_range, _, loss, loss_range in (
        optimum_row(best, largest) for best in optima
    ):
        what = f"N {params} ({params_range}), D {tokens} ({tokens_range}), loss {loss} ({loss_range})"
        if loss == MISSING:
            what = TOO_FAR
        console.print(f"{flops} FLOPs, {beyond}: {what}", soft_wrap=True)
    for params, tokens, flops, beyond, loss, new_run, mean in (point_row(point, largest) for point in points):
        what = f"loss {loss} (a new run {new_run}, the mean of many {mean})"
        if loss == MISSING:
            what = TOO_FAR
        console.print(f"N {params}, D {tokens}, {flops} FLOPs, {beyond}: {what}", soft_wrap=True)


def print_groups(source: str, column: str, laws: Sequence[GroupLaw], console: PlainConsole) -> None:
    """A law for each value of a column, side by side."""
    console.print(f"{source}: a law for each {column}")
    shown = Table()
    for heading in (column, "rows", "status", "E", "α", "β", "best N", "best D", "bits/byte"):
        shown.add_column(heading, justify="left" if heading in (column, "status") else "right")
    for law in laws:
        own = law.parameters
        numbers = ["", "", ""] if own is None else [four_digits(own[name]) for name in ("E", "alpha", "beta")]
        numbers += [amount(law.best_params), amount(law.best_tokens), nats(law.best_bits_per_byte)]
        shown.add_row(law.value, str(law.num_points), law.status, *numbers)
    console.print(shown)
    for law in laws:
        if law.message:
            console.print(f"{law.value}: {law.message}", soft_wrap=True)
