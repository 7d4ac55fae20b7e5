"""Anyone's losses: a file, or a study's folder, becomes observations, and an account of every line of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scaling.laws.observations import (
    DEFAULT_CONVENTION,
    BoolArray,
    Exclusion,
    FloatArray,
    IntArray,
    Observations,
    TextArray,
)
from scaling.laws.table import OPTIONAL, REQUIRED, filled, unusable_rows
from scaling.tables.account import BesideColumn, Reading, TableError
from scaling.tables.draft import Beside, Draft
from scaling.tables.fields import draft_of
from scaling.tables.files import Sheet, read_sheet
from scaling.tables.notation import decide, evidence
from scaling.tables.numbers import numbers, plain_floats
from scaling.tables.options import ReadingOptions
from scaling.tables.roles import MEANING, Role, values_of
from scaling.tables.scale import out_of_scale
from scaling.tables.select import Recipes, drop_unfinished, keep_ends, keep_only, keep_where, one_row_a_recipe
from scaling.tables.settle import budgets_only_where_they_group, drop_repeated_rows, keep_fresh, set_wrong_flops_aside

STUDY_POINTS = "points.csv"
STUDY_COLUMNS = {
    "params": "params", "tokens": "tokens", "flops": "flops", "loss": "final_loss_nats",
    "unique_tokens": "unique_tokens", "loss_sem": "loss_sem_nats", "run": "run_id", "budget": "nominal_flops",
}  # fmt: skip
STUDY_CONVENTION = "N: all parameters; C: training FLOPs, counted (as in the study's points.csv)"
STUDY_HELD_OUT = "held_out"
JUDGED: tuple[Role, ...] = (
    "kind", "method", "recipe", "seed", "progress", "total", "outcome", "decay", "provenance", "unknown",
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A file's usable rows, and what its reader decided about the others.

    source        as it was given; `is_study` where it is a study's folder
    draft         the file's cells and the fields' numbers, by its own rows
    rows          the place of each used row among them, [n]
    observations  the used rows
    reading       the account of every line
    beside        the columns that are no fields, over the used rows
    by_run        whether rows name their training run
    held_out      what a study kept back, None elsewhere
    curves        the rows on the way of a log's runs
    suspected_log whether rows look like a log and nothing says of which run each is
    repeated      rows whose text was seen more than once, where the others carry the plain laws and are used alone;
                  `repeated_rows` are their places among the file's
    recipes       what was done about rows of equal N and D
    wrong_flops   lines whose compute was set aside
    out_of_scale  sentences on rows that are a power of ten off
    """

    source: str
    is_study: bool
    draft: Draft
    rows: IntArray
    observations: Observations
    reading: Reading
    beside: tuple[Beside, ...]
    by_run: bool
    held_out: BoolArray | None
    curves: Observations | None
    suspected_log: bool
    repeated: Observations | None
    repeated_rows: IntArray | None
    recipes: Recipes | None
    wrong_flops: tuple[int, ...]
    out_of_scale: tuple[str, ...]

    @property
    def lines(self) -> IntArray:
        """Where each used row stands in the file, [n]."""
        return self.draft.sheet.lines[self.rows]

    def column_of(self, field: str) -> str:
        """What the file calls a field's column; the field's own name where it has none."""
        found = self.draft.found.get(field)
        return field if found is None else self.draft.sheet.names[found.column]


def read_table(
    source: str, options: ReadingOptions, convention: str | None = None, only: tuple[str, str] | None = None
) -> Table:
    """`only`: a column and the value that its rows must have.

    Raises TableError: no such file, an unknown kind, a missing column, no usable row.
    """
    path, given = Path(source), options.columns.renamed
    study = path.is_dir()
    if study:
        path = _points_of(path)
    sheet = read_sheet(path, given.values())
    if study:
        given = {f: name for f, name in STUDY_COLUMNS.items() if f != "budget" or _is_whole(sheet, name)} | given
        convention = convention or STUDY_CONVENTION
    return table_of_sheet(source, str(path), sheet, given, options, convention, only, study=study)


