"""Vocabulary size as an axis of the grid: parts of a plan, and a tiny study from end to end."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from scaling.config import ConfigError
from scaling.exits import EXIT_NO_ANSWER
from scaling.findings import Finding
from scaling.stages.study import plan_study
from scaling.stages.vocabularies import each_vocabulary, once, own_part, parts, require_one_vocabulary
from tests.test_configs import load
from tests.test_truth import SIZES, run

BPE = ("data=aws_docs_bpe", "data.tokenizer.vocab_size=1024")


def test_the_grid_is_repeated_for_each_vocabulary(tmp_path: Path) -> None:
    config = load(*BPE, "grid.vocab_sizes=[512,1024]", f"cache={tmp_path}")
    plan, alone = plan_study(config), plan_study(replace(config, grid=replace(config.grid, vocab_sizes=())))
    assert len(plan.points) == 2 * len(alone.points)
    assert {run.model.vocab_size for run in plan.runs} == {512, 1024}
    assert {point.size.split(".")[1] for point in plan.points} == {"v512", "v1024"}
    for one, part in parts(config, plan):
        assert {run.model.vocab_size for run in part.runs} == {one.data.tokenizer.vocab_size}
        assert part.num_held_out == alone.num_held_out
    assert {run.model.vocab_size for run in own_part(config, plan).runs} == {1024}


def test_one_vocabulary_is_the_study_itself(tmp_path: Path) -> None:
    config = load(*BPE, f"cache={tmp_path}")
    named = replace(config, grid=replace(config.grid, vocab_sizes=(1024,)))
    assert each_vocabulary(named) == (named,)
    assert plan_study(named) == plan_study(config)
    require_one_vocabulary(named, "tuning")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("grid.vocab_sizes=[512,1024]",), "the corpus' tokenizer is bytes"),
        ((*BPE, "grid.vocab_sizes=[512,4096]"), "bpe of 1024 entries: take a BPE whose"),
        ((*BPE, "grid.vocab_sizes=[1024,1024]"), "give each vocabulary once"),
    ],
)
def test_vocabularies_that_make_no_study(overrides: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(*overrides)


def test_what_needs_one_law_refuses_several(tmp_path: Path) -> None:
    config = load(*BPE, "grid.vocab_sizes=[512,1024]", f"cache={tmp_path}")
    with pytest.raises(ConfigError, match="a recommendation needs the law of one vocabulary: sweep"):
        require_one_vocabulary(config, "a recommendation")


def test_findings_of_parts_are_told_once_and_the_gravest_counts() -> None:
    mild, grave = (Finding("few_steps", level, "n", "r", "s") for level in ("warn", "refuse"))
    assert once([(mild,), (grave,)]) == (grave,)
    assert once([(mild, mild)]) == (mild, mild)


@pytest.mark.slow  # a sweep with two corpora
def test_a_tiny_study_over_two_vocabularies_and_two_validation_sets(tmp_path: Path) -> None:
    for name, turns in (("train", 4000), ("more", 400)):
        words = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa")
        state, lines = len(name), []
        for number in range(turns):
            drawn = []
            for _ in range(20):
                state = (state * 1103515245 + 12345) % (1 << 31)
                drawn.append(words[(state >> 8) % 10] + words[(state >> 16) % 10])
            lines.append(json.dumps({"text": f"{name} {number} " + " ".join(drawn)}))
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    swept = run(
        "sweep", "data=local", f"data.source.path={tmp_path / 'train.jsonl'}", "data.tokenizer.kind=bpe",
        "data.tokenizer.vocab_size=300", "grid.vocab_sizes=[270,300]", "data.validation_fraction=0.05",
        f"data.validation_sets=[{{name: more, source: {{kind: local, path: {tmp_path / 'more.jsonl'}}}}}]",
        "study=tiny", "grid.budgets=[8192,12288,16384]", f"grid.sizes={SIZES}", "grid.replicates=[]",
        "grid.holdout_min=2", "model.context=32", "recipe.batch_tokens=128", "recipe.warmup_min_steps=10",
        "fit.bootstrap=0", "fit.figures=false", "runtime.tensorboard=false", "power.quantity=null",
        f"runs={tmp_path / 'runs'}", f"cache={tmp_path / 'cache'}",
        "force=[few_steps,warmup_share,unidentifiable_design]",
    )  # fmt: skip
    assert swept.returncode in (0, EXIT_NO_ANSWER), swept.stderr  # so little may carry no law
    folder = tmp_path / "runs/tiny"
    corpora = {json.loads(path.read_text())["corpus_folder"] for path in folder.glob("*/job.json")}
    assert len(corpora) == 2
    fits = json.loads((folder / "fits.json").read_text())
    assert {each["run_id"].split("-")[0].split(".")[1] for each in fits["ledger"]} <= {"v300"}
    small, own = fits["text"]["vocabularies"]
    assert (small["vocab_size"], own["vocab_size"]) == (270, 300)
    assert small["bytes_per_token"] < own["bytes_per_token"]
    assert small["heldout"] is None or small["heldout"]["num_points"] >= 2
    assert [each["name"] for each in fits["text"]["validation_sets"]] == ["validation", "more"]
    assert (fits["observations"]["num_used"], fits["observations"]["num_heldout"]) == (9, 3)
    header, *rows = (folder / "points.csv").read_text().splitlines()
    assert len(rows) == 24
    assert "more_loss_nats" in header
    assert "Vocabularies" in (folder / "report/report.md").read_text()
    table = run("fit", f"source={folder}", f"out={tmp_path / 'laws'}")
    assert table.returncode == 2
    assert "has points of 2 corpora" in table.stderr
