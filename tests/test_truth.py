"""The one-command check against a known truth: what it says, and a tiny study of a made-up language from end to end."""

import subprocess
import sys
from pathlib import Path

import pytest

from scaling.data.oracle import KnownEntropy
from scaling.exits import EXIT_NO_ANSWER
from scaling.laws.floor import FloorDoubt, FloorInterval
from scaling.truth import judge

ROOT = Path(__file__).parents[1]
SIZES = "[{name: a, num_layers: 1, d_model: 8, num_heads: 1}, {name: b, num_layers: 1, d_model: 16, num_heads: 1}, "
SIZES += "{name: c, num_layers: 2, d_model: 16, num_heads: 1}, {name: d, num_layers: 2, d_model: 24, num_heads: 2}]"


@pytest.mark.parametrize(
    ("low", "high", "found", "word"),
    [(0.6, 0.8, True, "FOUND"), (0.71, 0.8, False, "MISSED"), (0.1, 0.9, False, "TOO WIDE")],
)
def test_it_judges(low: float, high: float, found: bool, word: str) -> None:
    interval = FloorInterval(low, high, 0.95, (FloorDoubt("chinchilla", 0.75, low, high),))
    answer, words = judge(interval, KnownEntropy(rate=0.69, floor=0.7, context=128))
    assert answer is found
    assert words.startswith(f"{word}: truth 0.7000 nats/token (entropy rate 0.6900); fitted E 0.7500, off by 7.1%")


def run(module: str, *overrides: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", f"scaling.{module}", *overrides]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=300)


@pytest.mark.slow  # a sweep and three more processes: a minute
def test_a_tiny_study_prints_the_truth_beside_its_floor(tmp_path: Path) -> None:
    overrides = [
        "experiment=truth", "study=tiny", "grid.budgets=[8192,12288,16384]", f"grid.sizes={SIZES}",
        "grid.replicates=[]", "model.context=32", "recipe.batch_tokens=128", "recipe.warmup_min_steps=10",
        "data.source.language_documents=400", "data.source.language_words=20", "data.source.language_classes=2",
        "fit.bootstrap=0", "fit.figures=false", "runtime.tensorboard=false", f"runs={tmp_path / 'runs'}",
        f"cache={tmp_path / 'cache'}", "force=[few_steps,warmup_share,unidentifiable_design]",
    ]  # fmt: skip
    early = run("truth", *overrides)
    assert early.returncode == 2
    assert "is no folder of a study" in early.stderr
    swept = run("sweep", *overrides)
    assert swept.returncode in (0, EXIT_NO_ANSWER), swept.stderr  # so little may carry no law
    told = run("truth", *overrides)
    # Seconds of training pin no floor: whether the truth is found is not the point here, that it is told is.
    assert told.returncode in (0, 1), told.stderr
    assert told.stdout.split(":")[0] in ("FOUND", "MISSED", "TOO WIDE")
    report = (tmp_path / "runs/tiny/report/report.md").read_text()
    assert "truth: the best possible model, 32 tokens of context" in report
    assert "The truth is known" in report
