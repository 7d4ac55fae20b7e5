"""The keys that say more than a table does: a law for each group, some of the rows, what a column does not mean."""

import errno
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scaling.stages import by_group
from scaling.tables.account import line_ranges
from tests.study.test_fit_table import QUICK, command
from tests.tables.asked import ask, csv_text, planted
from tests.tables.kinds import D, N, beside, log_of, of_two, repeated, swept


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "ä b=c, 'd'.csv"  # what Hydra's grammar has no place for
    path.write_text(csv_text(rows))
    return path


def two_tokenizers() -> list[dict[str, Any]]:
    """A second tokenizer of other length, at the same quality: the same bits per byte."""
    rows = planted(7, 8)
    for i, row in enumerate(rows):
        length = (4.0, 4.5)[i % 2]
        row |= {"tokenizer": ("bpe", "long words")[i % 2], "bytes_per_token": length, "loss": row["loss"] * length / 4}
    return rows


@pytest.fixture(scope="module")
def by_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("by")
    source = written(folder, two_tokenizers())
    assert command(f"source={source}", f"out={folder / 'laws'}", "by=tokenizer", *QUICK) == 0
    return folder / "laws"


def test_each_group_has_a_law_a_report_and_a_place_beside_the_others(by_tokenizer: Path) -> None:
    found = json.loads((by_tokenizer / "fits.json").read_text())
    assert [group["value"] for group in found["groups"]] == ["bpe", "long words"]
    assert [group["folder"] for group in found["groups"]] == ["bpe", "long-words"]
    for group in found["groups"]:
        own = json.loads((by_tokenizer / group["folder"] / "fits.json").read_text())
        assert own["observations"]["num_used"] == group["num_points"] == 28
        assert own["fits"][0]["parameters"] == group["parameters"]
        assert (by_tokenizer / group["folder"] / "report/index.html").is_file()
    first, second = (group["best_bits_per_byte"] for group in found["groups"])
    assert first == pytest.approx(second, rel=0.01)
    text = (by_tokenizer / "report.md").read_text()
    assert "bits/byte" in text
    assert "| long words | long-words | converged | 28 |" in text


def test_groups_that_carry_no_law_say_so(tmp_path: Path) -> None:
    rows = [row for i, row in enumerate(two_tokenizers()) if i % 2 == 0 or i < 6]
    assert command(f"source={written(tmp_path, rows)}", f"out={tmp_path / 'laws'}", "by=tokenizer", *QUICK) == 3
    found = json.loads((tmp_path / "laws/fits.json").read_text())
    assert found["refused"] == ["long words"]
    assert found["groups"][0]["status"] == "converged"


def test_laws_are_told_that_a_full_disk_does_not_take_and_groups_have_names_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "fits.json")

    monkeypatch.setattr(by_group, "write_groups_report", full)  # the last but one file
    rows = two_tokenizers()
    for i, row in enumerate(rows):
        row["tokenizer"] = ("fits.json", "FITS.json")[i % 2]
    assert command(f"source={written(tmp_path, rows)}", f"out={tmp_path / 'laws'}", "by=tokenizer", *QUICK) == 2
    told = capsys.readouterr()
    assert "law for each tokenizer" in " ".join(told.out.split())
    assert "free some space" in told.err
    assert {path.parent.name for path in (tmp_path / "laws").glob("*/fits.json")} == {"fits.json-2", "FITS.json-3"}


@pytest.mark.parametrize("key", ["by=corpus", "by=params"])
def test_a_column_that_makes_no_groups_is_told(tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = planted(60, 1)
    assert command(f"source={written(tmp_path, rows)}", f"out={tmp_path / 'laws'}", key, *QUICK) == 2
    assert capsys.readouterr().err.startswith(f"error: by is {key.removeprefix('by=')}, ")
    assert not (tmp_path / "laws").exists()


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("tokenizer=bpe", 28),
        ("tokenizer != long words", 28),
        ("tokenizer=bpe and params>1e8", 16),
        ("tokens <= 1e9 AND tokenizer=bpe", 7),
    ],
)
def test_where_chooses_rows(tmp_path: Path, where: str, rows: int) -> None:
    assert ask(written(tmp_path, two_tokenizers()), where=where).used == rows


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("tokenizer=gpt", "its values are bpe, long words"),
        ("params>many", "no number"),
        ("no condition", "no condition"),
        ("x=1", "no column 'x'"),
    ],
)
def test_a_where_that_is_none_is_told(tmp_path: Path, where: str, words: str) -> None:
    refused = ask(written(tmp_path, two_tokenizers()), where=where).refused
    assert refused is not None
    assert words in refused


def test_ignoring_a_column_takes_its_meaning_away(tmp_path: Path) -> None:
    source = written(tmp_path, two_tokenizers())
    assert ask(source).refused is not None
    assert ask(source, ignore=("tokenizer",)).used == 56
    assert ask(source, force=("mixed_kinds",)).used == 56
    log = written(tmp_path, log_of(planted(3, 4), 10))
    assert ask(log).used == 12
    assert ask(log, ignore=("step", "run")).used == 120
    rates = written(tmp_path, swept())
    assert ask(rates).used == 42
    assert ask(rates, ignore=("learning_rate",)).used == 7 * 42
    refused = ask(rates, ignore=("lr",)).refused
    assert refused is not None
    assert "ignore has 'lr'" in refused


