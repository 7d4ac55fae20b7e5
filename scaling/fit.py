"""From losses to laws and a report, without torch: `python -m scaling.fit study=default` for a study's records,
`python -m scaling.fit source=points.csv out=laws` for anyone's table.

Example: python -m scaling.fit source=points.csv out=laws holdout=0.2
"""

import shlex
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from scaling.analysis.forecasts import score
from scaling.analysis.study import NothingToFit, analyse, forecast, split_records
from scaling.analysis.table import TableError
from scaling.analysis.table_report import report_on_table
from scaling.analysis.text import OWN, UnknownValidationSet, on_validation_set, with_text
from scaling.analysis.vocabulary import vocabulary_laws
from scaling.checks.catalogue import check_table, in_fits_json, require_known
from scaling.checkup import check_plan, prepared_manifest, with_findings
from scaling.command import as_text, run_hydra
from scaling.config import PLAN_FILE, ConfigError, StudyConfig, stored_plan, study_config, table_options
from scaling.data.corpus import Corpus
from scaling.data.oracle import KnownEntropy, known_entropy
from scaling.data.prepare import corpus_folder
from scaling.findings import Finding
from scaling.records import read_records
from scaling.report.answer import verdict
from scaling.report.figures.catalogue import draw_figures
from scaling.report.figures.plate import Figures
from scaling.report.summary import print_summary
from scaling.report.tensorboard import write_analysis_events
from scaling.report.write import write_report, write_table_report
from scaling.specs import Plan
from scaling.store import export_points, read_forecasts, read_ledgers, save_fits, save_forecasts, save_study
from scaling.study import send_to_sinks
from scaling.usage import asks_for_help
from scaling.values import write_json
from scaling.vocabularies import own_part, parts

FITS_FILE = "fits.json"
TEXTS = ("source", "out", "curves", "holdout", "convention", "columns.")


def task(composed: DictConfig) -> int:
    config = study_config(composed)
    plan = stored_plan(config)
    page, verdict_words = finish_study(config, plan, check_plan(config, plan))
    if config.json:
        Console().print_json((config.folder / FITS_FILE).read_text())
    else:
        print(verdict_words)
        print(page)
    return 0


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


def finish_study(config: StudyConfig, plan: Plan, findings: tuple[Finding, ...]) -> tuple[Path, str]:
    """Mirror the records into the store, fit, score the forecasts, write fits.json and the report.

    Returns the report's page and its verdict in a sentence or two.
    """
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
    return page, f"{said.words}. {said.sentence}"


def entropy_of(config: StudyConfig) -> KnownEntropy | None:
    """Of the text of a study, where it is known and the corpus is still there."""
    if config.data.source.kind != "synthetic" or prepared_manifest(config) is None:
        return None
    corpus = Corpus.open(corpus_folder(config.data, config.cache_folder))
    return known_entropy(config.data.source, corpus, config.model.context)


def fit_table(composed: DictConfig, command: str) -> int:
    options = table_options(composed)
    out = Path(options.out)
    if (out.exists() and not out.is_dir()) or (out / PLAN_FILE).exists():
        what = "is a study, whose own report would be lost" if out.is_dir() else "is a file"
        raise ConfigError(f"out is {out}, which {what}: name another folder")
    try:
        require_known(options.force)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    try:
        report = report_on_table(options, command)
    except TableError as error:
        raise ConfigError(str(error)) from None
    findings = check_table(report, options.force)
    report = replace(report, findings=findings, fits_json=in_fits_json(report.fits_json, findings))
    page = write_table_report(report, out, draw_figures(report) if options.figures else Figures())
    write_json(out / FITS_FILE, report.fits_json)
    if options.json:
        Console().print_json(data=report.fits_json)
    else:
        print_summary(report, Console())
        print(page)
    return 0


def main() -> None:
    if asks_for_help(sys.argv[1:]) or any(argument.startswith("source=") for argument in sys.argv[1:]):
        command = shlex.join(["python", "-m", "scaling.fit", *sys.argv[1:]])
        sys.argv[1:] = [as_text(argument, TEXTS) for argument in sys.argv[1:]]
        run_hydra(partial(fit_table, command=command), "fit", about=__doc__)
    else:
        run_hydra(task, "sweep", about=__doc__)


if __name__ == "__main__":
    main()
