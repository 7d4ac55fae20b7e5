"""`python -m scaling.compare`: what a FLOP in one recipe is worth in another, as a function of compute, with intervals.

Example: python -m scaling.compare a=runs/default b=runs/mine

Two studies, or two tables of losses. Where b has at most four runs, they are held against a's law: promote, drop, or
the further run that would decide. Studies share their noise where size, tokens, seed and data order are the same,
and the interval is the narrower for it. It is refused where the validation text or the way of counting differs.
"""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from scaling.analysis.compare import (
    CompareOptions,
    Incomparable,
    Side,
    compare,
    require_one_convention,
    study_sides,
    table_sides,
)
from scaling.analysis.gate import FEW_RUNS, hold_at_gate
from scaling.command import run_hydra
from scaling.config import PLAN_FILE, ConfigError, compare_options, stored_config
from scaling.laws.gate import GateResult
from scaling.records import read_records
from scaling.report.comparison import print_comparison, print_gate
from scaling.specs import read_plan
from scaling.stages.tables import open_table, tell
from scaling.stages.vocabularies import require_one_vocabulary
from scaling.terminal import PlainConsole, warn
from scaling.values import finite_or_null, to_plain


def task(composed: DictConfig) -> int:
    return run(compare_options(composed))


def run(options: CompareOptions) -> int:
    try:
        a, b = sides(options)
        if len(b.rows) <= FEW_RUNS:
            return show_gate(options, hold_at_gate(a, b, options.gate, options.level))
        found = compare(a, b, flops=options.flops, level=options.level)
    except Incomparable as error:
        raise ConfigError(str(error)) from None
    if options.json:
        PlainConsole().print_json(data=finite_or_null(to_plain(found)))
    else:
        print_comparison(found, PlainConsole())
    return 0


def show_gate(options: CompareOptions, found: GateResult) -> int:
    if options.json:
        PlainConsole().print_json(data=finite_or_null(to_plain(found)))
    else:
        print_gate(found, PlainConsole())
    return 0


def sides(options: CompareOptions) -> tuple[Side, Side]:
    """Raises ConfigError where one is a study and the other a table, or a study was never swept."""
    folders = [Path(options.a), Path(options.b)]
    studies = [folder.is_dir() for folder in folders]
    if not any(studies):
        require_one_convention(options)
        tables = [
            open_table(source, options, options.force, convention)
            for source, convention in ((options.a, options.convention_a), (options.b, options.convention_b))
        ]
        for table, findings in tables:
            tell(table, findings)
        return table_sides(tables[0][0], tables[1][0])
    if not all(studies):
        raise ConfigError(
            f"a is {options.a} and b is {options.b}: compare two studies or two tables; a study's losses are in its "
            "points.csv"
        )
    found = []
    for folder in folders:
        config = stored_config(folder)
        require_one_vocabulary(config, f"comparing {folder}")
        plan = read_plan(folder / PLAN_FILE)
        found.append((str(folder), plan, list(read_records(folder, warn)), dict(to_plain(config.data))))
    return study_sides(found)


def main(argv: Sequence[str] | None = None) -> None:
    run_hydra(task, "compare", command="compare", about=__doc__, argv=argv)


if __name__ == "__main__":
    main()
