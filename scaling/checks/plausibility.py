"""Whether a table's numbers can be parameters, tokens, FLOPs and nats/token, before anything is fitted to them.

Each is a function from what was read to findings.
"""

import math
from collections.abc import Iterator

import numpy as np

from scaling.findings import Finding
from scaling.laws.distributions import f_tail, robust_deviation
from scaling.laws.observations import FloatArray, Observations
from scaling.tables.account import at_lines
from scaling.tables.read import Table
from scaling.tables.units import loss_unit
from scaling.tables.yardstick import MIN_ROWS, expected_loss, quadratic

LEAST_PARAMS, LEAST_TOKENS, MOST_PARAMS, MOST_TOKENS = 1e3, 1e4, 1e14, 1e17
SWAPPED_SHARE, LEAST_RATIO, MOST_RATIO = 0.9, 0.5, 5e3
UNLIKELY_LOSS, HIGHEST = 2.0, 6.25  # times Hoffmann's law, of which no more than this is taken
HIGH_LOSS, LOW_LOSS = 1.35, 0.5  # times it: bits are 1.44, those of bytes and decimal logarithms below a half
RISES = 5.0  # standard errors
UNRELATED = 0.05
OFF_FLOPS = 10.0


def unlikely_units(table: Table) -> Iterator[Finding]:
    """Models of 14 parameters, budgets of 300 tokens: thousands, millions, billions or logarithms are meant."""
    for field, least, most, noun in (
        ("params", LEAST_PARAMS, MOST_PARAMS, "parameters"), ("tokens", LEAST_TOKENS, MOST_TOKENS, "tokens")
    ):  # fmt: skip
        values = getattr(table.observations, field)
        off = (values < least) | (values > most)
        if not off.any() or field in table.draft.options.columns.units:
            continue
        small = bool(values[off].max() < most)
        if (source := _worked_out_of(table, field)) is not None:
            yield _unit_of_source(table, "unlikely_units", field, source)
            continue
        hint = _likely_unit(field, values[off]) if small else "1"
        yield Finding(
            "unlikely_units",
            "refuse",
            f"{field} is {values[off].min():.4g} to {values[off].max():.4g} in {int(off.sum())} of {len(values)} rows "
            f"({at_lines(table.reading.unit, table.lines[off])}): no model has so {'few' if small else 'many'} {noun}"
            f"{' to train on' if field == 'tokens' else ''} (expected {least:g} to {most:g}).",
            f"Say what one of them is: columns.{field}_unit={hint} (or 1e3, 1e6, 1e9, log10; 1 if they are as they "
            "are).",
            "the table itself",
        )


def _worked_out_of(table: Table, field: str) -> str | None:
    """The field of compute that a field was worked out of, if so."""
    if field in table.draft.found:
        return None
    return next((source for source in ("flops", "budget") if source in table.draft.found), None)


def _unit_of_source(table: Table, name: str, field: str, source: str) -> Finding:
    """What is wrong with a field that was worked out of compute is wrong with the compute."""
    rows, column = table.observations, table.column_of(source)
    values = getattr(rows, field)
    factor = 10.0 ** (3 * round(math.log10(20 * float(np.median(rows.params / rows.tokens))) / 3))
    return Finding(
        name,
        "refuse",
        f"{field} was worked out of {column!r} and would be {values.min():.4g} to {values.max():.4g}: {column!r} is in "
        "another unit than FLOPs.",
        f"Say what one of it is: columns.{source}_unit={factor:.0e} (or 1e15, 1e18, PFLOPs, log10 ...).",
        "C = 6 N D, Kaplan et al. 2020, arXiv 2001.08361",
    )


def _likely_unit(field: str, values: FloatArray) -> str:
    """What would bring a column to where models are; log10 where all lie between 5 and 14."""
    if values.min() > 5 and values.max() < 14 and values.max() < 2 * values.min():
        return "log10"
    return "1e9" if float(np.median(values)) < (10 if field == "params" else 1000) else "1e6"


