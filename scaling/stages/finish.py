"""From a study's records to its forecasts, its laws, its report: what `sweep`, `fit` and a cluster's last job do."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scaling.analysis.forecasts import score
from scaling.analysis.shapes import with_shapes
from scaling.analysis.study import NothingToFit, analyse, forecast, split_records
from scaling.analysis.text import OWN, UnknownValidationSet, on_validation_set, with_text
from scaling.analysis.vocabulary import vocabulary_laws
from scaling.config import PLAN_FILE, ConfigError, StudyConfig
from scaling.data.corpus import Corpus
from scaling.data.oracle import KnownEntropy, known_entropy
from scaling.data.prepare import corpus_folder
from scaling.findings import Finding, refusals
from scaling.folders import FolderError, study_lock
from scaling.numbers import plural
from scaling.records import RunRecord, read_records
from scaling.report.answer import verdict
from scaling.report.figures.catalogue import draw_figures
from scaling.report.figures.plate import Figures
from scaling.report.tensorboard import write_analysis_events
from scaling.report.write import page_of, write_report
from scaling.results import StudyReport
from scaling.results_json import fits_json
from scaling.shapes import ASPECT
from scaling.specs import Plan
from scaling.stages.checkup import prepared_manifest, with_findings
from scaling.stages.outlook import asked, belief_of
from scaling.stages.study import send_to_sinks
from scaling.stages.vocabularies import own_part, parts
from scaling.store import (
    Exclusion,
    export_points,
    point_rows,
    read_forecasts,
    read_ledgers,
    save_forecasts,
    save_study,
)
from scaling.terminal import warn
from scaling.values import remove_left_overs, write_json

FITS_FILE = "fits.json"


@dataclass(frozen=True)
class Finished:
    """The report's page, its verdict in a sentence or two, whether a check withholds its answer, and fits.json.

    `unwritten` is why not all files of it could be written, None where they were; the verdict holds either way.
    """

    page: Path
    verdict: str
    withheld: bool
    fits_json: dict[str, Any]
    report: StudyReport
    unwritten: OSError | FolderError | None = None


def forecast_held_out(config: StudyConfig, plan: Plan) -> str:
    """Write what the points so far say of the held-out ones into the ledger, before those are trained.

    Returns what was done, or why there is no forecast, in a sentence.
    """
    known, records = read_forecasts(config.folder, warn), list(read_records(config.folder, warn))
    new, reasons = [], []
    for _, part in parts(config, plan):
        try:
            made, reason = forecast(part, records, config.fit, known)
        except NothingToFit as error:
            made, reason = [], str(error)
        new += made if reason is None else []
        reasons += [] if reason is None else [f"no forecast: {reason}"]
    entered = save_forecasts(config.folder, new) if new else []
    points = len({(f.run_id, f.tokens) for f in entered})
    done = f"{plural(points, 'loss', 'losses')} predicted and written to the ledger before training"
    return "; ".join([*reasons, done] if entered or not reasons else reasons)


def finish_study(config: StudyConfig, plan: Plan, findings: tuple[Finding, ...]) -> Finished:
    """Fit, score the forecasts, and write ledger, exports, fits.json, report and store.

    Nothing is locked while the laws are fitted; where another command has finished the study meanwhile, and of other
    points, they are fitted again. A disk that takes no file, or a link out of the folder, ends the writing and not the
    answer: see `Finished`.
    """
    while True:
        before = _state(config.folder)
        records, exclusions = _measured(config, plan)
        try:
            laws = _fit(config, plan, records, findings)
        except NothingToFit as error:
            with study_lock(config.folder):
                rows = point_rows(plan, records)
                export_points(config.folder, rows)
                save_study(config.folder, plan, rows, exclusions)
            raise ConfigError(str(error)) from None
        said = verdict(laws.report)
        withheld = bool(refusals(laws.report.findings))
        words = f"{said.words}. {said.sentence}"
        finished = Finished(page_of(config.folder), words, withheld, fits_json(laws.report), laws.report)
        try:
            with study_lock(config.folder):
                if _overtaken(before, _state(config.folder)):
                    continue
                _write(config, plan, records, exclusions, laws)
            send_to_sinks(config, plan)
        except (OSError, FolderError) as error:
            return replace(finished, unwritten=error)
        return finished


@dataclass(frozen=True)
class _Laws:
    """`scored`: they are of losses on the corpus' own split, as the ledger's predictions are."""

    report: StudyReport
    figures: Figures
    scored: bool


def _state(folder: Path) -> tuple[object, object]:
    """What a report is made from, and the last one that was made, as far as the file system tells."""

    def stamp(path: Path) -> tuple[int, int, int] | None:
        try:
            state = path.stat()
        except OSError:
            return None
        return state.st_ino, state.st_size, state.st_mtime_ns

    records = {path: stamp(path) for path in folder.glob("*/record-*.json")}
    return (stamp(folder / PLAN_FILE), records), stamp(folder / FITS_FILE)


def _overtaken(before: tuple[object, object], now: tuple[object, object]) -> bool:
    """Whether a later report of other points is there: this one would put it back."""
    return before[0] != now[0] and before[1] != now[1]


def _measured(config: StudyConfig, plan: Plan) -> tuple[list[RunRecord], list[Exclusion]]:
    """The planned points' records, and what no fit takes."""
    planned = {(point.run_id, point.tokens) for point in plan.points}
    records = [r for r in read_records(config.folder, warn) if (r.run_id, r.budget_tokens) in planned]
    return records, [each for _, part in parts(config, plan) for each in split_records(part, records).exclusions]


