"""A Slurm job that is told to go, with planted commands of Slurm: when it comes back, and when no more."""

import signal
from pathlib import Path

import pytest

from scaling.exits import EXIT_FAILED, EXIT_REQUEUE
from scaling.launching.batches import SlurmOptions
from scaling.launching.slurm import Submission
from scaling.records import record_path
from scaling.stages.slurm_job import FRUITLESS_COMEBACKS, run_group

RUNS = ("a-wsd-s0-1", "b-wsd-s0-2")


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs that one job shall train; what `scontrol` is asked goes to a file, and it answers what another says."""
    folder = tmp_path / "study"
    for run in RUNS:
        (folder / run).mkdir(parents=True)
    (folder / "slurm").mkdir()
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\necho "JobId=7 JobState=$(cat {tmp_path}/state) x"\n'
    )
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scontrol.parent}:/usr/bin:/bin")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    return folder


def told_to_go(study: Path, state: str = "RUNNING") -> int:
    """The exit code of the job that trains both runs, told before it begins."""
    (study.parent / "state").write_text(state)
    submission = Submission(number=1, kind="runs", wave=1, groups=(RUNS,), seconds=1.0)
    return run_group(study, submission, RUNS, [signal.SIGUSR1])


def requeued(study: Path) -> int:
    return (study.parent / "asked").read_text().splitlines().count("requeue 7")


def test_a_running_job_comes_back_and_a_cancelled_one_does_not(study: Path) -> None:
    assert told_to_go(study, "COMPLETING") == EXIT_REQUEUE
    assert requeued(study) == 0
    assert told_to_go(study) == EXIT_REQUEUE
    assert requeued(study) == 1


def test_a_job_that_never_gets_to_save_anything_stays_away(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codes = [told_to_go(study) for _ in range(FRUITLESS_COMEBACKS + 1)]
    assert codes == [EXIT_REQUEUE] * FRUITLESS_COMEBACKS + [EXIT_FAILED]
    assert requeued(study) == FRUITLESS_COMEBACKS
    assert "hydra.launcher.time_limit" in capsys.readouterr().out


def test_a_count_that_cannot_be_read_begins_anew(study: Path) -> None:
    assert told_to_go(study) == EXIT_REQUEUE
    (count,) = (study / "slurm" / "comebacks").iterdir()
    count.write_text('{"fruitl')
    assert told_to_go(study) == EXIT_REQUEUE
    assert requeued(study) == 2


@pytest.mark.parametrize("saved", ["trunk.pt", record_path(Path(), 1000).name])
def test_what_is_saved_gives_it_new_tries(saved: str, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(FRUITLESS_COMEBACKS):
        told_to_go(study)
    job_state = "scaling.launching.slurm.job_state"

    def running_while_something_is_saved(job_id: str) -> str:
        (study / RUNS[1] / saved).touch()
        return "RUNNING"

    with monkeypatch.context() as patch:
        patch.setattr(job_state, running_while_something_is_saved)
        assert told_to_go(study) == EXIT_REQUEUE
    assert [told_to_go(study) for _ in range(FRUITLESS_COMEBACKS)] == [EXIT_REQUEUE] * FRUITLESS_COMEBACKS
    assert told_to_go(study) == EXIT_FAILED


def test_a_notice_as_long_as_the_job_is_refused() -> None:
    SlurmOptions(time_limit=2, notice_seconds=90)
    for limit, notice in ((2, 120), ("2", 200), (None, 900)):
        with pytest.raises(ValueError, match=r"notice_seconds is .* would be told to go before it begins"):
            SlurmOptions(time_limit=limit, notice_seconds=notice)
