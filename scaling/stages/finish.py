"""From a study's records to its forecasts, its laws, its report: what `sweep`, `fit` and a cluster's last job do."""

from dataclasses import dataclass
from pathlib import Path

from scaling.analysis.forecasts import score
from scaling.analysis.study import NothingToFit, analyse, forecast, split_records
from scaling.analysis.text import OWN, UnknownValidationSet, on_validation_set, with_text
from scaling.analysis.vocabulary import vocabulary_laws
from scaling.config import ConfigError, StudyConfig
from scaling.data.corpus import Corpus
from scaling.data.oracle import KnownEntropy, known_entropy
from scaling.data.prepare import corpus_folder
from scaling.findings import Finding, refusals
from scaling.records import read_records
from scaling.report.answer import verdict
from scaling.report.figures.catalogue import draw_figures
from scaling.report.figures.plate import Figures
from scaling.report.tensorboard import write_analysis_events
from scaling.report.write import write_report
from scaling.specs import Plan
from scaling.stages.checkup import prepared_manifest, with_findings
from scaling.stages.study import send_to_sinks
from scaling.stages.vocabularies import own_part, parts
from scaling.store import export_points, read_forecasts, read_ledgers, save_fits, save_forecasts, save_study
from scaling.values import write_json

FITS_FILE = "fits.json"


@dataclass(frozen=True)
class Finished:
    """The report's page, its verdict in a sentence or two, and whether a check withholds its answer."""

    page: Path
    verdict: str
    withheld: bool


def forecast_held_out(config: StudyConfig, plan: Plan) -> str:
    """Write what the points so far say of the held-out ones into the ledger, before those are trained.

    Returns what was done, or why there is no forecast, in a sentence.
    """
    known, records = read_forecasts(config.folder), list(read_records(config.folder))
    new, reasons = [], []
    for _, part in parts(config, plan):
        try:
            made, reason = forecast(part, records, config.fit, known)
        except NothingToFit as error:
            made, reason = [], str(error)
        new += made if reason is None else []
        reasons += [] if reason is None else [f"no forecast: {reason}"]
    if new:
        save_forecasts(config.folder, [*known, *new])
    points = len({(f.run_id, f.tokens) for f in new})
    done = f"{points} losses predicted and written to the ledger before their runs"
    return "; ".join([*reasons, done] if new or not reasons else reasons)


def finish_study(config: StudyConfig, plan: Plan, findings: tuple[Finding, ...]) -> Finished:
    """Mirror the records into the store, fit, score the forecasts, write fits.json and the report."""
    planned = {(point.run_id, point.tokens) for point in plan.points}
    records = [r for r in read_records(config.folder) if (r.run_id, r.budget_tokens) in planned]
    studies = {one.data.tokenizer.vocab_size or 0: part for one, part in parts(config, plan)}
    exclusions = tuple(each for part in studies.values() for each in split_records(part, records).exclusions)
    export_points(config.folder, save_study(config.folder, plan, records, exclusions))
    own_split = config.fit.validation in (None, OWN)
    ledger = read_forecasts(config.folder)
    try:
        records = on_validation_set(records, config.fit.validation)
        own = own_part(config, plan)
        measured = split_records(own, records)
        report = analyse(
            own,
            [record for record in records if record.run_id in own.by_id],
            config.fit,
            # whose predictions are of losses on the corpus' own split
            [each for each in ledger if each.run_id not in plan.by_id or each.run_id in own.by_id] if own_split else (),
            folder=config.folder,
            question=config.question,
            command="python -m scaling.sweep",
            corpus=f"{config.data.name}: {config.data.description}",
            findings=(),
            other_ledgers=read_ledgers(config.folder.parent),
        )
        report = with_text(
            report,
            measured,
            config.fit,
            prepared_manifest(config),
            entropy_of(config),
            vocabulary_laws(studies, records, config.fit),
        )
    except (NothingToFit, UnknownValidationSet) as error:
        raise ConfigError(str(error)) from None
    report = with_findings(config, report, findings)
    if own_split:
        others = [each for each in ledger if each.run_id in plan.by_id and each.run_id not in own.by_id]
        save_forecasts(config.folder, [*report.forecasts, *score(others, records)])
    save_fits(config.folder, report.fits_json)
    write_json(config.folder / FITS_FILE, report.fits_json)
    figures = draw_figures(report) if config.fit.figures else Figures()
    write_analysis_events(report, config.folder, figures)
    send_to_sinks(config, plan)
    said = verdict(report)
    page = write_report(report, config.folder, figures)
    return Finished(page, f"{said.words}. {said.sentence}", bool(refusals(report.findings)))


def entropy_of(config: StudyConfig) -> KnownEntropy | None:
    """Of the text of a study, where it is known and the corpus is still there."""
    if config.data.source.kind != "synthetic" or prepared_manifest(config) is None:
        return None
    corpus = Corpus.open(corpus_folder(config.data, config.cache_folder))
    return known_entropy(config.data.source, corpus, config.model.context)
