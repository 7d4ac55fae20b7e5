"""Full disks, folders that cannot be written, two sweeps at once, other hosts, clocks that jump, copied folders."""

import errno
import json
import logging
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from scaling import claims
from scaling.exits import EXIT_BUSY, EXIT_DONE, EXIT_FAILED
from scaling.launching.pool import PoolOptions, run_pool
from scaling.launching.slots import make_slots
from scaling.launching.tasks import Task
from scaling.launching.workers import FreshWorkers
from scaling.records import RunStatus, record_path
from scaling.training import checkpoint
from scaling.training.worker import run_folder
from scaling.values import read_json, write_atomically, write_json
from tests.study.test_commands import ROOT, command, finished, losses, run, text_folder
from tests.tiny_run import BATCH, make_run, make_spec

__all__ = ["finished", "text_folder"]

SPEC = make_spec(steps=(20, 30))


def loss(folder: Path) -> float:
    return float(json.loads(record_path(folder, BATCH * 30).read_text())["final_loss_nats"])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, corpus_folder: Path) -> float:
    _, folder = make_run(tmp_path_factory.mktemp("undisturbed"), SPEC, corpus_folder)
    assert run_folder(folder) == EXIT_DONE
    return loss(folder)


def test_a_full_disk_fails_the_run_and_leaves_nothing_half(
    tmp_path: Path, corpus_folder: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: float
) -> None:
    """Whatever was whole stays, and with space again the run goes on from there to the same loss."""
    _, folder = make_run(tmp_path, SPEC, corpus_folder)
    calls: list[Path] = []

    def full_at_the_second(path: Path, *arguments: object) -> None:
        calls.append(path)
        if len(calls) >= 2:
            path.with_name(f".{path.name}.1.tmp").write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        write_atomically(path, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_atomically", full_at_the_second)
        with pytest.raises(OSError, match="No space left"):
            run_folder(folder)
    told = read_json(RunStatus, folder / "status.json")
    assert (told.state, told.error) == ("failed", "OSError: [Errno 28] No space left on device")
    assert run_folder(folder) == EXIT_DONE
    assert loss(folder) == undisturbed
    assert not list(folder.glob(".*.tmp"))


def test_a_folder_that_cannot_be_written_is_one_paragraph(tmp_path: Path, text_folder: Path) -> None:
    """/proc stands for a read-only disk: permissions alone do not stop a superuser."""
    assert run(tmp_path, text_folder, module="prepare").returncode == 0
    done = run(tmp_path, text_folder, "runs=/proc/runs")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "runs=" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow  # two whole sweeps
def test_two_sweeps_of_one_study_at_once_share_the_work(finished: Path, tmp_path: Path, text_folder: Path) -> None:
    assert run(tmp_path, text_folder, module="prepare").returncode == 0
    sweeps = [
        subprocess.Popen(
            command(tmp_path, text_folder, "fit.figures=false"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(2)
    ]
    for sweep in sweeps:
        _, told = sweep.communicate(timeout=400)
        assert sweep.returncode == 0, told
    assert losses(tmp_path) == losses(finished)
    for path in (tmp_path / "runs" / "tiny").glob("*/curve-*.jsonl"):
        tokens = [json.loads(line)["tokens"] for line in path.read_text().splitlines()]
        assert tokens == sorted(tokens), "two processes wrote one curve"


def test_a_worker_clears_what_a_kill_left_not_what_others_write(tmp_path: Path, corpus_folder: Path) -> None:
    _, folder = make_run(tmp_path, SPEC, corpus_folder)
    for name in (".trunk.pt.77.tmp", ".job.json.78.tmp"):
        (folder / name).write_bytes(b"half")
    assert run_folder(folder) == EXIT_DONE
    assert [path.name for path in folder.glob(".*.tmp")] == [".job.json.78.tmp"]
    (tmp_path / "received").mkdir()
    (tmp_path / "received" / ".lock").symlink_to(tmp_path / "thesis.tex")
    claims.tidy(tmp_path)
    assert not (tmp_path / "thesis.tex").exists()
    assert not list(folder.glob(".*.tmp"))


def claimed_by_another_host(folder: Path, queue_id: str | None = None) -> RunStatus:
    said = RunStatus("running", 7, 30, 1.0, time.time(), "another-host", 1, queue_id=queue_id)
    write_json(folder / "status.json", said)
    return said


def test_a_host_whose_locks_are_not_seen_is_seen_by_its_heartbeat(
    tmp_path: Path, corpus_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.2)
    _, folder = make_run(tmp_path, SPEC, corpus_folder)
    claimed_by_another_host(folder)
    over = threading.Event()

    def beat() -> None:
        while not over.wait(0.1):
            claimed_by_another_host(folder)

    heart = threading.Thread(target=beat)
    heart.start()
    assert run_folder(folder) == EXIT_BUSY
    over.set()
    heart.join()
    assert run_folder(folder) == EXIT_DONE, "the other host is silent now"


def test_a_requeued_job_knows_its_own_last_word(
    tmp_path: Path, corpus_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another node, its host's last word is its own: it need not wait for a heartbeat."""
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 1e6)
    _, folder = make_run(tmp_path, SPEC, corpus_folder)
    claimed_by_another_host(folder, queue_id="17")
    assert run_folder(folder) == EXIT_DONE


class JumpingClock:
    """An hour forth and two back at every other reading."""

    def __init__(self) -> None:
        self._time, self.readings = time.time(), 0

    def __call__(self) -> float:
        self.readings += 1
        self._time += 3600 if self.readings % 2 else -7200
        return self._time


def test_clock_jumps_change_nothing(
    tmp_path: Path, corpus_folder: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: float
) -> None:
    _, folder = make_run(tmp_path, SPEC, corpus_folder)
    clock = JumpingClock()
    monkeypatch.setattr(time, "time", clock)
    assert run_folder(folder) == EXIT_DONE
    assert run_folder(folder) == EXIT_DONE
    assert clock.readings
    assert loss(folder) == undisturbed
    result = run_pool(
        [Task(folder, 1.0, SPEC.budgets)],
        make_slots(workers=1, threads=1, use_gpus=False),
        FreshWorkers(),
        options=PoolOptions(),
    )
    assert result.done == [folder.name]


def test_a_copied_run_folder_is_refused(tmp_path: Path, corpus_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, folder = make_run(tmp_path, SPEC, corpus_folder)
    other = tmp_path / make_spec(steps=(20,), qk_norm=False).id
    shutil.copytree(folder, other)
    with caplog.at_level(logging.ERROR):
        assert run_folder(other) == EXIT_FAILED
    assert "was copied or edited by hand" in caplog.text
    assert not list(other.glob("record-*"))
