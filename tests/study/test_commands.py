"""The commands as a person types them: a study from end to end, interrupted and repeated, and mistakes refused."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from scaling.laws.registry import forms
from scaling.store import data_hash
from tests.words import write_documents

ROOT = Path(__file__).parents[2]
SIZES = "[{name: a, num_layers: 1, d_model: 8, num_heads: 1}, {name: b, num_layers: 1, d_model: 16, num_heads: 1}, "
SIZES += "{name: c, num_layers: 2, d_model: 16, num_heads: 1}, {name: d, num_layers: 2, d_model: 24, num_heads: 2}]"


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of words drawn by a fixed rule, enough for a tiny study."""
    return write_documents(tmp_path_factory.mktemp("text"), documents=40, words_each=300)


def command(folder: Path, text: Path, *overrides: str, module: str = "sweep") -> list[str]:
    corpus = ["data=local", f"data.source.path={text}", "data.validation_fraction=0.1", f"cache={folder / 'cache'}"]
    if module == "prepare":
        return [sys.executable, "-m", "scaling.prepare", *corpus, *overrides]
    return [
        sys.executable,
        "-m",
        f"scaling.{module}",
        "experiment=tiny",
        *corpus,
        f"grid.sizes={SIZES}",
        "grid.replicates=[{size: a, seeds: [1], budgets: [16000]}]",
        f"runs={folder / 'runs'}",
        "fit.bootstrap=50",
        "runtime.tensorboard=false",
        *overrides,
    ]


def run(folder: Path, text: Path, *overrides: str, module: str = "sweep") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, text, *overrides, module=module),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=300,
    )


