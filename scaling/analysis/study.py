"""A study's records become its report: rows, laws, forecasts, conventions, noise, and the payload of fits.json."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scaling.analysis.config import FitOptions
from scaling.analysis.curves import read_segments
from scaling.analysis.fits import convention_table, fit_lines, fit_surface, optimal_allocations
from scaling.analysis.forecasts import new_forecasts, predict, score
from scaling.analysis.noise import seed_noise
from scaling.analysis.observations import CONVENTIONS, held_out_keys, observations, usable
from scaling.analysis.payload import payload
from scaling.findings import Finding
from scaling.laws.intervals import Prediction
from scaling.records import RunRecord
from scaling.results import FittedLaw, StudyReport
from scaling.specs import Plan
from scaling.store import Exclusion, Forecast


class NothingToFit(ValueError):
    """No record is usable; the message says what became of the planned points."""


@dataclass(frozen=True)
class Measured:
    """A study's usable records in the plan's order, split into fitted and held out, and what no fit may use."""

    fitted: tuple[RunRecord, ...]
    held_out: tuple[RunRecord, ...]
    exclusions: tuple[Exclusion, ...]


def split_records(plan: Plan, records: Sequence[RunRecord]) -> Measured:
    good, exclusions = usable(plan, records)
    held_out = held_out_keys(plan)
    return Measured(
        fitted=tuple(r for r in good if (r.run_id, r.budget_tokens) not in held_out),
        held_out=tuple(r for r in good if (r.run_id, r.budget_tokens) in held_out),
        exclusions=tuple(exclusions),
    )


def surface_of(plan: Plan, measured: Measured, options: FitOptions) -> FittedLaw:
    """The Chinchilla surface of the fitted records. Raises NothingToFit where there are none."""
    if not measured.fitted:
        reasons = sorted({exclusion.reason for exclusion in measured.exclusions})
        raise NothingToFit(
            f"none of the {len(plan.points)} planned points of {plan.study} can be fitted ({'; '.join(reasons[:3])}): "
            "run the sweep again"
        )
    rows = observations(plan, measured.fitted, CONVENTIONS[options.convention])
    return fit_surface(rows, resamples=options.bootstrap, level=options.level, seed=options.seed)


def forecast(
    plan: Plan, records: Sequence[RunRecord], options: FitOptions, known: Sequence[Forecast]
) -> tuple[list[Forecast], str | None]:
    """Ledger entries for the held-out points that are not measured, from those that are fitted; or why there are none.

    Points that have a forecast keep it: a ledger whose entries change is none. Raises NothingToFit.
    """
    measured = split_records(plan, records)
    there = {(r.run_id, r.budget_tokens) for r in measured.held_out} | {(f.run_id, f.tokens) for f in known}
    cells = [(p.run_id, p.tokens) for p in plan.points if p.held_out and (p.run_id, p.tokens) not in there]
    if not cells:
        return [], None
    surface = surface_of(plan, measured, options)
    if not surface.fit.usable:
        return [], f"the fit of {surface.fit.law.name} is {surface.fit.status}: {surface.fit.message}"
    prediction = predict(surface, plan, cells, CONVENTIONS[options.convention], options.level)
    return new_forecasts(prediction, plan, cells, measured.fitted, surface.fit.law.name), None


def analyse(
    plan: Plan,
    records: Sequence[RunRecord],
    options: FitOptions,
    forecasts: Sequence[Forecast],
    *,
    folder: Path,
    question: str,
    command: str,
    corpus: str,
    findings: Sequence[Finding],
) -> StudyReport:
    """Raises NothingToFit where no record is usable."""
    measured = split_records(plan, records)
    convention = CONVENTIONS[options.convention]
    surface = surface_of(plan, measured, options)
    lines = fit_lines(
        surface.observations,
        [record.size for record in measured.fitted],
        resamples=options.bootstrap,
        level=options.level,
        seed=options.seed,
    )
    held_out = observations(plan, measured.held_out, convention) if measured.held_out else None
    held_out_cells = [(r.run_id, r.budget_tokens) for r in measured.held_out]
    prediction: Prediction | None = predict(surface, plan, held_out_cells, convention, options.level)
    largest = float(np.max([point.flops for point in plan.points]))
    targets = options.targets or (largest, 10 * largest, 100 * largest)
    scored = tuple(score(forecasts, records))
    optima = optimal_allocations(surface, targets, options.level)
    content: dict[str, Any] = payload(
        plan,
        measured.exclusions,
        surface,
        lines,
        held_out=held_out,
        prediction=prediction,
        forecasts=scored,
        level=options.level,
    )
    return StudyReport(
        study=plan.study,
        question=question,
        command=command,
        corpus=corpus,
        plan=plan,
        records=tuple(records),
        curves=read_segments(folder, plan),
        fitted=surface.observations,
        fitted_records=measured.fitted,
        held_out=held_out,
        held_out_records=measured.held_out,
        held_out_prediction=prediction,
        surface=surface,
        lines=lines,
        forecasts=scored,
        optima=optima,
        conventions=convention_table(plan, measured.fitted, targets[0]),
        noise=seed_noise(records),
        findings=tuple(findings),
        fits_json=content,
        exclusions=measured.exclusions,
    )
