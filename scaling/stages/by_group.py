"""A law for each value of a table's column: a report each, and one page that holds them side by side."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np

from scaling.analysis.config import TableOptions
from scaling.analysis.table_report import report_on_table
from scaling.checks.catalogue import check_table
from scaling.config import ConfigError
from scaling.findings import gravest_first, refusals
from scaling.folders import below, study_lock, take
from scaling.laws.analysis import largest_budget
from scaling.laws.optimum import optimum
from scaling.report.figures.catalogue import draw_figures
from scaling.report.figures.plate import Figures
from scaling.report.write import FITS_FILE, write_groups_report, write_table_report
from scaling.results import GroupLaw, TableReport
from scaling.results_json import fits_json
from scaling.stages.tables import open_table
from scaling.tables.account import TableError
from scaling.tables.headers import words_of
from scaling.tables.read import Table, number_in, read_table
from scaling.tables.roles import values_of
from scaling.values import to_plain, write_json

MOST_GROUPS = 50
MOST_LETTERS = 50  # of a folder's name, each up to four bytes


def fit_groups(
    options: TableOptions, command: str, tell: Callable[[Sequence[GroupLaw], dict[str, Any]], None]
) -> tuple[tuple[GroupLaw, ...], Path]:
    """The laws and the page. `tell` gets the laws and fits.json before anything is written: a disk that takes no file
    does not take them back. Raises ConfigError: no such column, too many values, or no group can be read; OSError."""
    column, out = str(options.by), Path(options.out)
    groups: list[tuple[str, Table, TableReport]] = []
    problems: dict[str, str] = {}
    for value in _values(options, column):
        try:
            table, before = open_table(options.source, options, options.force, options.convention, (column, value))
            report = report_on_table(options, command, table)
        except (ConfigError, TableError) as error:
            problems[value] = str(error)
            continue
        findings = gravest_first((*before, *check_table(report, options.force)))
        groups.append((value, table, replace(report, findings=findings)))
    if not groups:
        raise ConfigError(f"by is {column}, and no value has rows to fit. {' '.join(problems.values())}")
    shared = min(largest_budget(report.fitted) for _, _, report in groups)
    laws: list[GroupLaw] = []
    for value, table, report in groups:
        laws.append(_law(value, table, report, shared, _folder(value, [law.folder for law in laws])))
    found = (*laws, *(GroupLaw(value, "", 0, "refused", why) for value, why in problems.items()))
    content = {
        "schema": 1, "source": options.source, "by": column, "flops": shared, "groups": to_plain(found),
        "refused": [law.value for law in found if law.status != "converged"],
    }  # fmt: skip
    tell(found, content)
    take(out, "table", key="out", overwrite=options.overwrite)
    with study_lock(out):
        for law, (_, _, report) in zip(laws, groups, strict=True):
            folder = below(out, f"{law.folder}/{FITS_FILE}").parent
            take(folder, "table", key="out", overwrite=options.overwrite)
            write_table_report(report, folder, draw_figures(report) if options.figures else Figures())
            write_json(folder / FITS_FILE, fits_json(report))
        page = write_groups_report(options.source, column, shared, found, command, out)
        write_json(out / FITS_FILE, content)
    return found, page


def _values(options: TableOptions, column: str) -> list[str]:
    try:
        table = read_table(options.source, replace(options, ignore=(*options.ignore, column), duplicates=None))
        cells = table.draft.cells(column)
    except TableError as error:
        raise ConfigError(f"by is {column}, but {error}") from None
    values = list(dict.fromkeys(value for value in values_of(cells) if value))
    if not 1 < len(values) <= MOST_GROUPS:
        raise ConfigError(
            f"by is {column}, which has {len(values)} values: a law for each takes 2 to {MOST_GROUPS}, each with "
            "rows enough"
        )
    return values


def _folder(value: str, taken: Collection[str]) -> str:
    """A name that no file of ours and no other group has, also where upper and lower case are the same."""
    name = re.sub(r"[^\w.-]+", "-", value).strip("-.")[:MOST_LETTERS] or "group"
    there = {"report", "report.md", FITS_FILE, *(other.casefold() for other in taken)}
    return next(n for n in chain((name,), (f"{name}-{i}" for i in count(2))) if n.casefold() not in there)


def _law(value: str, table: Table, report: TableReport, flops: float, folder: str) -> GroupLaw:
    fit = report.surface.fit
    usable = fit.usable and not refusals(report.findings)
    best = optimum(fit, flops) if usable else None
    length = _bytes_per_token(table)
    return GroupLaw(
        value=value,
        folder=folder,
        num_points=len(report.fitted),
        status=fit.status if usable or not fit.usable else "refused",
        message=fit.message if not fit.usable else ", ".join(f.name for f in refusals(report.findings)),
        parameters=fit.parameters if usable else None,
        best_params=None if best is None else best.params,
        best_tokens=None if best is None else best.tokens,
        best_loss=None if best is None else best.loss,
        bytes_per_token=length,
        best_bits_per_byte=None if best is None or length is None else best.loss / np.log(2) / length,
    )


def _bytes_per_token(table: Table) -> float | None:
    names = [name for name in table.draft.sheet.names if " ".join(words_of(name)) == "bytes per token"]
    return float(np.mean(number_in(table, names[0]))) if names else None