def _fit(config: StudyConfig, plan: Plan, all_records: list[RunRecord], findings: tuple[Finding, ...]) -> _Laws:
    """Raises NothingToFit, and ConfigError for a validation set that no record has."""
    report = study_report(config, plan, all_records, findings)
    figures = draw_figures(report) if config.fit.figures else Figures()
    return _Laws(report, figures, _own_split(config))


def _own_split(config: StudyConfig) -> bool:
    return config.fit.validation in (None, OWN)


def study_report(
    config: StudyConfig, plan: Plan, all_records: list[RunRecord], findings: tuple[Finding, ...]
) -> StudyReport:
    """Fit a study's records and run every check; `findings` are those before the fit. Writes nothing.

    Raises NothingToFit, and ConfigError for a validation set that no record has.
    """
    studies = {one.data.tokenizer.vocab_size or 0: part for one, part in parts(config, plan)}
    ledger = read_forecasts(config.folder, warn)
    try:
        records = on_validation_set(all_records, config.fit.validation)
        own = own_part(config, plan)
        measured = split_records(own, records)
        report = analyse(
            own,
            [record for record in records if record.run_id in own.by_id],
            config.fit,
            # whose predictions are of losses on the corpus' own split
            [each for each in ledger if each.run_id not in plan.by_id or each.run_id in own.by_id]
            if _own_split(config)
            else (),
            folder=config.folder,
            question=asked(config),
            command="python -m scaling.sweep",
            corpus=f"{config.data.name}: {config.data.description}",
            findings=(),
            other_ledgers=read_ledgers(config.folder.parent, warn),
            tell=warn,
        )
        report = with_shapes(report, records, config.fit, belief_of(config), asked=config.power.quantity == ASPECT)
        report = with_text(
            report,
            measured,
            config.fit,
            prepared_manifest(config),
            entropy_of(config),
            vocabulary_laws(studies, records, config.fit),
        )
    except UnknownValidationSet as error:
        raise ConfigError(str(error)) from None
    return with_findings(config, report, findings)


def _write(config: StudyConfig, plan: Plan, records: list[RunRecord], exclusions: list[Exclusion], laws: _Laws) -> None:
    """What cannot be made again first, the mirror of the rest last. Raises OSError."""
    folder, report = config.folder, laws.report
    remove_left_overs(folder)
    if laws.scored:
        save_forecasts(folder, score(read_forecasts(folder), records))
    rows = point_rows(plan, records)
    export_points(folder, rows)
    write_json(folder / FITS_FILE, fits_json(report))
    write_report(report, folder, laws.figures)
    write_analysis_events(report, folder, laws.figures)
    save_study(folder, plan, rows, exclusions, fits_json(report))


def entropy_of(config: StudyConfig) -> KnownEntropy | None:
    """Of the text of a study, where it is known and the corpus is still there."""
    if config.data.source.kind != "synthetic" or prepared_manifest(config) is None:
        return None
    corpus = Corpus.open(corpus_folder(config.data, config.cache_folder))
    return known_entropy(config.data.source, corpus, config.model.context)
