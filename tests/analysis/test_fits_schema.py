"""docs/fits-json.md names every key that a study and a table write, and no other."""

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir

from scaling.analysis.study import forecast, split_records
from scaling.analysis.table_report import report_on_table
from scaling.analysis.text import with_text
from scaling.analysis.vocabulary import vocabulary_laws
from scaling.checks.catalogue import check_table
from scaling.config import table_options
from scaling.config_folder import config_folder
from scaling.data.oracle import KnownEntropy
from scaling.results_json import fits_json, shapes_json
from scaling.values import to_plain
from tests.analysis.conftest import make_records
from tests.analysis.test_shapes import found, planted, shapes_study
from tests.analysis.test_study import OPTIONS, report_of, study
from tests.analysis.test_text import other_set, repeated_study
from tests.analysis.test_vocabulary import in_bits, vocabulary_plan

PAGE = Path(__file__).parents[2] / "docs/fits-json.md"
# Maps whose keys are free.
MAPS = {
    "parameters",
    "intervals",
    "other_intervals",
    "weights",
    "inner_errors",
    "seconds",
    "each",
    "by_form",
    "structure",
}
INTERVAL = {"low", "high", "level", "method"}
ESTIMATE = {"value", "low", "high"}
WHOLE = {"observations.excluded", "findings", "refused"}  # documented as one


def keys(value: Any, at: str = "") -> set[str]:
    """Every path of a JSON value, as the page writes them."""
    if at in WHOLE:
        return set()
    if isinstance(value, list):
        return set().union(*(keys(item, f"{at}[]") for item in value)) if value else set()
    if not isinstance(value, dict) or set(value) in (INTERVAL, ESTIMATE):
        return set()
    if at.rpartition(".")[2] in MAPS:
        return set().union(*({f"{at}.{{name}}"} | keys(item, f"{at}.{{name}}") for item in value.values()), set())
    paths = {name: f"{at}.{name}".lstrip(".") for name in value}
    return set(paths.values()).union(*(keys(item, paths[name]) for name, item in value.items()))


def a_table(folder: Path) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    with (folder / "points.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["params", "tokens", "val_loss", "seed", "loss"])
        for params in np.geomspace(1e7, 1e9, 6):
            for tokens in params * np.array([5.0, 20.0, 80.0, 200.0]):
                loss = 1.7 + 400 / params**0.34 + 1200 / tokens**0.29
                noisy = loss * np.exp(0.002 * rng.normal())
                writer.writerow([params, tokens, noisy, 1, noisy])
    with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
        overrides = ["out=x", "bootstrap=20", "holdout='0.2'", "+targets.points=[[1e9,1e10]]"]
        composed = compose("fit", [f"source={folder / 'points.csv'}", *overrides])
        report = report_on_table(table_options(composed), "command")
    return fits_json(replace(report, findings=check_table(report)))


def a_ladder() -> dict[str, Any]:
    with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
        composed = compose("fit", [f"source={PAGE.parent / 'tables/ladder.csv'}", "out=x", "bootstrap=0"])
        return fits_json(report_on_table(table_options(composed), "command"))


def the_text(folder: Path) -> dict[str, Any]:
    """`text` of a study that has all of it: validation sets, vocabularies, repeated text and a known entropy."""
    planned, records = repeated_study()
    records = [other_set(record, 1.5) for record in records]
    two = [vocabulary_plan(size) for size in (512, 1024)]
    laws = vocabulary_laws(
        dict(zip((512, 1024), two, strict=True)), [r for part in two for r in in_bits(part)], OPTIONS
    )
    report = report_of(planned, records, folder, ())
    known = KnownEntropy(rate=1.0, floor=1.1, context=64)
    found = with_text(report, split_records(planned, records), OPTIONS, None, known, laws)
    return fits_json(found)["text"]  # type: ignore[no-any-return]


def the_shapes(folder: Path) -> dict[str, Any]:
    config, planned = shapes_study(folder)
    records = planted(planned, noise=0.003)
    records[0] = replace(records[0], final_loss_nats=9.0)
    return to_plain(shapes_json(found(config, planned, records)))  # type: ignore[no-any-return]


def test_the_page_names_every_key_and_no_other(tmp_path: Path) -> None:
    documented = set(re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE))
    planned, records = study(), make_records(study(), noise=0.003)
    held_out = {(p.run_id, p.tokens) for p in planned.points if p.held_out}
    first_wave = [r for r in records if (r.run_id, r.budget_tokens) not in held_out]
    made, _ = forecast(planned, first_wave, OPTIONS, ())
    of_study = fits_json(report_of(planned, records, tmp_path, tuple(made)))
    of_table = a_table(tmp_path)
    assert set(of_study) - {"text", "shapes"} == set(of_table) - {"reading", "influence"}
    text = {"text": the_text(tmp_path)}
    of_shapes = {"shapes": the_shapes(tmp_path)}
    assert keys(of_study) | keys(of_table) | keys(a_ladder()) | keys(text) | keys(of_shapes) == documented
    assert {entry["law"] for entry in of_study["ledger"]} == {"selected", "chinchilla"}