def unlikely_ratio(table: Table) -> Iterator[Finding]:
    """Nobody trains nearly every model on fewer tokens than it has parameters, or on thousands of times as many."""
    rows, a, b = table.observations, table.column_of("params"), table.column_of("tokens")
    ratio = rows.tokens / rows.params
    share, median = float((ratio < 1).mean()), float(np.median(ratio))
    swapped = share >= SWAPPED_SHARE or median < LEAST_RATIO
    if not swapped and median < MOST_RATIO:
        return
    for field in ("params", "tokens"):
        if (source := _worked_out_of(table, field)) is not None:
            if not any(unlikely_units(table)):
                yield _unit_of_source(table, "unlikely_ratio", field, source)
            return
    low = (
        f"D is below N in {share:.0%} of the rows (refused from {SWAPPED_SHARE:.0%}) and {median:.2g} times N at the "
        f"median (refused below {LEAST_RATIO:g})"
    )
    high = f"D is {median:,.0f} times N at the median (refused from {MOST_RATIO:,.0f})"
    remedy = f"If they are exchanged, say columns.params={b} columns.tokens={a}; if" if swapped else "If"
    yield Finding(
        "unlikely_ratio",
        "refuse",
        f"{low if swapped else high}: the two columns look exchanged, or in different units.",
        f"{remedy} one has another unit, columns.params_unit= or columns.tokens_unit=; if it is so, "
        "force=[unlikely_ratio].",
        "Hoffmann et al. 2022, arXiv 2203.15556: the best D is some 20 N; the suites of Kaplan et al. 2020 and "
        "Biderman et al. 2023 (arXiv 2304.01373) lie between 1 and 5,000 at the median",
    )


def unlikely_loss(table: Table) -> Iterator[Finding]:
    """Perplexities, bits, sums over steps: losses far from what such models reach in nats for each token."""
    rows, given = table.observations, table.draft.options.loss_unit
    if loss_unit(str(given)) == "nats":
        return
    expected = expected_loss(rows.params, rows.tokens)
    source = "Hoffmann et al. 2022, arXiv 2203.15556, Eq. 10, as a yardstick: published losses are 0.9 to 1.2 times it"
    ratio = float(np.median(rows.loss / np.minimum(expected, HIGHEST)))
    said = (
        f"Losses are {rows.loss.min():.4g} to {rows.loss.max():.4g} nats/token, at the median {ratio:.2g} times "
        "those of Hoffmann's law at such N and D"
    )
    if ratio > UNLIKELY_LOSS:
        yield Finding(
            "unlikely_loss",
            "refuse",
            f"{said} (refused from {UNLIKELY_LOSS:g}); guessing among 250,000 tokens costs 12.4.",
            "If they are perplexities or bits, say loss_unit=perplexity or loss_unit=bits; if they were summed "
            "over several steps or devices, say what one of them is, such as loss_unit=0.25 for four; if they are "
            "nats, loss_unit=nats.",
            source,
        )
    elif given is not None or table.draft.found["loss"].loss_unit is not None or np.median(expected) > HIGHEST:
        return  # said already, or of models so small that the yardstick is none
    elif ratio > HIGH_LOSS:
        yield Finding(
            "unlikely_loss",
            "warn",
            f"{said} (said above {HIGH_LOSS:g}): bits are 1.44 times nats. N* is the same in both, the losses are not.",
            "Say which they are: loss_unit=bits or loss_unit=nats.",
            source,
        )
    elif ratio < LOW_LOSS:
        yield Finding(
            "unlikely_loss",
            "warn",
            f"{said} (said below {LOW_LOSS:g}): they look like those of bytes or characters, or like logarithms.",
            "Say loss_unit=nats if they are nats of each token, and else what one is in nats (loss_unit=2.303) or "
            "loss_unit=log10, ln.",
            source,
        )


def rising_loss(table: Table) -> Iterator[Finding]:
    """A larger model or more text does not hurt: where losses rise, the column is another quantity, or the sign is."""
    slopes = _slopes(table.observations)
    for name, (slope, error) in slopes.items():
        if slope > RISES * error:
            yield Finding(
                "rising_loss",
                "refuse",
                f"Losses rise with {name}: by {math.expm1(slope * math.log(10)):.1%} for ten times as much, "
                f"{slope / error:.0f} standard errors (refused beyond {RISES:g}).",
                "Look whether the column is an accuracy, a log-likelihood (loss_unit=-1) or another run's, and "
                "whether N and D are what they should be; if losses do rise so, the recipe breaks there: leave "
                "those rows out with where=.",
                "a regression of log loss on log N and log D",
            )


