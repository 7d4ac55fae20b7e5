"""The command on two study folders, and its refusals."""

import json
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from scaling.analysis.compare import CompareOptions
from scaling.command import config_folder
from scaling.compare import run
from scaling.config import ConfigError, compare_options
from tests.planted_study import planted_study
from tests.tables.asked import csv_text, planted


def options(*overrides: str) -> CompareOptions:
    with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
        return compare_options(compose("compare", list(overrides)))


def test_a_study_compared_with_itself_under_another_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        planted_study(tmp_path, f"study={name}", noise=0.004)
    a, b = (f"{name}={tmp_path}/runs/{name}" for name in "ab")
    assert run(options(a, b, "json=true")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["num_pairs"] == 42
    assert answer["reference"]["multiplier"] == pytest.approx(1.0)  # the very same losses
    assert not answer["told_apart"]
    assert run(options(a, b)) == 0
    assert "cannot be told apart" in capsys.readouterr().out
    planted_study(tmp_path, "study=c", "data.split_salt=other")
    with pytest.raises(ConfigError, match=r"data\.split_salt"):
        run(options(a, f"b={tmp_path}/runs/c"))
    with pytest.raises(ConfigError, match="two studies or two tables"):
        run(options(a, "b=points.csv"))
    with pytest.raises(ConfigError, match="counts"):
        run(options("a=x.csv", "b=y.csv", "convention_a=6ND"))


def test_both_must_be_named() -> None:
    with pytest.raises(ConfigError, match="b is not given"):
        options("a=x.csv")


def test_tables_in_different_tokens_are_not_compared(tmp_path: Path) -> None:
    rows = planted()
    for name, tokenizer in (("a", "gpt2"), ("b", "llama"), ("c", "GPT2")):
        text = csv_text([{**row, "tokenizer": tokenizer, "dataset": name} for row in rows])
        (tmp_path / f"{name}.csv").write_text(text)
    a, b, c = (f"{tmp_path}/{name}.csv" for name in "abc")
    with pytest.raises(ConfigError, match=r"'tokenizer' of a says gpt2 and that of b llama: .*ignore=\[tokenizer\]"):
        run(options(f"a={a}", f"b={b}"))
    assert run(options(f"a={a}", f"b={c}")) == 0
    assert run(options(f"a={a}", f"b={b}", "ignore=[tokenizer]")) == 0
