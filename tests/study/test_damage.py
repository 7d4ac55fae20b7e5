"""Files of a study that were cut, edited, copied or are somebody else's: named, passed over or refused, never a
traceback; and what was damaged is trained again."""

import importlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scaling import fit, status
from scaling.command import told_in_one_paragraph
from scaling.config import StudyConfig, stored_config, stored_plan
from scaling.curves import curve_path, read_curve
from scaling.exits import EXIT_BAD_CONFIG, EXIT_DONE, EXIT_FAILED
from scaling.folders import FolderError
from scaling.launching import kept
from scaling.launching.slots import Slot
from scaling.launching.workers import FreshWorkers
from scaling.records import LaterRecord, is_done, read_records, record_path, recorded
from scaling.specs import Plan, read_plan
from scaling.stages.study import list_tasks, write_jobs
from scaling.train import run_one
from scaling.training.worker import run_folder
from scaling.values import ValueMismatch
from tests.planted_study import planted_study
from tests.tiny_run import make_run, make_spec

Edit = Callable[[dict], object]  # type: ignore[type-arg]
OPTIONS = ("fit.bootstrap=0", "fit.figures=false")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyConfig, Plan]:
    folder = tmp_path_factory.mktemp("pristine")
    config, plan = planted_study(folder, *OPTIONS)
    return folder, replace(config, runs="runs", cache="cache"), plan


