"""Every check, by the moment at which it can first be known. A finding is named as its function is.

plan      before anything is spent: the dry run and the sweep
running   finished points and growing curves, while the sweep goes on and in the report
fit       after the fit, of a study or of anyone's table
study     after the fit of a study
reading   before the fit of anyone's table: what it seems to be
table     after the fit of anyone's table
"""

from collections.abc import Collection, Iterator
from typing import Protocol, TypeVar

from scaling.checks import (
    counting,
    data,
    design,
    fit,
    plausibility,
    power,
    profiles,
    programs,
    reading,
    recipe,
    residuals,
    running,
    table,
)
from scaling.checks.evidence import MeasuredStudy, PlannedStudy
from scaling.findings import Finding, gravest_first, overrule
from scaling.names import nearest
from scaling.results import LawReport, StudyReport, TableReport
from scaling.tables.read import Table

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
    recipe.short_warmup,
    recipe.few_steps,
    recipe.many_steps,
    recipe.undecayed_end,
    recipe.mixed_schedules,
    recipe.learning_rate_corners,
    design.unidentifiable_design,
    power.unanswerable,
    design.thin_profiles,
    design.repeated_data,
    design.no_replicates,
    design.nothing_held_out,
    data.known_validation_text,
    data.unknown_words,
)

RUNNING: tuple[Check[MeasuredStudy], ...] = (
    running.runs_without_loss,
    running.early_stops,
    running.spikes,
    running.skipped_steps,
    running.tokens_off,
    running.past_its_best,
    running.mixed_tokenizers,
    running.moving_validation,
    programs.mixed_code,
    programs.nats_of_bytes,
    programs.unchecked_program,
    running.confounded_machines,
)

FIT: tuple[Check[LawReport], ...] = (
    fit.unusable_law,
    fit.one_line,
    fit.several_optima,
    fit.unknown_floor,
    fit.narrow_intervals,
    fit.shared_runs,
    fit.extrapolation,
    fit.flat_optimum,
    fit.conventions,
    residuals.lack_of_fit,
    residuals.one_sided,
    residuals.uneven_noise,
    residuals.odd_points,
    residuals.form_misfit,
    residuals.forms_disagree,
    residuals.few_points_decide,
    residuals.out_of_order,
    profiles.regrouped_budgets,
    profiles.off_centre,
    profiles.wide_profiles,
    profiles.unusable_budgets,
    profiles.estimators,
)

STUDY: tuple[Check[StudyReport], ...] = (data.noisy_validation,)

READING: tuple[Check[Table], ...] = (
    reading.mixed_kinds,
    reading.mixed_methods,
    plausibility.unlikely_units,
    plausibility.unlikely_ratio,
    plausibility.unlikely_loss,
    plausibility.rising_loss,
    plausibility.unrelated_loss,
    plausibility.flops_off,
    reading.repeated_text,
    reading.log_of_evaluations,
    reading.uneven_cells,
    reading.unexplained_column,
    reading.confounded_column,
    plausibility.rows_out_of_scale,
    reading.best_recipes,
)

OF_A_STUDY: tuple[Check[Table], ...] = (reading.mixed_kinds,)  # the others look for what a study's plan rules out

TABLE: tuple[Check[TableReport], ...] = (
    table.rows_left_out,
    table.influential_rows,
    table.forms_without_result,
    table.no_test,
    table.runs_not_named,
)

NAMES = frozenset(check.__name__ for moment in (PLAN, RUNNING, FIT, STUDY, READING, TABLE) for check in moment)


def check_plan(study: PlannedStudy, force: Collection[str] = ()) -> tuple[Finding, ...]:
    """Every finding before anything is spent, the gravest first."""
    return _run(PLAN, study, force)


def check_running(study: MeasuredStudy, force: Collection[str] = ()) -> tuple[Finding, ...]:
    """Every finding on the points and curves so far, the gravest first."""
    return _run(RUNNING, study, force)


def check_study(report: StudyReport, force: Collection[str] = ()) -> tuple[Finding, ...]:
    """Every finding on a study that is fitted, those on its points included, the gravest first."""
    measured = MeasuredStudy(report.plan, report.records, report.curves)
    found = (*_run(RUNNING, measured, force), *_run(FIT, report, force), *_run(STUDY, report, force))
    return gravest_first(found)


def check_reading(table: Table, force: Collection[str] = ()) -> tuple[Finding, ...]:
    """Every finding on a table that is read and not yet fitted, the gravest first."""
    return _run(OF_A_STUDY if table.is_study else READING, table, force)


def check_table(report: TableReport, force: Collection[str] = ()) -> tuple[Finding, ...]:
    """Every finding on a fitted table, the gravest first."""
    return gravest_first((*_run(FIT, report, force), *_run(TABLE, report, force)))


def require_known(force: Collection[str]) -> None:
    """Raises ValueError for a name that no check has."""
    unknown = sorted(set(force) - NAMES)
    if unknown:
        raise ValueError(
            f"force has {', '.join(unknown)}, which no check is called: {nearest(unknown[0], NAMES)} docs/checks.md "
            "lists them"
        )


def _run(checks: tuple[Check[Seen], ...], seen: Seen, force: Collection[str]) -> tuple[Finding, ...]:
    return overrule(gravest_first(finding for check in checks for finding in check(seen)), force)