def losses(folder: Path) -> dict[tuple[str, int], float]:
    records = [json.loads(path.read_text()) for path in (folder / "runs/tiny").glob("*/record-*.json")]
    return {(r["run_id"], r["budget_tokens"]): r["final_loss_nats"] for r in records}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, text_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    done = run(folder, text_folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_study_leaves_store_exports_fits_and_report(finished: Path) -> None:
    study = finished / "runs/tiny"
    planned = json.loads((study / "plan.json").read_text())["points"]
    assert len(losses(finished)) == len(planned) == 13
    with sqlite3.connect(study / "store.sqlite") as store:
        rows = store.execute("select run_id, tokens, final_loss_nats from points").fetchall()
    assert {(run_id, tokens): loss for run_id, tokens, loss in rows} == losses(finished)
    assert pq.read_table(study / "points.parquet").num_rows == 13
    header, *lines = (study / "points.csv").read_text().splitlines()
    column = header.split(",").index("final_loss_nats")
    assert {float(line.split(",")[column]) for line in lines} == set(losses(finished).values())
    fits = json.loads((study / "fits.json").read_text())
    assert fits["schema"] == 1
    assert fits["fits"][0]["law"] == "chinchilla"
    assert {fit["law"] for fit in fits["fits"]} >= set(forms("report"))
    assert "<html" in (study / "report/index.html").read_text()
    assert (study / "report/report.md").exists()


def test_forecasts_are_older_than_the_runs_they_predict(finished: Path) -> None:
    study = finished / "runs/tiny"
    plan = json.loads((study / "plan.json").read_text())
    held_out = {(p["run_id"], p["tokens"]) for p in plan["points"] if p["held_out"]}
    ledger = [json.loads(line) for line in (study / "forecasts.jsonl").read_text().splitlines()]
    assert {(f["run_id"], f["tokens"]) for f in ledger} <= held_out
    for forecast in ledger:
        record = study / forecast["run_id"] / f"record-{forecast['tokens']}.json"
        assert forecast["made_at"] <= json.loads(record.read_text())["provenance"]["finished_at"]
        assert forecast["measured"] == losses(finished)[forecast["run_id"], forecast["tokens"]]
    # The hash names the losses that it was made from: all that are not held out, and no other.
    points = json.loads((study / "plan.json").read_text())["points"]
    wave_one = [
        (p["run_id"], p["tokens"], losses(finished)[p["run_id"], p["tokens"]]) for p in points if not p["held_out"]
    ]
    assert {forecast["data_hash"] for forecast in ledger} == {data_hash(wave_one)}


def test_a_second_sweep_trains_nothing_and_gives_the_same_report(finished: Path, text_folder: Path) -> None:
    study = finished / "runs/tiny"
    watched = [study / "report/index.html", study / "report/report.md", study / "points.csv"]
    records = {path: path.stat().st_mtime_ns for path in study.glob("*/record-*.json")}
    before = [path.read_bytes() for path in watched]
    fits = json.loads((study / "fits.json").read_text())
    again = run(finished, text_folder)
    assert again.returncode == 0, again.stderr
    assert "wave" not in again.stderr
    assert {path: path.stat().st_mtime_ns for path in records} == records
    assert [path.read_bytes() for path in watched] == before
    # How long the fits took is the one thing that may differ.
    assert json.loads((study / "fits.json").read_text()) | {"seconds": fits["seconds"]} == fits


def test_a_deleted_or_broken_store_is_rebuilt_from_the_runs(finished: Path, text_folder: Path) -> None:
    store = finished / "runs/tiny/store.sqlite"
    store.write_bytes(b"no database" * 100)
    assert run(finished, text_folder, module="fit").returncode == 0
    with sqlite3.connect(store) as connection:
        assert connection.execute("select count(*) from points").fetchone() == (13,)
        assert connection.execute("select count(*) from forecasts").fetchone()[0] == len(
            (store.parent / "forecasts.jsonl").read_text().splitlines()
        )


def test_killed_and_started_again_it_gives_the_same_losses(finished: Path, tmp_path: Path, text_folder: Path) -> None:
    """kill -9 of the sweep with all that it started, when a run has just been saved and when a point has been made."""
    for sign in ("trunk.pt", "record-*.json"):
        sweep = subprocess.Popen(
            command(tmp_path, text_folder, "runtime.checkpoint_every_seconds=0.2"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            start_new_session=True,
        )
        wait_for(tmp_path / "runs/tiny", f"*/{sign}")
        assert sweep.poll() is None
        kill_tree(sweep.pid)
        sweep.wait()
    done = run(tmp_path, text_folder)
    assert done.returncode == 0, done.stderr
    assert losses(tmp_path) == losses(finished)
    assert not list((tmp_path / "runs").rglob("*.tmp"))


def wait_for(folder: Path, pattern: str) -> None:
    deadline = time.monotonic() + 200
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline, f"200 s went by without {pattern}"
        time.sleep(0.02)


def kill_tree(pid: int) -> None:
    """Kill a process and those below it, who lead sessions of their own; parents first, so that nobody is replaced."""
    below = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    for child in below.stdout.split():
        kill_tree(int(child))


def test_interrupted_it_says_so_and_leaves_a_state_to_go_on_from(tmp_path: Path, text_folder: Path) -> None:
    assert run(tmp_path, text_folder, module="prepare").returncode == 0
    sweep = subprocess.Popen(
        command(tmp_path, text_folder), stderr=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True
    )
    study = tmp_path / "runs/tiny"
    wait_for(study, "*/status.json")
    sweep.send_signal(signal.SIGINT)
    _, told = sweep.communicate(timeout=200)
    assert sweep.returncode == 130
    assert "the same command goes on from here" in told
    assert not list(study.glob("*/.*.tmp"))


def test_a_dry_run_prints_every_point_and_writes_nothing(tmp_path: Path, text_folder: Path) -> None:
    done = run(tmp_path, text_folder, "dry_run=true", "columns=all")
    assert done.returncode == 0, done.stderr
    for heading in (
        "N total",
        "N non-emb",
        "D tokens",
        "C FLOPs",
        "Kaplan",
        "batch",
        "warmup",
        "LR",
        "epochs",
        "held out",
    ):
        assert heading in done.stdout
    assert done.stdout.count("yes") == 3
    assert list(tmp_path.iterdir()) == []
    plan = json.loads(run(tmp_path, text_folder, "dry_run=true", "json=true").stdout)
    assert len(plan["points"]) == 13


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("grid.sizs=3",), "grid.sizs"),
        (("+grid.sizs=3",), "grid has the unknown key 'sizs'"),
        (("runtime.threads=many",), "runtime.threads is 'many'; it must be a whole number"),
        (("grid.sizes=[{name: a, num_layers: 2, d_model: 40, num_heads: 3}]",), "does not divide model.d_model = 40"),
        (("recipe.warmup_min_steps=500",), "not more than the warmup of 500 steps"),
        (("recipe.batch_tokens=65536",), "a batch of 65536 tokens is larger than a budget"),
        (("recipe.batch_tokens=8",), "less than one context of 32 tokens"),
        (("data.validation_fraction=2",), "must be above 0 and below 1"),
        (("recipe=nothing",), "nothing"),
    ],
)
def test_a_mistake_is_one_paragraph_and_writes_nothing(
    overrides: tuple[str, ...], words: str, tmp_path: Path, text_folder: Path
) -> None:
    done = run(tmp_path, text_folder, *overrides)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_status_and_a_single_point(tmp_path: Path, text_folder: Path) -> None:
    trained = run(tmp_path, text_folder, "point=1", module="train")
    assert trained.returncode == 0, trained.stderr
    assert len(losses(tmp_path)) == 1
    outside = run(tmp_path, text_folder, "point=99", module="train")
    assert outside.returncode == 2
    assert "0 to 12" in outside.stderr


def test_status_of_a_finished_study(finished: Path, text_folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    done = run(finished, text_folder, "json=true", module="status")
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before, "it never writes"
    told = json.loads(done.stdout)
    assert told["cost"]["flops_left"] == 0 == told["cost"]["seconds_left"]
    assert told["cost"]["flops"] > 0 < told["cost"]["core_hours"]
    points = json.loads(done.stdout)["points"]
    assert [point["state"] for point in points] == ["done"] * 13


def test_hydra_multirun_trains_several_points(tmp_path: Path, text_folder: Path) -> None:
    """Also through somebody else's launcher; Hydra leaves nothing of its own behind."""
    for launcher, points, expected in (("pool", "0,3", 2), ("basic", "0,1", 3)):
        arguments = [*command(tmp_path, text_folder, f"point={points}", f"hydra/launcher={launcher}", module="train")]
        done = subprocess.run([*arguments, "-m"], capture_output=True, text=True, check=False, cwd=ROOT, timeout=300)
        assert done.returncode == 0, done.stderr
        assert len(losses(tmp_path)) == expected
        assert not (tmp_path / "runs/tiny/report").exists()
    assert not list(tmp_path.rglob("multirun.yaml"))
    assert not (ROOT / "multirun.yaml").exists()
