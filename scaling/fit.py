"""From losses to laws and a report, without torch: `python -m scaling.fit study=default` for a study's records, by the
config that its sweep ran with; `python -m scaling.fit source=points.csv out=laws` for anyone's table.

Example: python -m scaling.fit source=points.csv out=laws holdout=0.2
"""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from scaling.analysis.config import TableOptions
from scaling.analysis.law_report import optimal_allocation
from scaling.analysis.table_report import report_on_table
from scaling.checks.catalogue import check_table
from scaling.command import run_hydra
from scaling.config import ConfigError, ask_options, refit_config, stored_plan, table_options
from scaling.exits import EXIT_NO_ANSWER
from scaling.findings import gravest_first, refusals
from scaling.folders import require_ours, study_lock, take
from scaling.report.figures.catalogue import draw_figures
from scaling.report.figures.plate import Figures
from scaling.report.summary import print_forecasts, print_groups, print_summary
from scaling.report.tables import FARTHEST
from scaling.report.write import write_table_report
from scaling.results import GroupLaw
from scaling.results_json import fits_json
from scaling.stages.by_group import fit_groups
from scaling.stages.checkup import check_plan
from scaling.stages.ending import last_words
from scaling.stages.finish import FITS_FILE, finish_study
from scaling.stages.stored_law import ask, stored_law
from scaling.stages.tables import open_table
from scaling.tables.account import TableError
from scaling.terminal import PlainConsole
from scaling.usage import asks_for_help
from scaling.values import write_json


def task(composed: DictConfig) -> int:
    config = refit_config(composed, HydraConfig.get().overrides.task)
    plan = stored_plan(config)
    finished = finish_study(config, plan, check_plan(config, plan))
    if config.json:
        PlainConsole().print_json(data=finished.fits_json)
    else:
        for line in last_words(config, finished):
            PlainConsole().print(line, soft_wrap=True)
    if finished.unwritten is not None:
        raise finished.unwritten
    return EXIT_NO_ANSWER if finished.withheld else 0


def fit_table(composed: DictConfig, command: str) -> int:
    stored = None if OmegaConf.is_missing(composed, "source") else stored_law(str(composed.source))
    if stored is not None:
        return ask_stored(composed, stored)
    options = table_options(composed)
    out = Path(options.out)
    require_ours(out, "table", key="out", overwrite=options.overwrite)
    if options.by is not None:
        return fit_by(options, command)
    table, before = open_table(options.source, options, options.force, options.convention)
    try:
        report = report_on_table(options, command, table)
    except TableError as error:
        raise ConfigError(str(error)) from None
    findings = gravest_first((*before, *check_table(report, options.force)))
    report = replace(report, findings=findings)
    figures = draw_figures(report) if options.figures else Figures()
    # The answer first: a disk that takes no file does not take it back.
    if options.json:
        PlainConsole().print_json(data=fits_json(report))
    else:
        print_summary(report, PlainConsole())
    take(out, "table", key="out", overwrite=options.overwrite)
    with study_lock(out):
        write_json(out / FITS_FILE, fits_json(report))
        page = write_table_report(report, out, figures)
    if not options.json:
        print(page)
    return EXIT_NO_ANSWER if refusals(findings) else 0


def ask_stored(composed: DictConfig, stored: Mapping[str, Any]) -> int:
    options = ask_options(composed, HydraConfig.get().overrides.task)
    answer = ask(stored, options)
    if options.json:
        PlainConsole().print_json(data=answer.payload(options.source))
    else:
        allocations = [optimal_allocation(best, there) for best, there in answer.budgets]
        print_forecasts(allocations, answer.points, answer.largest, PlainConsole())
    return EXIT_NO_ANSWER if answer.farthest > FARTHEST else 0


def fit_by(options: TableOptions, command: str) -> int:
    def tell(laws: Sequence[GroupLaw], content: dict[str, Any]) -> None:
        if options.json:
            PlainConsole().print_json(data=content)
        else:
            print_groups(options.source, str(options.by), laws, PlainConsole())

    laws, page = fit_groups(options, command, tell)
    if not options.json:
        print(page)
    return 0 if all(law.status == "converged" for law in laws) else EXIT_NO_ANSWER


def main(argv: Sequence[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else argv
    if asks_for_help(argv) or any(argument.startswith("source=") for argument in argv):
        command = shlex.join(["python", "-m", "scaling.fit", *argv])
        run_hydra(partial(fit_table, command=command), "fit", command="fit source=", about=__doc__, argv=argv)
    else:
        run_hydra(task, "sweep", command="fit", about=__doc__, argv=argv)


if __name__ == "__main__":
    main()
