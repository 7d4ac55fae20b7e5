"""Whether a table's rows are of one thing, before anything is fitted to them: text, recipe, finished runs. Each is a
function from what was read to findings."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from scaling.findings import Finding
from scaling.laws.distributions import f_tail
from scaling.laws.observations import FloatArray, IntArray, Observations
from scaling.laws.repeated import REPEATED, unique_of
from scaling.tables.cells import cell_index, share_crossed
from scaling.tables.draft import Beside
from scaling.tables.headers import words_of
from scaling.tables.numbers import plain_floats
from scaling.tables.read import Table
from scaling.tables.yardstick import MIN_ROWS, column_effects, quadratic

MOST_VALUES = 6  # named in a sentence
UNEVEN_SPREAD, UNEVEN_SHARE = 0.06, 0.2
EXPLAINS, EXPLAINS_LOSS, COVERS = 1e-6, 0.01, 0.5
FEWEST_OF_A_VALUE = 3
CONFOUNDED = 0.5
MOST_BROKEN = 4  # values of a column whose breaks are looked for
AT_END = 0.3
PASSES, CORPUS, AMOUNT = {"epoch", "epochs", "repeats", "repetitions"}, {"dataset", "corpus"}, {"tokens", "size"}
MOST_EPOCHS = 1e4  # what gives more has another unit


def mixed_kinds(table: Table) -> Iterator[Finding]:
    """Losses on other text, in other tokens or of another kind are not one quantity."""
    for column in _beside(table, "kind"):
        # As many values as rows are names of the rows.
        if 1 < len({value.casefold() for value in column.distinct}) <= max(2, len(column.values) / 2):
            yield Finding(
                "mixed_kinds",
                "refuse",
                f"Column {column.name!r} has {len(column.distinct)} values ({_groups(column)}), and losses of "
                "different ones are not one quantity: one law of all is a law of none.",
                _apart(column),
                "Hoffmann et al. 2022 and all since: one text, one tokenizer, one validation set in a fit",
            )


def mixed_methods(table: Table) -> Iterator[Finding]:
    """An optimizer or a schedule that changes with size or tokens cannot be told from them."""
    for column in (*_beside(table, "method"), *filter(_is_text, _beside(table, "recipe"))):
        if len(column.distinct) < 2 or (table.recipes is not None and column.name in table.recipes.columns):
            continue
        rows = table.observations
        if share_crossed(cell_index(rows.params, rows.tokens, rows.unique_tokens), column.codes) > 0.5:
            continue
        ends = []
        for value in column.distinct[:MOST_VALUES]:
            own = rows.params[[v == value for v in column.values]]
            ends.append(f"{value} at N {own.min():.3g} to {own.max():.3g}")
        yield Finding(
            "mixed_methods",
            "refuse",
            f"Column {column.name!r} has {len(column.distinct)} values ({'; '.join(ends)}) and few pairs of N and D "
            "have several of them: what it does to the loss cannot be told from what N and D do.",
            _apart(column),
            "Gemstones 2025, arXiv 2502.06857: exponents of .46 to .97 on one suite by choice of points",
        )


def unexplained_column(table: Table) -> Iterator[Finding]:
    """A column whose meaning is not known, but which moves the loss at equal N and D."""
    rows = table.observations
    basis, residual = quadratic(rows)
    if basis is None:
        return
    for column in _beside(table, "unknown", "provenance", "recipe", "label", "result"):
        counts = Counter(column.values)
        if not 1 < len(counts) <= max(2, len(rows) / 4) or min(counts.values()) < FEWEST_OF_A_VALUE:
            continue
        codes = column.codes
        if not all(_covers(rows, codes == code) for code in range(len(counts))):
            continue
        dummies = (codes[:, None] == np.arange(1, len(counts))).astype(np.float64)
        wider = np.concatenate([basis, dummies], axis=1)
        solved = np.linalg.lstsq(wider, np.log(rows.loss), rcond=None)[0]
        rest = np.log(rows.loss) - wider @ solved
        freedom = len(rows) - wider.shape[1]
        gained = float(np.sum(residual**2) - np.sum(rest**2)) / dummies.shape[1]
        effects = np.append(solved[-dummies.shape[1] :], 0.0)
        if freedom < MIN_ROWS or np.ptp(effects) < EXPLAINS_LOSS:
            continue
        if f_tail(gained / max(float(np.sum(rest**2)) / freedom, 1e-300), dummies.shape[1], freedom) < EXPLAINS:
            yield Finding(
                "unexplained_column",
                "warn",
                f"Losses at equal N and D differ by {math.expm1(float(np.ptp(effects))):.1%} between the values of "
                f"column {column.name!r} ({_groups(column)}), at odds of less than one in a million.",
                f"If it says that rows are of different things, give each a law: {_apart(column)}",
                "Fisher's F test of its values beside a quadratic in log N and log D",
            )


def confounded_column(table: Table) -> Iterator[Finding]:
    """What changes with size, or with tokens, moves the loss as if they did: a break where it changes shows it."""
    rows = table.observations
    meant = {name for found in table.draft.found.values() for name in found.others}  # N or D by another name
    for column in _beside(table, "unknown", "provenance", "recipe", "label", "result"):
        counts, codes = Counter(column.values), column.codes
        few = 1 < len(column.distinct) <= max(2, len(rows) / 4) and min(counts.values()) >= FEWEST_OF_A_VALUE
        if not few or column.name in meant:
            continue
        broken = _break(rows, codes)
        if broken == 0 or (broken is None and not (column.role in ("unknown", "provenance") and _is_text(column))):
            continue
        shares = {"N": _explained(codes, np.log(rows.params)), "D": _explained(codes, np.log(rows.tokens))}
        name, share = max(shares.items(), key=lambda item: item[1])
        if share > CONFOUNDED:
            seen = f" Losses break by {broken:.1%} where it does, beside any smooth law of N and D." if broken else ""
            yield Finding(
                "confounded_column",
                "warn" if broken else "info",
                f"Column {column.name!r} ({_groups(column)}) changes with {name}, and explains {share:.0%} of its "
                f"logarithm: what it does to the loss cannot be told from what that does.{seen}",
                f"Train one pair of N and D under two of its values; {_apart(column)}",
                "Hurlbert 1984: replicates of what is to be told apart; Fisher's F test of the break, one in a million",
            )


def _break(rows: Observations, codes: IntArray) -> float | None:
    """By how much losses break where a column of few values changes, beside any smooth law of N and D; 0: not beyond
    chance; None: N and D leave no saying."""
    num_values = int(codes.max()) + 1
    dummies = (codes[:, None] == np.arange(1, num_values)).astype(np.float64)
    moved = None if num_values > MOST_BROKEN else column_effects(rows.params, rows.tokens, rows.loss, dummies)
    if moved is None:
        return None
    effects, chance = moved
    spread = float(np.ptp(np.append(effects, 0.0)))
    return spread if spread > EXPLAINS_LOSS and chance < EXPLAINS else 0.0


def uneven_cells(table: Table) -> Iterator[Finding]:
    """Seeds move a loss by less than a few percent; what moves it more is a recipe that no column tells."""
    if table.recipes is not None:
        return
    rows = table.observations
    cell = cell_index(rows.params, rows.tokens, rows.unique_tokens)
    low, high = np.full(int(cell.max()) + 1, np.inf), np.full(int(cell.max()) + 1, -np.inf)
    np.minimum.at(low, cell, np.log(rows.loss))
    np.maximum.at(high, cell, np.log(rows.loss))
    several = np.bincount(cell) > 1
    wide = np.expm1((high - low)[several]) > UNEVEN_SPREAD
    if wide.size and wide.mean() > UNEVEN_SHARE:
        yield Finding(
            "uneven_cells",
            "warn",
            f"{int(several[cell].sum())} rows are {len(wide)} pairs of N and D, and the losses of {int(wide.sum())} "
            f"pairs differ by more than {UNEVEN_SPREAD:.0%} (up to {np.expm1((high - low)[several]).max():.0%}): "
            "seeds do not do that.",
            "Name what differs in a column, or say duplicates=best, which takes the best row of each pair, or "
            "duplicates=mean.",
            "Porian et al. 2024, arXiv 2406.19146: seed noise of .05 at loss 7 and .002 at loss 3",
        )


def best_recipes(table: Table) -> Iterator[Finding]:
    """Rows of one N and D that differ in their recipe were searched, not replicated."""
    done = table.recipes
    if done is None:
        return
    ends = {name: share for name, share in done.at_end.items() if share > AT_END}
    said = "".join(
        f" The best {name} is the largest or the least tried in {share:.0%} of them." for name, share in ends.items()
    )
    taken = "the best of each is its point" if done.how == "best" else "the mean of each is its point"
    yield Finding(
        "best_recipes",
        "warn" if ends else "info",
        f"{done.num_rows} rows are {done.num_cells} pairs of N and D, which differ by up to {done.largest_spread:.1%}"
        f"{' in ' + ', '.join(done.columns) if done.columns else ''}: {taken}.{said}",
        "Try values beyond the end: an untuned end of the grid bends the law."
        if ends
        else "duplicates=mean averages them, where= chooses one recipe, ignore=[...] takes them for seeds.",
        "Porian et al. 2024, arXiv 2406.19146: learning rates untuned at one end moved the exponent",
    )


def log_of_evaluations(table: Table) -> Iterator[Finding]:
    """Losses on the way of a run, before its rate has decayed, are no losses of finished runs."""
    if table.suspected_log:
        yield Finding(
            "log_of_evaluations",
            "warn",
            "Rows of one N follow each other at rising D, and their losses fall ever faster towards the end, or are "
            "higher than at the end of other rows, as before a decay of the learning rate: this looks like "
            "evaluations on the way of a few runs, not like finished runs.",
            "Name the column that tells the runs apart with columns.run=NAME (columns.run="
            f"{table.column_of('params')} where each N is one run): then the last row of each is its point.",
            "Hägele et al. 2024, arXiv 2405.18392: a loss before the decay is too high by as much as the law is to "
            "tell",
        )


def repeated_text(table: Table) -> Iterator[Finding]:
    """A token that was seen before is worth less than a new one: the plain laws take it for new."""
    if table.repeated is not None:
        yield Finding(
            "repeated_text",
            "info",
            f"{len(table.repeated)} rows saw text more than once: the plain laws and the forecast are of the "
            f"{len(table.observations)} rows of fresh text.",
            "Nothing; what repetition costs is in the law of repeated data.",
            "Muennighoff et al. 2023, arXiv 2305.16264",
        )
        return
    if table.is_study:
        return
    epochs = table.observations.tokens / unique_of(table.observations)
    if (again := epochs > REPEATED).any():
        yield Finding(
            "repeated_text",
            "refuse",
            f"{int(again.sum())} of {len(epochs)} rows saw text more than once, up to {epochs.max():.3g} times, "
            "and the fresh rows have fewer than three N or D: they carry no law alone, and one of all rows "
            "takes repeated text for new.",
            "Add rows of fresh text at three or more N and D; force=[repeated_text] fits all rows, with N* too large.",
            "Muennighoff et al. 2023, arXiv 2305.16264",
        )
        return
    for name, key, most in _perhaps_epochs(table):
        yield Finding(
            "repeated_text",
            "warn",
            f"By column {name!r}, which was not read, text may have been seen up to {most:.3g} times: all of it was "
            "taken for new, and repeated text is worth less.",
            f'columns.{key}="{name}" says that it is so, ignore=["{name}"] that it is not.',
            "Muennighoff et al. 2023, arXiv 2305.16264",
        )


def _perhaps_epochs(table: Table) -> Iterator[tuple[str, str, float]]:
    """Columns that may tell how often text was seen: the name, the key that would say so, and up to how often."""
    draft, rows = table.draft, table.rows
    known = {draft.sheet.names[one.column] for one in draft.found.values()} | set(draft.options.ignore)
    for name in dict.fromkeys(draft.sheet.names):
        words = set(words_of(name))
        key = "epochs" if words & PASSES else "unique_tokens" if words & CORPUS and words & AMOUNT else None
        if name in known or key is None or (key == "epochs" and table.curves is not None):
            continue
        cells = draft.cells(name)
        values = plain_floats([cells[i] for i in rows.tolist()])[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            values = values if key == "epochs" else table.observations.tokens / values
        values = values[np.isfinite(values) & (values < MOST_EPOCHS)]
        if len(values) and values.max() > REPEATED:
            yield name, key, float(values.max())


def _beside(table: Table, *roles: str) -> list[Beside]:
    return [column for column in table.beside if column.role in roles]


def _is_text(column: Beside) -> bool:
    return any(not _is_number(value) for value in column.distinct)


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _explained(codes: IntArray, values: FloatArray) -> float:
    """Share of the variance of values, [n], that lies between the groups."""
    total = float(np.sum((values - values.mean()) ** 2))
    means = np.bincount(codes, weights=values) / np.bincount(codes)
    return 1.0 - float(np.sum((values - means[codes]) ** 2)) / total if total > 0 else 0.0


def _groups(column: Beside) -> str:
    counts = Counter(column.values).most_common()
    said = [f"{value or 'blank'}: {count} rows" for value, count in counts[:MOST_VALUES]]
    return ", ".join(said) + (f" and {len(counts) - MOST_VALUES} more" if len(counts) > MOST_VALUES else "")


def _apart(column: Beside) -> str:
    name, value = column.name, column.distinct[0]
    plain = re.fullmatch(r"[\w./-]+", name) is not None  # a shell takes it as it is
    by, ignore = (f"by={name}", f"ignore=[{name}]") if plain else (f'by="{name}"', f"ignore='[\"{name}\"]'")
    return f'{by} fits a law to each; where="{name}={value}" keeps one; {ignore} takes all rows for one thing.'


def _covers(rows: Observations, part: Sequence[bool] | FloatArray) -> bool:
    """Whether some rows reach over half of the range of N and of D of all."""
    at = np.flatnonzero(part)
    return all(
        float(np.ptp(np.log(column[at]))) >= COVERS * float(np.ptp(np.log(column)))
        for column in (rows.params, rows.tokens)
    )
