"""Which rows a table's columns leave in: a condition of the user's, finished runs, ends of runs, one row a recipe."""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from scaling.laws.observations import BoolArray, FloatArray, IntArray
from scaling.tables.account import TableError
from scaling.tables.cells import (
    best_of_cells,
    cell_index,
    combined_codes,
    differs_within,
    explains_within,
    share_crossed,
)
from scaling.tables.curves import follow_steps, grouped, higher_before_the_end, not_last, undecayed
from scaling.tables.draft import Beside, Draft
from scaling.tables.headers import words_of
from scaling.tables.numbers import plain_floats
from scaling.tables.options import Duplicates
from scaling.tables.roles import DECAY, ended_badly, is_chosen, values_of

COMPARE: dict[str, Callable[[FloatArray, float], BoolArray]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
CONDITION = re.compile(r"(?P<column>[^<>=!]+?)\s*(?P<sign>>=|<=|!=|==|=|>|<)\s*(?P<value>.+?)")
ON_THE_WAY = "on the way: its run has later rows, of which the last is the point"
NOT_BEST = "another recipe has a lower loss at its N and D"
AVERAGED = "averaged with the other rows of its N and D"
RUN_NAMES = {
    *("name", "id", "job", "job name", "job id", "trial", "trial id", "experiment", "experiment id", "experiment name"),
    *("exp", "exp id", "exp name", "run", "uuid", "wandb id", "wandb name", "wandb run"),
}
MIN_LOG = 12  # rows
PLANNED_SHARE = 0.995  # of the planned tokens or steps


def keep_only(draft: Draft, column: str, value: str) -> None:
    """Leave out the rows whose column has another value."""
    values = values_of(draft.cells(column))
    other = [i for i in draft.kept.tolist() if values[i] != value]
    draft.leave_out(other, f"of another group than {column}={value}", aside=True)


def keep_where(draft: Draft, rule: str) -> None:
    """Leave out the rows that do not meet every condition. Raises TableError."""
    for part in re.split(r"\s+and\s+", rule.strip(), flags=re.IGNORECASE):
        found = CONDITION.fullmatch(part.strip())
        if found is None:
            raise TableError(
                f"where is {rule!r}, and {part!r} is no condition: give such as 'split=val' or 'tokens>1e9 and "
                "lr=1e-3' (=, !=, <, <=, >, >=)"
            )
        column, sign, value = found["column"].strip(), found["sign"], found["value"].strip().strip("'\"")
        before = draft.kept
        good = _meets(draft, column, sign, value)
        if not good[before].any():
            some = ""
            if sign in ("=", "==", "!="):
                seen = list(dict.fromkeys(values_of(draft.cells(column))))[:6]
                some = f"; its values are {', '.join(seen)}"
            raise TableError(f"where is {rule!r}, and no row has {part.strip()}: correct it{some}")
        draft.leave_out(before[~good[before]], f"not of the rows where {part.strip()}", aside=True)


def _meets(draft: Draft, column: str, sign: str, value: str) -> BoolArray:
    if sign in COMPARE:
        try:
            limit = float(value)
        except ValueError:
            raise TableError(f"where compares {column!r} with {value!r}, which is no number: correct it") from None
        numbers = draft.numbers[column] if column in draft.numbers else plain_floats(draft.cells(column))[0]
        with np.errstate(invalid="ignore"):
            return np.asarray(COMPARE[sign](numbers, limit), dtype=np.bool_)
    (wanted,) = values_of([value])
    equal = np.array([label == wanted for label in values_of(draft.cells(column))], dtype=np.bool_)
    return ~equal if sign == "!=" else equal


def drop_unfinished(draft: Draft) -> None:
    """Rows whose state, decay flag or planned end says that they are no finished run."""
    for column in draft.beside("outcome", "decay"):
        kept = draft.kept
        bad = np.array([ended_badly(column.name, column.values[i]) for i in kept.tolist()], dtype=np.bool_)
        if bad.any() and bad.all():
            draft.say(f"every row's {column.name!r} says that it is no finished run: all were taken all the same")
        elif bad.any():
            undecayed = " ".join(words_of(column.name)) in DECAY
            what = "undecayed: " if undecayed else ""
            rows = kept[bad]
            draft.leave_out(rows, lambda i, c=column, w=what: f"{w}{c.name} is {c.values[i]!r}")  # type: ignore[misc]
            draft.say(
                f"rows whose {column.name!r} says that they are no finished run are left out: ignore=[{column.name}]",
                rows,
            )
    for column in draft.beside("total"):
        steps = "step" in " ".join(words_of(column.name)) or "iter" in " ".join(words_of(column.name))
        done = draft.numbers["tokens"]
        if steps:
            progress = draft.beside("progress")
            if not progress:
                continue
            done = plain_floats(draft.cells(progress[0].name))[0]
        kept = draft.kept
        planned = plain_floats(draft.cells(column.name))[0]
        with np.errstate(invalid="ignore"):
            short = kept[done[kept] < PLANNED_SHARE * planned[kept]]
        if len(short) and len(short) < len(kept):
            draft.leave_out(short, f"undecayed: before the end that {column.name!r} says", aside=True)
            draft.say(
                f"rows before the end of their run, which {column.name!r} says, are left out: ignore=[{column.name}]",
                short,
            )


@dataclass(frozen=True)
class Curves:
    """Rows on the way of a log's runs, and the run of every row of the file; None where there is no saying."""

    rows: IntArray
    runs: Sequence[object] | None


def keep_ends(draft: Draft, run: Sequence[object] | None) -> Curves | None:
    """Of a log of evaluations the last row of each run; None where the rows are no log.

    A log's rows have a step that rises along a named run, or lie evenly along a run and fall as only a decaying rate
    makes them. Without a name for the run, rows of one N in a row are suspected by their fall, and kept.
    """
    kept, progress = draft.kept, draft.beside("progress")
    if len(kept) < MIN_LOG:
        return None
    tokens, params, loss = (draft.numbers[f][kept] for f in ("tokens", "params", "loss"))
    name: str | None = None
    if run is None and progress:
        named = [b for b in draft.beside("label") if " ".join(words_of(b.name)) in RUN_NAMES]
        named = [b for b in named if len(b.distinct) < len(kept) / 3]
        run, name = (named[0].values, named[0].name) if named else (None, None)
    # A run's rows on several texts or splits are as many logs.
    kinds = [column.codes[kept] for column in draft.beside("kind")]
    size = combined_codes([np.unique(params, return_inverse=True)[1].astype(np.int64), *kinds], len(kept))
    if run is not None:
        labels = values_of(run)
        known: dict[str, int] = {}
        codes = np.fromiter((known.setdefault(labels[i], len(known)) for i in kept.tolist()), np.int64, len(kept))
        runs = grouped(combined_codes([codes, size], len(kept)), tokens)
        steps = [plain_floats(draft.cells(p.name))[0][kept] for p in progress]
        a_log = any(follow_steps(runs, step, tokens) for step in steps)
        if not (a_log or undecayed(runs, params, tokens, loss)):
            return None
        way = not_last(runs, len(kept))
        draft.leave_out(kept[way], ON_THE_WAY, aside=True)
        own = name or draft.sheet.names[draft.found["run"].column]
        keys = [p.name for p in progress] or [own]
        draft.say(
            f"the table is a log of {len(runs.starts)} runs, told apart by column {own!r}: the last row of each is its "
            "point, and the others are its curve, for approach 1 alone; if every row ended a run of its own, say "
            f"ignore=[{','.join(keys)}]",
            kept[way],
        )
        return Curves(kept[way], run)
    # Rows of one N that follow each other at rising D, in the order of the file.
    begins = np.ones(len(kept), dtype=np.bool_)
    begins[1:] = (size[1:] != size[:-1]) | (tokens[1:] <= tokens[:-1])
    runs = grouped(np.cumsum(begins) - 1, tokens)
    if undecayed(runs, params, tokens, loss) or higher_before_the_end(runs, params, tokens, loss):
        return Curves(kept[not_last(runs, len(kept))], None)
    return None


@dataclass(frozen=True)
class Recipes:
    """What was done about rows of equal N and D: the columns they differed in, and how many rows made how many pairs.

    `at_end` is, of the numeric columns, the share of pairs whose best lies at the end of what was tried there.
    """

    how: str
    columns: tuple[str, ...]
    num_rows: int
    num_cells: int
    largest_spread: float
    correction: float | None
    at_end: dict[str, float]


def one_row_a_recipe(draft: Draft, how: Duplicates | None) -> Recipes | None:
    """Rows of equal N and D that are no seeds: the best, their mean, or TableError; None where there are none."""
    columns = (*draft.beside("recipe", "method"), *draft.beside("unknown"))
    if not columns and how is None:
        return None
    kept = draft.kept
    params, tokens, loss = (draft.numbers[f][kept] for f in ("params", "tokens", "loss"))
    unique = draft.numbers.get("unique_tokens")
    unique = None if unique is None else np.where(np.isnan(unique), draft.numbers["tokens"], unique)[kept]
    cell = cell_index(params, tokens, unique)
    several = (np.bincount(cell) > 1)[cell]
    if not several.any():
        return None
    inside = np.flatnonzero(several)
    rows, cells = kept[inside], np.unique(cell[inside], return_inverse=True)[1].astype(np.int64)
    log_loss = np.log(loss[inside])
    differing: list[Beside] = []
    for column in columns:
        part = column.take(rows.tolist())
        if len(part.distinct) < 2 or not differs_within(cells, part.codes):
            continue
        if column.role == "method" and share_crossed(cells, part.codes) < 0.5:
            continue
        if column.role == "recipe" and not is_chosen(column.name, part.values):
            continue
        if column.role != "unknown" or explains_within(cells, part.codes, log_loss):
            differing.append(part)
    if not differing and how is None:
        return None
    names = tuple(column.name for column in differing)
    spread = _largest_spread(cells, log_loss)
    num_cells = int(cells.max()) + 1
    words = f"{len(rows)} rows are {num_cells} pairs of N and D; rows of a pair differ by up to {spread:.1%}" + (
        f" in {', '.join(names)}" if names else ""
    )
    if how == "refuse":
        raise TableError(f"{words}: duplicates=refuse takes none of them; say duplicates=best or mean, or where=")
    if how == "mean":
        means = np.bincount(cells, weights=log_loss) / np.bincount(cells)
        first = np.unique(cells, return_index=True)[1]
        draft.numbers["loss"] = draft.numbers["loss"].copy()
        draft.numbers["loss"][rows[first]] = np.exp(means[cells[first]])
        rest = np.setdiff1d(np.arange(len(rows)), first)
        draft.leave_out(rows[rest], AVERAGED, aside=True)
        draft.say(f"{words}: the point of each is their mean (of log losses), duplicates=mean", rows)
        return Recipes("mean", names, len(rows), num_cells, spread, None, {})
    recipe = combined_codes([c.codes for c in differing], len(rows)) if differing else np.arange(len(rows))
    best = best_of_cells(cells, recipe, log_loss, np.log(params[inside]), np.log(tokens[inside]))
    draft.numbers["loss"] = draft.numbers["loss"].copy()
    draft.numbers["loss"][rows[best.kept]] = np.exp(best.log_loss[best.kept])
    draft.leave_out(rows[~best.kept], NOT_BEST, aside=True)
    corrected = (
        "the noise of a loss cannot be told, so that the least is not corrected for being the least"
        if best.noise is None
        else f"raised by {best.mean_correction:.2%} on average, since the least of several noisy losses is too low "
        "by chance"
    )
    draft.say(
        f"{words}: the best of each pair is its point, {corrected}; duplicates=mean averages them, where= chooses a "
        "recipe",
        rows,
    )
    at_end = {c.name: share for c in differing if (share := _share_at_end(c, cells, best.kept)) is not None}
    return Recipes(
        "best", names, len(rows), num_cells, spread, best.mean_correction if best.noise is not None else None, at_end
    )


def _largest_spread(cells: IntArray, log_loss: FloatArray) -> float:
    low, high = np.full(int(cells.max()) + 1, np.inf), np.full(int(cells.max()) + 1, -np.inf)
    np.minimum.at(low, cells, log_loss)
    np.maximum.at(high, cells, log_loss)
    return float(np.expm1((high - low).max()))


def _share_at_end(column: Beside, cells: IntArray, best: BoolArray) -> float | None:
    """Share of pairs whose best value is the least or the largest tried there; None of text or of few values."""
    values, odd = plain_floats(column.values)
    if odd or np.isnan(values).any():
        return None
    low, high = np.full(int(cells.max()) + 1, np.inf), np.full(int(cells.max()) + 1, -np.inf)
    np.minimum.at(low, cells, values)
    np.maximum.at(high, cells, values)
    tried = np.bincount(np.unique(np.stack([cells, values]), axis=1)[0].astype(np.int64)) >= 3
    at, first = np.unique(cells[best], return_index=True)
    at_end = (values[best][first] == low[at]) | (values[best][first] == high[at])
    return float(at_end[tried[at]].mean()) if tried[at].any() else None