def test_rows_of_one_pair_are_averaged_or_refused_where_that_is_asked(tmp_path: Path) -> None:
    source = written(tmp_path, beside(swept(), "run_name", lambda i, r: f"r{i}"))
    mean = ask(source, duplicates="mean")
    assert mean.table is not None
    assert mean.used == 42
    rows = [row for row in swept() if (N(row), D(row)) == (N(swept()[0]), D(swept()[0]))]
    expected = math.exp(np.mean([math.log(row["loss"]) for row in rows]))
    assert mean.table.observations.loss[0] == pytest.approx(expected)
    refused = ask(source, duplicates="refuse").refused
    assert refused is not None
    assert "294 rows are 42 pairs of N and D" in refused
    unnamed = written(tmp_path, swept(rate=False))
    assert ask(unnamed).used == 294
    assert ask(unnamed, duplicates="best").used == 42


def test_the_best_of_many_is_corrected_for_being_the_least(tmp_path: Path) -> None:
    """Nine equal recipes with 1% of noise: the least is 1.5% too low, and is not when it is corrected."""
    rng = np.random.default_rng(0)
    rows = [
        {**row, "lr": lr, "batch": batch, "loss": row["loss"] * math.exp(0.01 * rng.normal())}
        for row in planted(7, 6, noise=0.0)
        for lr in (1e-3, 2e-3, 4e-3)
        for batch in (64, 128, 256)
    ]
    got = ask(written(tmp_path, rows))
    assert got.table is not None
    true = np.array([row["loss"] for row in planted(7, 6, noise=0.0)])
    off = np.log(got.table.observations.loss / true)
    # The mean of 42 least of nine, whose sd is 0.6%, is known to 0.1%; uncorrected it is -1.5%.
    assert off.mean() == pytest.approx(0, abs=0.006)
    assert got.table.recipes is not None
    assert got.table.recipes.correction == pytest.approx(0.0145, abs=0.004)


def test_a_known_loss_unit_and_a_factor(tmp_path: Path) -> None:
    rows = [{**row, "loss": 2 * row["loss"]} for row in planted()]
    assert ask(written(tmp_path, rows), loss_unit=0.5).best == pytest.approx(1, abs=0.1)
    log_likelihoods = [{**row, "loss": -row["loss"]} for row in planted()]
    assert ask(written(tmp_path, log_likelihoods), loss_unit=-1).best == pytest.approx(1, abs=0.1)
    assert ask(written(tmp_path, of_two("x", 1, 1, 1.0, lambda i, r: False)), loss_unit="nats").used == 42


def test_units_that_are_given_are_taken_and_silence_the_doubt(tmp_path: Path) -> None:
    rows = [{"params": N(r) / 1e6, "tokens": D(r) / 1e9, "loss": r["loss"]} for r in planted()]
    units = {"params_unit": "M", "tokens_unit": "1e9"}
    assert ask(written(tmp_path, rows), columns=units).best == pytest.approx(1, abs=0.1)
    refused = ask(written(tmp_path, rows), columns={"params_unit": 1, "tokens_unit": 1}).refused
    assert refused is not None
    assert "unlikely_units" not in refused


def test_line_ranges_are_short() -> None:
    assert line_ranges([5, 2, 3, 9]) == "2-3, 5, 9"
    assert line_ranges(range(0, 100, 2)).endswith("and 38 more")
    assert line_ranges([]) == ""


def test_what_was_measured_or_where_it_ran_is_no_recipe(tmp_path: Path) -> None:
    """Seeds stay seeds, whatever stands beside them."""
    rng = np.random.default_rng(1)
    rows = [
        {
            **row,
            "seed": seed,
            "loss": row["loss"] * math.exp(0.003 * rng.normal()),
            "peak_memory_bytes": int(1e9 * rng.random()),
            "weight_norm": rng.random(),
            "micro_batch_tokens": (4096, 8192)[seed],
            "hostname": f"node{seed}",
            "wall_hours": rng.random(),
        }
        for row in planted()
        for seed in (0, 1)
    ]
    got = ask(written(tmp_path, rows))
    assert got.used == 84
    assert not got.names


def test_repeated_text_has_a_law_of_its_own_and_a_hold_out_too(tmp_path: Path) -> None:
    source = written(tmp_path, repeated())
    assert command(f"source={source}", f"out={tmp_path / 'laws'}", "holdout=tokens>6e9", *QUICK) == 0
    found = json.loads((tmp_path / "laws/fits.json").read_text())
    assert found["fits"][0]["num_points"] + found["observations"]["num_heldout"] == 28  # of one epoch
    law_of_all = next(fit for fit in found["fits"] if fit["law"] == "data_constrained")
    held_out = sum(row["tokens"] > 6e9 for row in repeated())
    assert law_of_all["num_points"] == len(repeated()) - held_out
    knows, takes_for_new = found["text"]["repetition"]["heldout"]
    assert knows["num_points"] == held_out - found["observations"]["num_heldout"]
    assert knows["mean"] < 0.01 < takes_for_new["mean"]
    assert "knows unique tokens" in (tmp_path / "laws/report.md").read_text()
