"""Every check, by the moment at which it can first be known. A finding is named as its function is.

plan      before anything is spent: the dry run and the sweep
table     after the fit of anyone's table
"""

from collections.abc import Collection, Iterator
from typing import Protocol, TypeVar

from scaling.checks import counting, data, design, power, recipe, table
from scaling.checks.evidence import PlannedStudy
from scaling.findings import Finding, gravest_first, overrule
from scaling.results import TableReport

Seen = TypeVar("Seen", contravariant=True)


class Check(Protocol[Seen]):
    """A pitfall: from what is known at its moment to what it saw."""

    @property
    def __name__(self) -> str:
        """Of its findings, and of its override in `force`."""

    def __call__(self, seen: Seen, /) -> Iterator[Finding]:
        """Nothing where all is well."""


PLAN: tuple[Check[PlannedStudy], ...] = (
    counting.head_flops,
    counting.attention_flops,
    counting.embedding_params,
    recipe.rule_jumps,
    recipe.batch_rounding,
    recipe.warmup_share,
    recipe.few_steps,
    recipe.undecayed_end,
    recipe.mixed_schedules,
    design.unidentifiable_design,
    power.unanswerable,
    design.thin_profiles,
    design.repeated_data,
    design.no_replicates,
    design.nothing_held_out,
    data.known_validation_text,
    data.unknown_words,
)

TABLE: tuple[Check[TableReport], ...] = (
    table.extrapolation,
    table.estimators,
    table.conventions,
    table.rows_left_out,
    table.forms_without_result,
    table.no_test,
    table.runs_not_named,
)

NAMES = frozenset(check.__name__ for moment in (PLAN, TABLE) for check in moment)


def check_plan(study: PlannedStudy, force: Collection[str] = ()) -> tuple[Finding, ...]:
    """Every finding before anything is spent, the gravest first."""
    return _run(PLAN, study, force)


def check_table(report: TableReport, force: Collection[str] = ()) -> tuple[Finding, ...]:
    """Every finding on a fitted table, the gravest first."""
    return _run(TABLE, report, force)


def require_known(force: Collection[str]) -> None:
    """Raises ValueError for a name that no check has."""
    unknown = sorted(set(force) - NAMES)
    if unknown:
        raise ValueError(
            f"force has {', '.join(unknown)}, which no check is called; it takes a list of {', '.join(sorted(NAMES))}"
        )


def _run(checks: tuple[Check[Seen], ...], seen: Seen, force: Collection[str]) -> tuple[Finding, ...]:
    return overrule(gravest_first(finding for check in checks for finding in check(seen)), force)