@pytest.fixture
def study(
    pristine: tuple[Path, StudyConfig, Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[StudyConfig, Plan]:
    folder, config, plan = pristine
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return config, plan


recommend = importlib.import_module("scaling.recommend")  # the command: `scaling.recommend` is the function


def run(command: object, *arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)  # type: ignore[attr-defined]
    assert isinstance(ended.value.code, int)
    return ended.value.code


def edited(path: Path, edit: Edit) -> None:
    plain = json.loads(path.read_text())
    edit(plain)
    path.write_text(json.dumps(plain))


RECORDS: dict[str, Edit | str] = {
    "cut": '{"schema": 2, "run_',
    "a loss below zero": lambda r: r.update(final_loss_nats=-1.0),
    "no number": lambda r: r.update(final_loss_nats=float("nan")),
    "beyond numbers": lambda r: r.update(seconds=10**400),
    "no date": lambda r: r["provenance"].update(finished_at="2026-13-45"),
    "of another run": lambda r: r.update(run_id="14k-wsd-s0-0123456789"),
    "of another budget": lambda r: r.update(budget_tokens=128),
    "done without a loss": lambda r: r.update(final_loss_nats=None),
    "a set that is SQL": lambda r: r.update(
        validation_sets={
            'x", "y': {
                "loss_nats": 1.0,
                "loss_sem_nats": 0.1,
                "bits_per_byte": 1.0,
                "word_perplexity": None,
                "tokens": 1,
            }
        }
    ),
}


def spoil(path: Path, how: Edit | str) -> None:
    if isinstance(how, str):
        path.write_text(how)
    else:
        edited(path, how)


def test_a_record_that_cannot_be_one_is_named_and_its_point_counts_as_not_trained(
    study: tuple[StudyConfig, Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    config, plan = study
    spoilt = [record_path(config.folder / p.run_id, p.tokens) for p in plan.points[: len(RECORDS)]]
    for path, how in zip(spoilt, RECORDS.values(), strict=True):
        spoil(path, how)
    assert run(status, "study=default", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["counts"] == {"done": len(plan.points) - len(spoilt), "unreadable": len(spoilt)}
    told: list[str] = []
    assert len(list(read_records(config.folder, told.append))) == len(plan.points) - len(spoilt)
    assert len(told) == len(spoilt)
    for path, point in zip(spoilt, shown["points"], strict=False):
        assert str(path) in point["reason"]
        assert any(str(path) in words and "trains its point again" in words for words in told)
    tasks = list_tasks(config, plan, plan.points, wave=1)
    assert {record_path(task.folder, budget) for task in tasks for budget in task.budgets} == set(spoilt)


def test_laws_are_fitted_without_what_is_damaged(
    study: tuple[StudyConfig, Plan], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One's own record and curve, a ledger and a pipe in the studies beside it; a report that is a link is not written,
    and the answer is told."""
    config, plan = study
    point = plan.points[3]
    spoil(record_path(config.folder / point.run_id, point.tokens), RECORDS["a loss below zero"])
    curve_path(config.folder / point.run_id, None).write_text('{"tokens": 5, "train_lo\n{"tokens": -1}\n')
    os.mkfifo(curve_path(config.folder / plan.points[-1].run_id, None))
    for name in ("cut", "pipe"):
        (tmp_path / "runs" / name).mkdir()
    (tmp_path / "runs" / "cut" / "forecasts.jsonl").write_text('{"run_id": "x", "si')
    os.mkfifo(tmp_path / "runs" / "pipe" / "forecasts.jsonl")
    (tmp_path / "home").mkdir()
    (config.folder / "report").symlink_to(tmp_path / "home")
    assert run(fit, "study=default") == EXIT_BAD_CONFIG
    told = capsys.readouterr()
    assert told.out.count(". ") > 1, "the verdict"
    assert "report/report.md leads out of" in told.err
    assert list((tmp_path / "home").iterdir()) == []
    for words in (
        f"record-{point.tokens}.json",
        "curve-trunk.jsonl, line 1",
        "curve-trunk.jsonl is no file",
        "runs/cut/forecasts.jsonl, line 1",
        "pipe",
    ):
        assert told.err.count(words) == 1, (words, told.err)
    assert "Traceback" not in told.err
    assert f"{point.run_id} at {point.tokens}" in (config.folder / "fits.json").read_text()


OWN_FILES: dict[str, Edit | str] = {
    "config.json": lambda c: c["recipe"].update(batch_tokens=-1),
    "config.json of dots": lambda c: c.update(study=".."),
    "config.json cut": '{"study": "def',
    "plan.json": lambda p: p["points"][0].update(tokens=-5),
    "plan.json without its run": lambda p: p["runs"].pop(0),
    "plan.json of a size that leads away": lambda p: p["runs"][0].update(size="../../.."),
    "plan.json of no batch": lambda p: p["runs"][0]["optimizer"].update(batch_tokens=0),
    "plan.json nested": "[" * 100_000,
    "plan.json with a key twice": '{"study": "a", "study": "b"}',
    "plan.json of digits": '{"study": ' + "9" * 5000 + "}",
}


@pytest.mark.parametrize("how", OWN_FILES)
def test_a_file_of_the_study_that_cannot_be_is_one_sentence(
    how: str, study: tuple[StudyConfig, Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    config, _ = study
    name = how.split()[0]
    spoil(config.folder / name, OWN_FILES[how])
    codes: list[int] = []
    with told_in_one_paragraph(codes):
        stored_plan(replace(stored_config(config.folder), runs="runs"))
    assert codes == [EXIT_BAD_CONFIG]
    told = capsys.readouterr().err
    assert name in told
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert len(told) < 1000


def test_every_command_says_so(study: tuple[StudyConfig, Plan], capsys: pytest.CaptureFixture[str]) -> None:
    config, _ = study
    before = {path for path in Path().rglob("*") if not path.name.startswith(".")}
    for command, *arguments in ((status,), (fit,), (recommend, "flops=1e14")):
        spoil(config.folder / "plan.json", '{"study": ')
        assert run(command, "study=default", *arguments) == EXIT_BAD_CONFIG
        told = capsys.readouterr().err
        assert "plan.json is not JSON" in told
        assert told.count("\n") == 1
    assert {path for path in Path().rglob("*") if not path.name.startswith(".")} == before


def test_a_record_of_a_later_version_is_not_trained_over(study: tuple[StudyConfig, Plan]) -> None:
    config, plan = study
    point = plan.points[0]
    edited(record_path(config.folder / point.run_id, point.tokens), lambda r: r.update(schema=99))
    with pytest.raises(LaterRecord, match="record schema 99"):
        is_done(config.folder / point.run_id, (point.tokens,))


@pytest.mark.parametrize("damage", ["cut", "a folder", "of another run"])
def test_a_damaged_record_is_kept_aside_and_its_point_trained_to_the_same_loss(
    damage: str, tmp_path: Path, corpus_folder: Path
) -> None:
    spec = make_spec(steps=(8, 12))
    _, folder = make_run(tmp_path, spec, corpus_folder)
    assert run_folder(folder) == EXIT_DONE
    path = record_path(folder, spec.budgets[0])
    first = recorded(folder, spec.budgets[0])
    assert first is not None
    if damage == "a folder":
        path.unlink()
        path.mkdir()
    else:
        spoil(path, '{"schema"' if damage == "cut" else RECORDS["of another run"])
    assert recorded(folder, spec.budgets[0]) is None
    assert run_folder(folder) == EXIT_DONE
    again = recorded(folder, spec.budgets[0])
    assert again is not None
    assert again.final_loss_nats == first.final_loss_nats
    assert path.with_suffix(".damaged").exists()


def test_a_curve_keeps_the_lines_that_are_whole(tmp_path: Path) -> None:
    row = '{"tokens": 5, "train_loss_nats": 2.0, "learning_rate": 0.1, "grad_norm": null, "tokens_per_second": null}'
    path = tmp_path / "curve-trunk.jsonl"
    path.write_text("\n".join([row, row[:30], row, '{"tokens": "many"}', "null", row]))  # the last is being written
    told: list[str] = []
    assert [r.tokens for r in read_curve(path, told.append)] == [5, 5]
    assert [words.partition(" cannot")[0] for words in told] == [f"{path}, line {i}," for i in (2, 4, 5)]


def test_a_plan_is_read_as_it_was_written(study: tuple[StudyConfig, Plan]) -> None:
    config, plan = study
    assert read_plan(config.folder / "plan.json") == plan
    (config.folder / "plan.json").unlink()
    os.mkfifo(config.folder / "plan.json")
    with pytest.raises(ValueMismatch, match="is no file"):
        read_plan(config.folder / "plan.json")


def test_a_study_that_was_received_writes_through_none_of_its_links(tmp_path: Path, corpus_folder: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").write_text("mine")
    spec = make_spec(steps=(8, 12))
    _, folder = make_run(tmp_path / "study", spec, corpus_folder)
    for name in ("curve-trunk.jsonl", "log.txt"):
        (folder / name).symlink_to(home / "thesis.tex")
    with pytest.raises(OSError, match="symbolic link"):
        run_folder(folder)
    assert run_one(folder) == EXIT_FAILED
    with pytest.raises(OSError, match="symbolic link"):
        kept._log_to(folder)
    with pytest.raises(OSError, match="symbolic link"):
        FreshWorkers().start(folder, Slot("cpu", (), {}))
    assert (home / "thesis.tex").read_text() == "mine"


def test_no_job_goes_into_a_runs_folder_that_is_a_link(study: tuple[StudyConfig, Plan], tmp_path: Path) -> None:
    config, plan = study
    point = plan.points[0]
    shutil.rmtree(config.folder / point.run_id)
    (tmp_path / "home").mkdir()
    (config.folder / point.run_id).symlink_to(tmp_path / "home")
    with pytest.raises(FolderError, match="leads out of"):
        write_jobs(config, plan, dict.fromkeys({run.corpus for run in plan.runs}, tmp_path), [point])
    assert list((tmp_path / "home").iterdir()) == []
