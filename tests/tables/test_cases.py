"""The files of tables as people keep them that lie beside the repository give their planted law, with what was done
said, or a refusal that names the rows or the column."""

from pathlib import Path
from typing import Any

import pytest

from tests.tables.asked import ask

CASES = Path(__file__).parents[3] / "shared/data/cases"
NEAR = 0.10
LAW: dict[str, Any] = {"rows": 48, "best": True}
# By file: what is asked beside the file, and what must come out.
EXPECTED: dict[str, dict[str, Any]] = {
    "budget_blank.csv": LAW | {"says": ["not taken for nominal budgets"]},
    "comment_lines.csv": LAW,
    "damaged.csv.gz": {"refused": ["damaged"]},
    "decimal_comma.csv": {"refused": ["params is 0.014", "columns.params_unit=1e9", "columns.tokens_unit=1e9"]},
    "epochs_with_unique_tokens.csv": {"rows": 24, "says": ["40 times", "fresh text"]},
    "every_evaluation.csv": {"rows": 8, "says": ["last row of each is its point", "ignore=[step]"]},
    "header_N_D_L.csv": LAW | {"says": ["params N taken for it by its name"]},
    "huge_integer.jsonl": {"rows": 47, "best": True, "says": ["flops is inf, not finite"]},
    "human_units.csv": LAW | {"says": ["'14.1M' is 14100000", "'1.05B' is 1050000000"]},
    "iso_4x6_forecast.csv": {"rows": 24},
    "iso_4x8_no_forecast.csv": {"rows": 32},
    "iso_5_budgets_no_forecast.csv": {"rows": 30},
    "iso_none_diverged.csv": {"rows": 30},
    "iso_one_diverged.csv": {"rows": 30},
    "json_array_no_tokens.json": {"rows": 42, "best": True, "says": ["worked out as compute_budget / (6 x params)"]},
    "loss_summed_over_four_steps.csv": {"refused": ["unlikely_loss", "loss_unit=0.25"]},
    "lr_batch_sweep.csv": LAW | {"says": ["720 rows are 48 pairs of N and D", "in lr, gbsz", "the best of each"]},
    "nan_in_optional_column.csv": LAW,
    "nested.jsonl": LAW | {"says": ["tokens train.tokens taken"]},
    "one_crashed_run.csv": {"rows": 42},
    "optimizer_by_size.csv": {"refused": ["mixed_methods", "'optimizer'", "by=optimizer"]},
    "perplexity.csv": LAW | {"says": ["perplexities, by its name"]},
    "planted_4_decimals.csv": {"rows": 16},
    "some_flops_in_pflops.csv": LAW | {"says": ["lines 2, 7, 12", "6 N D was taken for those rows"]},
    "space_thousands.csv": LAW | {"says": ["digits grouped by a space"]},
    "stray_quote.csv": LAW,
    "trailing_empty_columns.csv": LAW,
    "two_datasets.csv": {"refused": ["mixed_kinds", "fineweb: 24 rows", "by=dataset"]},
    "two_tokenizers.csv": {"refused": ["mixed_kinds", "gpt2: 24 rows", "by=tokenizer"]},
    "units_in_header.csv": LAW | {"says": ["in units of 1e+06", "in units of 1e+09"]},
}
# The same files with the key that the refusal names.
ANSWERED: dict[str, tuple[str, dict[str, Any], int]] = {
    "decimal comma": ("decimal_comma.csv", {"columns": {"params_unit": "B", "tokens_unit": 1e9}}, 48),
    "summed": ("loss_summed_over_four_steps.csv", {"loss_unit": 0.25}, 48),
    "one tokenizer": ("two_tokenizers.csv", {"where": "tokenizer=gpt2"}, 24),
    "one recipe": ("lr_batch_sweep.csv", {"where": "lr=1e-3 and gbsz=256"}, 48),
}
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the small inputs that failed are not beside this checkout")


@needs_cases
def test_every_file_is_expected() -> None:
    assert {path.name for path in CASES.iterdir()} - {"README.md"} <= set(EXPECTED)


@needs_cases
@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_gives_its_law_or_a_refusal_that_names_what_is_wrong(name: str) -> None:
    expected = EXPECTED[name]
    got = ask(CASES / name)
    if "refused" in expected:
        assert got.refused is not None, got.said
        assert all(words in got.refused for words in expected["refused"]), got.refused
        return
    assert got.refused is None, got.refused
    assert got.used == expected["rows"]
    assert all(words in got.said for words in expected.get("says", ())), got.said
    if expected.get("best"):
        assert got.best == pytest.approx(1, abs=NEAR)


@needs_cases
@pytest.mark.parametrize("case", ANSWERED)
def test_the_key_that_a_refusal_names_gives_the_law(case: str) -> None:
    name, keys, rows = ANSWERED[case]
    got = ask(CASES / name, **keys)
    assert got.refused is None
    assert got.used == rows
    assert got.best == pytest.approx(1, abs=NEAR), got.said


@needs_cases
def test_repeated_text_leaves_the_best_size_of_fresh_text() -> None:
    got = ask(CASES / "epochs_with_unique_tokens.csv")
    assert got.best == pytest.approx(1, abs=NEAR)