def unrelated_loss(table: Table) -> Iterator[Finding]:
    """Losses that do not know N and D carry no law of them."""
    rows = table.observations
    basis, residual = quadratic(rows)
    if basis is None:
        return
    y = np.log(rows.loss)
    total, rest = float(np.sum((y - y.mean()) ** 2)), float(np.sum(residual**2))
    freedom = len(rows) - basis.shape[1]
    if total <= 0 or freedom < 3:
        return
    ratio = (total - rest) / (basis.shape[1] - 1) / max(rest / freedom, 1e-300)
    if (chance := f_tail(ratio, basis.shape[1] - 1, freedom)) > UNRELATED:
        yield Finding(
            "unrelated_loss",
            "refuse",
            f"Losses do not depend on N and D beyond chance (p = {chance:.2g} of {len(rows)} rows, refused above "
            f"{UNRELATED:g}).",
            "Look whether rows and losses belong together, and whether the column is the loss; else measure where "
            "N and D differ more.",
            "Fisher's F test of a quadratic in log N and log D",
        )


def flops_off(table: Table) -> Iterator[Finding]:
    """Compute in another unit puts the wrong rows out to test, and bends every law of C."""
    rows, column = table.observations, table.column_of("flops")
    if table.wrong_flops:
        yield Finding(
            "flops_off",
            "warn",
            f"{column!r} is more than {OFF_FLOPS:g} times off 6 N D in {len(table.wrong_flops)} rows "
            f"({at_lines(table.reading.unit, table.wrong_flops)}) and near it in others: 6 N D was taken for those "
            "rows.",
            f"Correct the unit of these cells; ignore=[{column}] takes 6 N D for all rows.",
            "C = 6 N D, Kaplan et al. 2020, arXiv 2001.08361",
        )
        return
    if "flops" not in table.draft.numbers:
        return
    ratio = float(np.median(rows.flops / (6 * rows.params * rows.tokens)))
    if not 1 / OFF_FLOPS < ratio < OFF_FLOPS:
        factor = 10.0 ** (3 * round(-math.log10(ratio) / 3))
        yield Finding(
            "flops_off",
            "refuse",
            f"{column!r} is {ratio:.2g} times 6 N D at the median (refused beyond {OFF_FLOPS:g} times either way).",
            f"Say its unit, columns.flops_unit={factor:.0e}, or ignore=[{column}], which takes 6 N D; if it counts "
            "otherwise, force=[flops_off].",
            "C = 6 N D, Kaplan et al. 2020, arXiv 2001.08361",
        )


def rows_out_of_scale(table: Table) -> Iterator[Finding]:
    """A zero too many in one cell moves every target and every hold-out."""
    for said in table.out_of_scale:
        yield Finding(
            "rows_out_of_scale",
            "warn",
            f"{said[0].upper()}{said[1:]}. These rows are left out.",
            "Correct the cells, or leave the rows out for good with where=.",
            "the law of the other rows, at the values as given and a power of ten off",
        )


def _slopes(rows: Observations) -> dict[str, tuple[float, float]]:
    """Of log loss in log N and log D, with standard errors; in log C alone where the two go together."""
    n, d, y = np.log(rows.params), np.log(rows.tokens), np.log(rows.loss)
    columns = {"N": n - n.mean(), "D": d - d.mean()}
    columns = {name: column for name, column in columns.items() if np.ptp(column) > 0.1}
    if len(columns) == 2 and abs(float(np.corrcoef(columns["N"], columns["D"])[0, 1])) > 0.98:
        columns = {"N and D": columns["N"] + columns["D"]}
    if not columns or len(rows) < MIN_ROWS:
        return {}
    design = np.stack([np.ones(len(y)), *columns.values()], axis=1)
    solved = np.linalg.lstsq(design, y, rcond=None)[0]
    residual = y - design @ solved
    scale = max(robust_deviation(residual), float(np.std(residual)) / 3, 1e-12)
    errors = scale * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
    return {name: (float(solved[i]), float(errors[i])) for i, name in enumerate(columns, start=1)}
