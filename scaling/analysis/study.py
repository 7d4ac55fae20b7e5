"""A study's records become its report: rows, laws, forecasts, conventions, noise."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from scaling.analysis.config import FitOptions, Targets
from scaling.analysis.curves import read_segments, trunk_curves
from scaling.analysis.forecasts import new_forecasts, score
from scaling.analysis.law_report import Rows, law_report
from scaling.analysis.ledger import ledger_lines
from scaling.analysis.noise import seed_noise
from scaling.analysis.observations import CONVENTIONS, held_out_keys, observations, points_at, usable
from scaling.analysis.repetition import carry_plain_laws, is_repeated, predict_repeated, will_repeat
from scaling.findings import Finding
from scaling.laws.analysis import resample, sample_rows
from scaling.laws.backtest import forecaster
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.intervals import predict_interval
from scaling.laws.observations import Observations
from scaling.laws.repeated import DATA_CONSTRAINED
from scaling.records import RunRecord
from scaling.results import StudyReport
from scaling.specs import Plan
from scaling.store import SELECTED, Exclusion, Forecast

TRUNKS = "trunks, before any cooldown: undecayed"
RULE = "the points that the plan holds out"


class NothingToFit(ValueError):
    """No record is usable; the message says what became of the planned points."""


@dataclass(frozen=True)
class Measured:
    """A study's usable records in the plan's order, split into fitted and held out, and what no plain fit may use.

    Where the fresh points carry the plain laws, those that repeat their text are kept apart, in `repeated` and
    `repeated_held_out`, for the law of repeated data; they are among `exclusions` too.
    """

    fitted: tuple[RunRecord, ...]
    held_out: tuple[RunRecord, ...]
    exclusions: tuple[Exclusion, ...]
    repeated: tuple[RunRecord, ...] = ()
    repeated_held_out: tuple[RunRecord, ...] = ()


def split_records(plan: Plan, records: Sequence[RunRecord]) -> Measured:
    good, exclusions = usable(plan, records)
    held_out = held_out_keys(plan)
    fitted = [r for r in good if (r.run_id, r.budget_tokens) not in held_out]
    unseen = [r for r in good if (r.run_id, r.budget_tokens) in held_out]
    apart = carry_plain_laws([r for r in fitted if not is_repeated(r)])

    def elsewhere(record: RunRecord) -> bool:
        return apart and is_repeated(record)

    exclusions += [
        Exclusion(r.run_id, r.budget_tokens, f"{r.epochs:.3g} epochs: goes to the law of repeated data")
        for r in good
        if elsewhere(r)
    ]
    return Measured(
        fitted=tuple(r for r in fitted if not elsewhere(r)),
        held_out=tuple(r for r in unseen if not elsewhere(r)),
        exclusions=tuple(exclusions),
        repeated=tuple(filter(elsewhere, fitted)),
        repeated_held_out=tuple(filter(elsewhere, unseen)),
    )


def fitted_rows(plan: Plan, measured: Measured, options: FitOptions) -> Observations:
    """The rows for the laws. Raises NothingToFit where there are none."""
    if not measured.fitted:
        reasons = sorted({exclusion.reason for exclusion in measured.exclusions})
        raise NothingToFit(
            f"none of the {len(plan.points)} planned points of {plan.study} can be fitted ({'; '.join(reasons[:3])}): "
            "run the sweep again"
        )
    return observations(plan, measured.fitted, CONVENTIONS[options.convention])


def forecast(
    plan: Plan, records: Sequence[RunRecord], options: FitOptions, known: Sequence[Forecast]
) -> tuple[list[Forecast], str | None]:
    """Ledger entries for the held-out points that are not measured, from those that are fitted; or why there are none.

    Each point is predicted by the selected forecast, and by Chinchilla's law alone as its yardstick where that may be
    used. Points that have a forecast keep it: a ledger whose entries change is none. Raises NothingToFit.
    """
    measured = split_records(plan, records)
    there = {(r.run_id, r.budget_tokens) for r in (*measured.held_out, *measured.repeated_held_out)}
    there |= {(f.run_id, f.tokens) for f in known}
    missing = [point for point in plan.points if point.held_out and (point.run_id, point.tokens) not in there]
    apart = [(p.run_id, p.tokens) for p in missing if measured.repeated and will_repeat(p)]
    cells = [(p.run_id, p.tokens) for p in missing if not (measured.repeated and will_repeat(p))]
    made = repeated_forecasts(plan, measured, apart, options)
    if not cells:
        return made, None
    rows = fitted_rows(plan, measured, options)
    at = points_at(plan, cells, CONVENTIONS[options.convention])
    try:
        selected = forecaster(sample_rows(rows)).predict(at, options.level)
    except ValueError as error:
        return made, str(error)
    made += new_forecasts(selected, plan, cells, measured.fitted, SELECTED)
    plain = fit_law(CHINCHILLA, rows)
    if plain.usable:
        boot = resample(plain, rows, resamples=options.bootstrap, seed=options.seed)
        alone = predict_interval(plain, rows, at, boot, level=options.level)
        made += new_forecasts(alone, plan, cells, measured.fitted, plain.law.name)
    return made, None


def repeated_forecasts(
    plan: Plan, measured: Measured, cells: Sequence[tuple[str, int]], options: FitOptions
) -> list[Forecast]:
    """Ledger entries for points that will repeat their text, by the law of repeated data where it may be used."""
    records = (*measured.fitted, *measured.repeated)
    prediction = predict_repeated(plan, records, cells, CONVENTIONS[options.convention], options.level)
    return [] if prediction is None else new_forecasts(prediction, plan, cells, records, DATA_CONSTRAINED.name)


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
    other_ledgers: Mapping[str, Sequence[Forecast]] | None = None,
    tell: Callable[[str], None] = lambda words: None,
) -> StudyReport:
    """Raises NothingToFit where no record is usable. `other_ledgers` are forecasts of other studies, by study; `tell`
    hears of lines of curves that cannot be read."""
    measured = split_records(plan, records)
    convention = CONVENTIONS[options.convention]
    fitted = fitted_rows(plan, measured, options)
    curves = read_segments(folder, plan, tell)
    trunks = trunk_curves(curves, plan, convention)
    others = [other for other in CONVENTIONS.values() if other is not convention]
    asked = Targets.of(options.targets)
    laws = law_report(
        Rows(
            source=plan.study,
            fitted=fitted,
            held_out=observations(plan, measured.held_out, convention) if measured.held_out else None,
            rule=RULE if measured.held_out else None,
            counts={c.text: observations(plan, measured.fitted, c) for c in (convention, *others)},
            curves={} if trunks is None else {TRUNKS: trunks},
            excluded=[(f"{e.run_id} at {e.tokens} tokens", e.reason) for e in measured.exclusions],
            noise=seed_noise(records),
        ),
        targets=asked.flops,
        at=asked.points,
        resamples=options.bootstrap,
        level=options.level,
        seed=options.seed,
    )
    scored = tuple(score(forecasts, records))
    shared = {part.name: getattr(laws, part.name) for part in fields(laws)}
    shared["findings"] = tuple(findings)
    return StudyReport(
        **shared,
        study=plan.study,
        question=question,
        command=command,
        corpus=corpus,
        plan=plan,
        records=tuple(records),
        curves=curves,
        fitted_records=measured.fitted,
        held_out_records=measured.held_out,
        forecasts=scored,
        exclusions=measured.exclusions,
        ledger=ledger_lines({**(other_ledgers or {}), plan.study: scored}),
    )
