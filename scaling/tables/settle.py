"""What is settled before rows are chosen: compute in another unit, budgets that group nothing, rows that stand twice,
text that was repeated."""

import numpy as np

from scaling.laws.observations import FloatArray, IntArray
from scaling.laws.repeated import MIN_LEVELS, REPEATED
from scaling.laws.table import OPTIONAL, REQUIRED, filled, repeated_rows
from scaling.tables.draft import Draft
from scaling.tables.roles import values_of

OFF_FLOPS = 10.0
TOGETHER, SAME = 0.5, 0.1  # correlation of logarithms; their range in a study of one budget
MIN_GROUP = 3  # rows of a nominal budget


def set_wrong_flops_aside(draft: Draft, *, asked: bool) -> tuple[int, ...]:
    """Where some compute is near 6 N D, what is over ten times off is another unit or a slip: 6 N D takes its place.

    Gives the lines. Where none is near, the column may count otherwise, and stays if it goes with N D at all: what a
    machine does in a second is called FLOPs too. `asked`: the user named the column.
    """
    if "flops" not in draft.numbers:
        return ()
    kept, flops, params, tokens = draft.kept, *(draft.numbers[f] for f in ("flops", "params", "tokens"))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = flops / (6.0 * params * tokens)
        near = np.abs(np.log(ratio)) < np.log(OFF_FLOPS)
    off = kept[~near[kept] & ~np.isnan(ratio[kept])]
    if not near[kept].any() and not asked and not _go_together(flops[kept], (params * tokens)[kept]):
        del draft.numbers["flops"]
        name = draft.sheet.names[draft.found["flops"].column]
        draft.say(f"column {name!r} was not taken for compute, for it does not go with N and D: columns.flops={name}")
        return ()
    if not near[kept].any() or not len(off):
        return ()
    draft.numbers["flops"] = flops.copy()
    draft.numbers["flops"][off] = np.nan
    worst = float(ratio[off[int(np.argmax(np.abs(np.log(ratio[off]))))]])
    draft.say(
        f"flops more than {OFF_FLOPS:g} times off 6 N D ({worst:.2g} times it) were set aside: 6 N D stands in their "
        "place",
        off,
    )
    return tuple(draft.sheet.lines[off].tolist())


def _go_together(flops: FloatArray, product: FloatArray) -> bool:
    """Whether compute rises with N D."""
    good = np.isfinite(flops) & (flops > 0)
    if good.sum() < MIN_GROUP:
        return True
    x, y = np.log(product[good]), np.log(flops[good])
    if np.ptp(x) < SAME:
        return bool(np.ptp(y) < SAME)
    return bool(np.ptp(y) > 0 and np.corrcoef(x, y)[0, 1] > TOGETHER)


def budgets_only_where_they_group(draft: Draft, *, asked: bool) -> None:
    """A column that looks like a nominal budget is one where its values have several rows each."""
    if "budget" not in draft.numbers or asked:
        return
    budget = draft.numbers["budget"][draft.kept]
    values, counts = np.unique(budget[~np.isnan(budget)], return_counts=True)
    if not (len(values) >= 2 and (counts >= MIN_GROUP).sum() >= 2 and counts.sum() == len(budget)):
        del draft.numbers["budget"]
        name = draft.sheet.names[draft.found["budget"].column]
        if len(values):
            draft.say(
                f"column {name!r} was not taken for nominal budgets, for it groups no rows: columns.budget={name}"
            )


def drop_repeated_rows(draft: Draft) -> None:
    """Rows that repeat all numbers of an earlier one, unless their recipe, seed, run or kind is another."""
    good = draft.mask(draft.kept)
    full = filled({f: c for f, c in draft.numbers.items() if f in (*REQUIRED, *OPTIONAL)})
    again = repeated_rows([full[f] for f in (*REQUIRED, *OPTIONAL) if f in full], good)
    if not again:
        return
    columns = [column.values for column in draft.beside("kind", "method", "recipe", "seed", "progress")]
    if "run" in draft.found:
        columns.append(tuple(values_of(draft.sheet.columns[draft.found["run"].column])))
    unit = "row" if draft.sheet.unit == "line" else draft.sheet.unit
    for row, first in again.items():
        if all(values[row] == values[first] for values in columns):
            draft.reasons.setdefault(row, f"duplicate of {unit} {draft.sheet.lines[first]}")


def keep_fresh(draft: Draft) -> IntArray | None:
    """Leave out rows whose text was repeated where the others carry the plain laws; those rows, None without any."""
    if "unique_tokens" not in draft.numbers:
        return None
    kept = draft.kept
    tokens = draft.numbers["tokens"][kept]
    unique = np.where(np.isnan(draft.numbers["unique_tokens"][kept]), tokens, draft.numbers["unique_tokens"][kept])
    again = tokens > REPEATED * unique
    fresh = kept[~again]
    levels = [len(np.unique(draft.numbers[f][fresh])) for f in ("params", "tokens")]
    if not again.any() or min(levels) < MIN_LEVELS:
        return None
    rows = kept[again]
    epochs = dict(zip(rows.tolist(), (tokens / unique)[again].tolist(), strict=True))
    draft.leave_out(rows, lambda i: f"{epochs[i]:.3g} epochs: goes to the law of repeated data", aside=True)
    draft.say(
        f"text was repeated, up to {max(epochs.values()):.3g} times: the plain laws are fitted to the {len(fresh)} "
        "rows of fresh text, and the law of repeated data to all",
        rows,
    )
    return rows
