"""The worker as a process: signals, locks, exit codes, kills."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from scaling.exits import EXIT_BUSY, EXIT_DONE, EXIT_FAILED, EXIT_REQUEUE
from scaling.records import RunStatus, read_record, record_path
from scaling.values import read_json
from tests.tiny_run import make_run, make_spec

LONG = (100, 300, 1200)


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "scaling.train", str(folder)], stderr=subprocess.PIPE)


def wait_until(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline, f"60 s went by without {what}"
        time.sleep(0.005)


def saved_at(folder: Path) -> int:
    trunk = folder / "trunk.pt"
    return trunk.stat().st_mtime_ns if trunk.exists() else 0


def losses(folder: Path, budgets: tuple[int, ...]) -> list[float | None]:
    return [read_record(record_path(folder, budget)).final_loss_nats for budget in budgets]


def test_terminated_it_saves_and_killed_it_resumes_to_the_same_losses(tmp_path: Path, corpus_folder: Path) -> None:
    spec = make_spec(steps=LONG)
    settings = {"checkpoint_every_seconds": 0.1}
    _, straight = make_run(tmp_path / "straight", spec, corpus_folder, **settings)
    _, disturbed = make_run(tmp_path / "disturbed", spec, corpus_folder, **settings)

    worker = start(disturbed)
    wait_until((disturbed / "status.json").exists, "a first word")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == EXIT_REQUEUE
    assert read_json(RunStatus, disturbed / "status.json").state == "interrupted"
    assert (disturbed / "trunk.pt").exists()

    before = saved_at(disturbed)
    worker = start(disturbed)
    wait_until(lambda: saved_at(disturbed) > before, "a checkpoint")
    worker.kill()
    assert worker.wait(timeout=60) == -signal.SIGKILL

    assert start(disturbed).wait(timeout=120) == EXIT_DONE
    assert start(straight).wait(timeout=120) == EXIT_DONE
    assert losses(disturbed, spec.budgets) == losses(straight, spec.budgets)
    assert not [path.name for path in disturbed.iterdir() if path.name.endswith(".tmp")]


def test_a_second_process_leaves_the_folder_to_the_first(tmp_path: Path, corpus_folder: Path) -> None:
    _, folder = make_run(tmp_path, make_spec(), corpus_folder)
    with FileLock(folder / ".lock"):
        worker = start(folder)
        assert worker.wait(timeout=60) == EXIT_BUSY
    assert not list(folder.glob("record-*"))


def test_a_copied_folder_is_refused(tmp_path: Path, corpus_folder: Path) -> None:
    _, folder = make_run(tmp_path, make_spec(), corpus_folder)
    copied = folder.rename(tmp_path / "renamed")
    worker = start(copied)
    assert worker.wait(timeout=60) == EXIT_FAILED
    assert worker.stderr is not None
    assert b"copied or edited by hand" in worker.stderr.read()


def test_a_missing_corpus_is_told_in_the_status(tmp_path: Path) -> None:
    _, folder = make_run(tmp_path, make_spec(), tmp_path / "nowhere")
    assert start(folder).wait(timeout=60) == EXIT_FAILED
    status = json.loads((folder / "status.json").read_text())
    assert status["state"] == "failed"
    assert "nowhere" in status["error"]


def test_a_finished_folder_is_left_as_it_is(tmp_path: Path, corpus_folder: Path) -> None:
    spec = make_spec(steps=(20,))
    _, folder = make_run(tmp_path, spec, corpus_folder)
    assert start(folder).wait(timeout=60) == EXIT_DONE
    before = record_path(folder, spec.budgets[0]).stat().st_mtime_ns
    assert start(folder).wait(timeout=60) == EXIT_DONE
    assert record_path(folder, spec.budgets[0]).stat().st_mtime_ns == before
