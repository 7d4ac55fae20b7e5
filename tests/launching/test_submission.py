"""What a study hands to Slurm: which runs share a job, which jobs an array, what each asks for and waits for."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.config import StudyConfig
from scaling.launching.batches import JobGroup, SlurmOptions, arrays, group_tasks, script
from scaling.launching.tasks import Task
from scaling.stages.on_slurm import submit_study
from tests.test_configs import load

SECONDS = st.lists(st.floats(0.1, 1e5), max_size=40)


def tasks(seconds: list[float]) -> list[Task]:
    return [Task(Path(f"run{i}"), each, (1,)) for i, each in enumerate(seconds)]


@given(SECONDS, st.floats(0.0, 1e4))
def test_every_run_is_in_one_job_that_is_worth_queueing(seconds: list[float], least: float) -> None:
    groups = group_tasks(tasks(seconds), least)
    assert sorted(run for group in groups for run in group.run_ids) == sorted(f"run{i}" for i in range(len(seconds)))
    assert all(group.seconds >= least for group in groups[:-1]), "the last has what is left"
    assert all(group.seconds <= least + max(seconds) for group in groups), "and no longer than it need be"
    longest_first = [seconds[int(group.run_ids[0].removeprefix("run"))] for group in groups]
    assert longest_first == sorted(longest_first, reverse=True)


@given(SECONDS, st.integers(1, 10))
def test_an_array_has_one_class_of_time_limit_and_a_size_that_slurm_takes(seconds: list[float], most: int) -> None:
    groups = group_tasks(tasks(seconds), 0.0)
    pieces = list(arrays(groups, most, None))
    assert sorted(group.run_ids for piece in pieces for group in piece) == sorted(group.run_ids for group in groups)
    assert all(len(piece) <= most and len({group.limit_minutes for group in piece}) == 1 for piece in pieces)
    limits = [piece[0].limit_minutes for piece in pieces]
    assert limits == sorted(limits, reverse=True)
    assert sum(len(piece) < most for piece in arrays(groups, most, "2:00:00")) <= 1, "one class where one is given"


@pytest.mark.parametrize(("seconds", "minutes"), [(1, 15), (190, 15), (210, 60), (1e4, 720), (1e6, 1440)])
def test_a_job_asks_for_thrice_its_time_and_some_to_start(seconds: float, minutes: int) -> None:
    assert JobGroup(("run",), seconds).limit_minutes == minutes


def test_the_script_becomes_its_step() -> None:
    """Slurm's notice reaches steps, and srun does not know the job's cores by itself."""
    *_, setup, path, last = script(SlurmOptions(setup=("module load cuda",)), ["-m", "x", "a b"], cpus=3).splitlines()
    assert setup == "module load cuda"
    assert path.startswith("export PYTHONPATH=")
    assert re.fullmatch(r"exec srun --ntasks=1 --cpus-per-task=3 \S+ -m x 'a b'", last)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyConfig:
    """A study on a planted Slurm with an empty queue: `sbatch` notes what it is asked and answers with 1, 2, 3 ..."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (
        ("sbatch", f'cat >/dev/null\necho "$@" >>{tmp_path}/asked\nwc -l <{tmp_path}/asked'),
        ("squeue", "true"),
        ("scontrol", "echo 'MaxArraySize = 3'"),
    ):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return load(f"runs={tmp_path}", "study=s", "launch.then_fit=true", "launch.min_seconds_per_job=0", "retry=2")


def asked(study: StudyConfig) -> list[str]:
    return (Path(study.runs) / "asked").read_text().splitlines()


def test_waves_wait_for_each_other_and_the_fit_for_all(study: StudyConfig) -> None:
    """The fit comes whatever became of the points; held-out points only after their forecasts were written."""
    first, second = tasks([60.0] * 4), [Task(Path("held-out"), 60.0, (1,))]
    assert submit_study(study, SlurmOptions(partition="low"), [first, second], forecast=True)
    wave1, rest, forecast, wave2, fit = asked(study)
    assert "--array=0-2 " in wave1
    assert "--array=0-0 " in rest, "an array of three is the most that this Slurm takes"
    assert "--dependency" not in wave1 + rest
    assert "--dependency=afterany:1:2 " in forecast
    assert "--dependency=afterok:3 " in wave2
    assert "--dependency=afterany:1:2:3:4 " in fit
    assert all("--partition=low" in line and "--requeue" in line for line in asked(study))
    told = [json.loads(path.read_text()) for path in sorted(study.folder.glob("slurm/*.json"))]
    assert [(each["kind"], each["job_id"], each["retry"]) for each in told] == [
        ("runs", "1", 2), ("runs", "2", 2), ("forecast", "3", 2), ("runs", "4", 2), ("fit", "5", 2),
    ]  # fmt: skip


def test_nothing_left_is_nothing_submitted(study: StudyConfig) -> None:
    assert not submit_study(study, SlurmOptions(), [[], []], forecast=True)
    assert not (Path(study.runs) / "asked").exists()
