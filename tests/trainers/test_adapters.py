"""The YAMLs for trainers that people have, against stand-ins that print those programs' lines and leave their files:
whatever ends in the middle becomes no row."""

import shutil
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from scaling.config import ConfigError, StudyConfig, study_config
from scaling.config_folder import config_folder
from scaling.exits import EXIT_LOST
from scaling.records import JOB_FILE, read_record, record_path
from scaling.specs import Plan
from scaling.stages.program import check_program, describe_sizes
from scaling.stages.study import make_job, plan_study
from scaling.terminal import PlainConsole
from scaling.training.external import driver
from scaling.values import write_json

ROOT = Path(__file__).parents[2]
STAND_INS = Path(__file__).with_name("stand_ins")
SIZES = {
    "nanogpt": ("{name: l4, layers: 4, heads: 4, width: 64}", "16384"),
    "nanochat": ("{name: d4, depth: 4, rows: 1}", "16384"),
    "run_clm": ("{name: w64, width: 64, hidden: 176, layers: 2, heads: 2, rows: 2}", "1024"),
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which these programs are checked out."""
    run_clm, nanochat = tmp_path / "transformers/examples/pytorch/language-modeling", tmp_path / "nanochat/.venv/bin"
    for folder in (run_clm, nanochat, tmp_path / "nanoGPT/data/shakespeare_char", tmp_path / "bin"):
        folder.mkdir(parents=True)
    shutil.copy(STAND_INS / "nanogpt.py", tmp_path / "nanoGPT/train.py")
    (tmp_path / "nanoGPT/data/shakespeare_char/prepare.py").write_text("")
    for path, stand_in in ((nanochat / "torchrun", "nanochat"), (tmp_path / "bin/torchrun", "run_clm")):
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_INS / stand_in}.py "$@"\n')
        path.chmod(0o755)
    (nanochat / "python").write_text("#!/bin/sh\n")
    (nanochat / "python").chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin")
    return tmp_path


def study(name: str, tmp_path: Path, *overrides: str) -> StudyConfig:
    size, batch = SIZES[name]
    asked = [
        f"hydra.searchpath=[file://{ROOT / 'examples/trainers'}]", f"trainer={name}", f"runs={tmp_path / 'runs'}",
        f"cache={tmp_path / 'cache'}", "study=theirs", f"grid.sizes=[{size}]", f"grid.budgets=[{40 * int(batch)}]",
        "grid.replicates=[]", "grid.holdout_share=0", f"recipe.batch_tokens={batch}", "recipe.warmup_min_steps=4",
        "recipe.warmup_params_share=0", "+recipe.muon_lr=0.02", *overrides,
    ]  # fmt: skip
    with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
        return study_config(compose("sweep", asked))


def planned(config: StudyConfig) -> tuple[Plan, Path]:
    """The plan and the folder of its first run, with its job."""
    describe_sizes(config, PlainConsole(stderr=True))
    plan = plan_study(config)
    check_program(config, plan.runs)
    run = plan.runs[0]
    (folder := config.folder / run.id).mkdir(parents=True, exist_ok=True)
    write_json(folder / JOB_FILE, make_job(config, run, {}))
    return plan, folder


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("ends", ["well", "killed", "half_a_checkpoint", "stopped", "out_of_data"])
def test_only_what_came_to_its_end_becomes_a_row(
    name: str, ends: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = study(name, tmp_path)
    plan, folder = planned(config)
    monkeypatch.setenv("STAND_IN_ENDS", ends)
    (point,) = plan.points
    path = record_path(folder, point.tokens)
    code = driver.run_folder(folder)
    if ends in ("killed", "half_a_checkpoint"):
        assert (code, path.exists()) == (EXIT_LOST, False)
        code = driver.run_folder(folder)
    record = read_record(path)
    if ends in ("stopped", "out_of_data"):
        assert (code, record.status, record.final_loss_nats) == (1, "failed", None)
        assert "no loss at step 40" in str(record.reason)
    else:
        assert (code, record.status) == (0, "done")
        assert record.tokens == point.tokens
        assert record.params.total == point.params
        assert not [left for left in folder.rglob("*.pt") if left.is_file()]


def test_a_program_without_a_seed_has_no_replicates(tmp_path: Path) -> None:
    config = study("nanochat", tmp_path, "grid.replicates=[{size: d4, seeds: [1]}]")
    describe_sizes(config, PlainConsole(stderr=True))
    with pytest.raises(ConfigError, match="seeds, and nothing of the trainer uses it"):
        plan_study(config)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], "'1337 +' is there 0 times"),
        (["+trainer.env.MINE='{size.depth}'"], "size.depth is not known here"),
        (["trainer.command=[python,train.py]"], "and nothing of the trainer uses it"),
        (["trainer.cwd=/nowhere"], "trainer.cwd is /nowhere"),
        (["trainer.read.loss=somewhere"], "trainer.read.loss is 'somewhere'; begin it with output:"),
        (["trainer.remove=[/etc]"], "only what lies in the run's own folder is deleted"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(overrides: list[str], words: str, tmp_path: Path) -> None:
    if not overrides:
        (tmp_path / "nanoGPT/train.py").write_text("torch.manual_seed(1338)")
    several = "grid.sizes=[{name: a, layers: 2, heads: 2, width: 32},{name: b, layers: 4, heads: 4, width: 64}]"
    with pytest.raises(ConfigError) as told:
        planned(study("nanogpt", tmp_path, several, *overrides))
    assert words in str(told.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain_gpt", "shell"])
def test_the_examples_train(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain loop, by its command line and by SCALING_* alone."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.txt").write_text("the quick brown fox jumps over the lazy dog. " * 400)
    monkeypatch.chdir(ROOT)
    monkeypatch.setitem(SIZES, name, ("{name: w16, width: 16, layers: 2}", "256"))
    plan, folder = planned(study(name, tmp_path, f"+recipe.text={tmp_path / 'texts'}"))
    assert driver.run_folder(folder) == 0
    (point,) = plan.points
    record = read_record(record_path(folder, point.tokens))
    assert record.status == "done"
    assert record.final_loss_nats is not None
    assert 1.0 < record.final_loss_nats < 5.6
    assert len((folder / "curve-trunk.jsonl").read_text().splitlines()) == 2