def table_of_sheet(
    source: str,
    path: str,
    sheet: Sheet,
    given: Mapping[str, str],
    options: ReadingOptions,
    convention: str | None = None,
    only: tuple[str, str] | None = None,
    *,
    study: bool = False,
) -> Table:
    """As `read_table`, of cells that are there. `given` are the sheet's names of fields; messages call it `path`."""
    if len(sheet.problems) == len(sheet.lines):
        raise TableError(_none_left(path, sheet, sheet.problems))
    draft = draft_of(path, sheet, given, options)
    for row, reason in unusable_rows({f: c for f, c in draft.numbers.items() if f in (*REQUIRED, *OPTIONAL)}).items():
        draft.reasons.setdefault(row, reason)
    if not len(draft.kept):
        raise TableError(_none_left(path, sheet, draft.reasons))
    if only is not None:
        keep_only(draft, *only)
    if options.where is not None:
        keep_where(draft, options.where)
    wrong_flops = set_wrong_flops_aside(draft, asked="flops" in given)
    budgets_only_where_they_group(draft, asked="budget" in given)
    run = _runs(draft)
    curves, recipes = None, None
    scale: tuple[str, ...] = ()
    if not study:
        drop_unfinished(draft)
    drop_repeated_rows(draft)
    if not study:
        curves = keep_ends(draft, run)
        run = run if curves is None else curves.runs
        recipes = one_row_a_recipe(draft, options.duplicates)
        scale = out_of_scale(draft)
    convention = convention or _convention(draft)
    again = keep_fresh(draft)
    kept = draft.kept
    if not len(kept):
        raise TableError(_none_left(path, sheet, draft.reasons))
    judged = (*draft.beside(*JUDGED), *draft.beside("label", "result", grouping=True))
    beside = tuple(column.take(kept.tolist()) for column in judged)
    on_the_way = None
    if curves is not None and run is not None:
        on_the_way = _observations(draft, curves.rows, [run[i] for i in curves.rows.tolist()], convention)
    marks = values_of(draft.cells(STUDY_HELD_OUT)) if study and STUDY_HELD_OUT in sheet.names else None
    named = None if run is None else [run[i] for i in kept.tolist()]
    return Table(
        source=source,
        is_study=study,
        draft=draft,
        rows=kept,
        observations=replace(_observations(draft, kept, named, convention), excluded=_exclusions(draft)),
        reading=_account(draft, beside),
        beside=beside,
        by_run=named is not None and any(map(_is_filled, named)),
        held_out=None if marks is None else np.array([marks[i] == "True" for i in kept.tolist()]),
        curves=on_the_way,
        suspected_log=curves is not None and run is None,
        repeated=None if again is None else _repeated(draft, again, run, convention),
        repeated_rows=again,
        recipes=recipes,
        wrong_flops=wrong_flops,
        out_of_scale=scale,
    )


def _is_filled(cell: object) -> bool:
    return cell is not None and str(cell).strip() != ""


def _is_whole(sheet: Sheet, name: str) -> bool:
    return name in sheet.names and all(map(_is_filled, sheet.columns[sheet.names.index(name)]))


def _none_left(path: str, sheet: Sheet, reasons: Mapping[int, str]) -> str:
    said = "; ".join(f"{sheet.unit} {sheet.lines[i]}: {reasons[i]}" for i in sorted(reasons)[:3])
    remedy = "correct the table or map its columns"
    if all(reason.startswith("loss is -") for reason in reasons.values()):
        remedy = "if these are log-likelihoods, say loss_unit=-1"
    return f"{path}: none of the {len(sheet.lines)} rows can be used ({said}): {remedy}"


def _points_of(folder: Path) -> Path:
    path = folder / STUDY_POINTS
    if not path.is_file():
        raise TableError(
            f"source is the folder {folder}, which holds no {STUDY_POINTS}: give a file, or the folder of a study that "
            "`python -m scaling.sweep` finished"
        )
    return path


def _runs(draft: Draft) -> Sequence[object] | None:
    """Each row's training run; None where no column names it, or one taken for it tells every row apart."""
    if "run" not in draft.found:
        return None
    one = draft.found["run"]
    cells = draft.sheet.columns[one.column]
    if one.how.startswith("taken"):
        named = [str(cells[i]) for i in draft.kept.tolist() if _is_filled(cells[i])]
        if len(set(named)) == len(named):
            return None
    return cells


def _observations(draft: Draft, rows: IntArray, named: Sequence[object] | None, convention: str) -> Observations:
    """`named` has the run of each of `rows`, blank where it has none; None: no row has one."""
    full = filled({f: c[rows] for f, c in draft.numbers.items() if f in (*REQUIRED, *OPTIONAL)})
    # The same ids whatever the file's kind: a row without a run is one by its place among the used rows.
    ids = row_ids(len(rows))
    if named is not None:
        ids = np.array([f"run {cell}" if _is_filled(cell) else ids[i] for i, cell in enumerate(named)])
    return Observations(
        **{f: full[f] for f in (*REQUIRED, *OPTIONAL) if f in full},
        trajectory=ids,
        convention=convention,
        excluded=(),
    )


def _exclusions(draft: Draft) -> tuple[Exclusion, ...]:
    rows = sorted(draft.reasons)
    return tuple(map(Exclusion, draft.sheet.lines[rows].tolist(), map(draft.reasons.__getitem__, rows)))


def row_ids(count: int) -> TextArray:
    """ "row 000000000" and so on, [n], made all at once."""
    letters = np.empty((count, 13), dtype=np.uint32)
    letters[:, :4] = [ord(letter) for letter in "row "]
    letters[:, 4:] = ord("0") + np.arange(count)[:, None] // 10 ** np.arange(8, -1, -1) % 10
    ids: TextArray = letters.view("U13")[:, 0]
    return ids


def _repeated(draft: Draft, rows: IntArray, run: Sequence[object] | None, convention: str) -> Observations:
    return _observations(draft, rows, [f"again {i}" if run is None else run[i] for i in rows.tolist()], convention)


def _convention(draft: Draft) -> str:
    worked = [f"{c.field} {c.how}" for c in draft.columns if c.how.startswith("worked out") and c.field in REQUIRED]
    return "; ".join([DEFAULT_CONVENTION, *worked])


def _account(draft: Draft, beside: Sequence[Beside]) -> Reading:
    sheet = draft.sheet
    return Reading(
        format=sheet.format,
        unit=sheet.unit,
        num_lines=sheet.num_lines,
        structure=dict(sheet.structure),
        columns=tuple(draft.columns),
        notes=tuple(draft.notes),
        beside=tuple(BesideColumn(b.name, MEANING[b.role], len(b.distinct)) for b in beside),
        num_set_aside=draft.num_set_aside,
    )


def together(first: Observations, second: Observations) -> Observations:
    """The rows of both, which have the same columns."""

    def both(field: str) -> FloatArray | None:
        a, b = getattr(first, field), getattr(second, field)
        return None if a is None or b is None else np.concatenate([a, b])

    names = ("params", "tokens", "loss", "flops", "weights", "trajectory", "unique_tokens", "loss_sem", "budget")
    return Observations(**{n: both(n) for n in names}, convention=first.convention)  # type: ignore[arg-type]


def number_in(table: Table, column: str, rows: IntArray | None = None) -> FloatArray:
    """A column of the file, a number for each used row, or for others of the file's, [n]. Raises TableError."""
    rows = table.rows if rows is None else rows
    values, cells = _numbers_of(table, column, rows)
    if np.isnan(values).any():
        at = int(np.argmax(np.isnan(values)))
        line = table.draft.sheet.lines[rows[at]]
        raise TableError(
            f"column {column!r} of {table.reading.unit} {line} is {cells[at]!r}, not a number: correct it or take "
            "another column"
        )
    return values


def counted_otherwise(table: Table, column: str) -> tuple[Observations, BoolArray]:
    """The used rows whose N another column has, and which those are, [n]. Raises TableError."""
    values, _ = _numbers_of(table, column, table.rows)
    good = np.isfinite(values) & (values > 0)
    if not good.any():
        raise TableError(f"column {column!r} of {table.draft.path} has no positive number: name another")
    rows, values = table.observations.take(good), values[good]
    flops = rows.flops if "flops" in table.draft.numbers else 6.0 * values * rows.tokens
    return replace(rows, params=values, flops=flops, convention=f"params: {column}"), good


def _numbers_of(table: Table, column: str, rows: IntArray) -> tuple[FloatArray, list[object]]:
    """NaN where a cell is no number."""
    every = table.draft.cells(column)
    cells = [every[i] for i in rows.tolist()]
    values, odd = plain_floats(cells)
    if odd:
        mark = decide({column: evidence(cells, odd)}, frozenset(), None, lambda: True)[column]
        values = numbers(cells, values, odd, mark, count=True).values
    return values, cells
