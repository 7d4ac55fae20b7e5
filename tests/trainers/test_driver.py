"""A program of somebody else's, one run of it: how it may end, and what then stands in the run's folder."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scaling.claims import is_claimed
from scaling.exits import EXIT_LOST
from scaling.model.config import ModelConfig
from scaling.model.external import ExternalModel
from scaling.planning.external import program_of
from scaling.records import JOB_FILE, LOG_FILE, STOP_FILE, RunRecord, read_record, record_path
from scaling.specs import Optimizer, RunSpec, Schedule
from scaling.trainers.config import ResumeOptions, TrainerConfig
from scaling.trainers.program import FileOptions
from scaling.training.config import Job, Runtime
from scaling.training.external import driver
from scaling.values import read_json, write_json
from tests.trainers import recipes

STAND_IN = Path(__file__).with_name("stand_in.py")
COMMAND = (
    *(sys.executable, str(STAND_IN), "--width={size.width}", "--steps={steps}", "--batch={batch_tokens}"),
    *("--seed={seed}", "--out={out}"),
)
READ = {
    "params": r"output: ^total : ([\d,]+)",
    "loss": r"output: ^step (?P<step>[\d,]+) .*val (?P<loss>\S+)",
    "diverged": "output: FAIL$",
}
RESUME = ResumeOptions(r"{out}/ckpt-(?P<at>\d+).pt", ("--from={at}",))


def trainer(ends: str = "well", **changes: Any) -> TrainerConfig:
    asked: dict[str, Any] = {"resume": RESUME, "describe": {"params": "{24 * size.width**2}"}, "read": dict(READ)}
    return TrainerConfig(**{**asked, "command": (*COMMAND, f"--ends={ends}"), **changes})


def run_of(study: Path, mine: TrainerConfig, steps: int = 100, width: int = 16) -> Path:
    """The folder of a run whose job is written."""
    params = 24 * width**2
    model = ModelConfig(1, 1, 1, 1, 1, 1, "learned", external=ExternalModel({"width": width}, params, 6 * params))
    spec = RunSpec(
        size=f"w{width}", model=model, optimizer=Optimizer(64, 0.003, *(0.0,) * 7), schedule=Schedule("own", 0),
        corpus="its own", unique_tokens=None, init_seed=0, data_seed=0, budgets=(64 * steps,),
        program=program_of(mine, recipes.PLAIN),
    )  # fmt: skip
    folder = study / spec.id
    folder.mkdir(parents=True)
    write_json(folder / JOB_FILE, Job(spec, Runtime(), "", trainer=mine))
    return folder


def record_of(folder: Path) -> RunRecord:
    spec = read_json(Job, folder / JOB_FILE).spec
    return read_record(record_path(folder, spec.budgets[-1]))


def starts(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "starts.log").read_text().split()]


def test_a_run_becomes_a_record_and_is_not_done_again(tmp_path: Path) -> None:
    folder = run_of(tmp_path, trainer(remove=("{out}/*.pt",)))
    assert driver.run_folder(folder) == 0
    record = record_of(folder)
    assert record.status == "done"
    assert record.tokens == 6400
    assert record.params.total == 24 * 16**2
    expected = 1.7 + 40 / (24 * 16**2) ** 0.35 + 60 / 6400**0.32
    assert record.final_loss_nats == pytest.approx(expected, abs=5.1e-5)
    assert record.loss_sem_nats == pytest.approx(5e-5 / 3**0.5)  # four decimals were printed
    assert not list((folder / "out").glob("*.pt"))
    assert len((folder / "curve-trunk.jsonl").read_text().splitlines()) == 10
    record_path(folder, 6400).unlink()
    assert driver.run_folder(folder) == 0
    assert starts(folder) == [0]
    assert record_of(folder).final_loss_nats == record.final_loss_nats


@pytest.mark.parametrize(
    ("ends", "status", "words"),
    [
        (
            "out_of_data",
            "failed",
            "exit code 0 and no loss at step 100 (step 50 was read)",
        ),
        ("crash", "failed", "exit code 1 and no loss at step 100"),
        ("out_of_memory", "out_of_memory", "CUDA out of memory"),
        ("diverged", "diverged", "the program says so"),
        ("nan", "diverged", "its loss is nan at step 50"),
        ("other_size", "failed", "it has 12,288 parameters where 6,144 were planned"),
    ],
)
def test_what_ends_badly_is_a_record_with_a_reason_and_no_loss(
    tmp_path: Path, ends: str, status: str, words: str
) -> None:
    folder = run_of(tmp_path, trainer(ends, resume=False))
    code = driver.run_folder(folder)
    record = record_of(folder)
    assert record.status == status
    assert words in str(record.reason)
    assert record.final_loss_nats is None
    assert code == (1 if status == "failed" else 0)
    assert (folder / LOG_FILE).exists()


def test_what_failed_is_tried_again_by_the_next_start(tmp_path: Path) -> None:
    folder = run_of(tmp_path, trainer("crash", resume=False))
    assert driver.run_folder(folder) == 1
    job = read_json(Job, folder / JOB_FILE)
    write_json(folder / JOB_FILE, replace(job, trainer=trainer()))
    assert driver.run_folder(folder) == 0
    assert record_of(folder).status == "done"


def test_a_killed_program_goes_on_from_its_newest_checkpoint(tmp_path: Path) -> None:
    folder = run_of(tmp_path, trainer("killed"))
    assert driver.run_folder(folder) == EXIT_LOST
    assert not record_path(folder, 6400).exists()
    assert driver.run_folder(folder) == 0
    assert starts(folder) == [0, 50]
    assert record_of(folder).status == "done"


def test_half_a_checkpoint_gives_way_to_the_one_before(tmp_path: Path) -> None:
    folder = run_of(tmp_path, trainer("half_a_checkpoint"))
    assert driver.run_folder(folder) == EXIT_LOST
    assert driver.run_folder(folder) == 0
    assert starts(folder) == [0, 51, 50]


def test_a_program_whose_own_checkpoint_is_broken_begins_anew(tmp_path: Path) -> None:
    """Where the command is the same after a stop, nothing can be said to it but by an empty folder."""
    script = tmp_path / "train.sh"
    script.write_text(
        'echo start >> "$1/../starts.log"\n'
        '[ -e "$1/half" ] && { echo "cannot load"; exit 1; }\n'
        '[ -e "$1/../been" ] || { touch "$1/../been" "$1/half"; kill -9 $$; }\n'
        'echo "step 100 val 3.5"\n'
    )
    read = {"loss": r"output: step (?P<step>\d+) val (?P<loss>\S+)"}
    mine = trainer(command=("bash", str(script), "{out}"), resume=True, read=read, uses=("all",))
    folder = run_of(tmp_path / "study", mine)
    assert driver.run_folder(folder) == EXIT_LOST
    assert driver.run_folder(folder) == 0
    assert (folder / "starts.log").read_text() == 3 * "start\n"


def test_what_we_stopped_is_interrupted_though_it_exits_with_0(tmp_path: Path) -> None:
    folder = run_of(tmp_path, trainer(command=(*COMMAND, "--sleep=0.05")))
    process = subprocess.Popen([sys.executable, "-m", "scaling.train", str(folder)], stderr=subprocess.PIPE)
    wait_for(lambda: "step 10 " in (folder / LOG_FILE).read_text() if (folder / LOG_FILE).exists() else False)
    process.terminate()
    assert process.wait(30) == 75
    assert not record_path(folder, 6400).exists()
    assert json.loads((folder / "status.json").read_text())["state"] == "interrupted"


def test_a_program_that_outlives_its_driver_holds_the_run(tmp_path: Path) -> None:
    folder = run_of(tmp_path, trainer(command=(*COMMAND, "--sleep=0.03")))
    process = subprocess.Popen([sys.executable, "-m", "scaling.train", str(folder)], stderr=subprocess.DEVNULL)
    wait_for(lambda: (folder / "starts.log").exists())
    process.kill()
    process.wait()
    assert is_claimed(folder)
    assert driver.run_folder(folder) == 76
    wait_for(lambda: not is_claimed(folder))
    assert driver.run_folder(folder) == 0
    assert starts(folder) == [0]


def test_it_runs_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of our ranks and jobs, nothing on its stdin; the driver needs no torch."""
    for name in ("RANK", "WORLD_SIZE", "SLURM_JOB_ID", "MASTER_ADDR"):
        monkeypatch.setenv(name, "1")
    folder = run_of(tmp_path, trainer("closed_stdin", env={"MINE": "{steps}"}))
    code = (
        "import sys; from pathlib import Path; from scaling.training.entry import run_folder; "
        f"code = run_folder(Path({str(folder)!r})); sys.exit(code or ('torch' in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdin=subprocess.DEVNULL, timeout=60)
    names = set(json.loads((folder / "out" / "environment.json").read_text())["environment"])
    assert not {"RANK", "WORLD_SIZE", "SLURM_JOB_ID", "MASTER_ADDR"} & names
    assert {"MINE", "SCALING_STEPS", "SCALING_WIDTH", "SCALING_POINT", "SCALING_SEED"} <= names


def test_a_stop_file_and_a_limit_of_time_end_it(tmp_path: Path) -> None:
    folder = run_of(tmp_path, trainer("hang", timeout=1.0, stop_seconds=1.0))
    assert driver.run_folder(folder) == 1
    assert "more than trainer.timeout = 1 s" in str(record_of(folder).reason)
    (tmp_path / STOP_FILE).touch()
    assert driver.run_folder(folder) == 75


def test_preparation_runs_once_and_its_failure_is_told(tmp_path: Path) -> None:
    counted = ("bash", "-c", f"echo once >> {tmp_path}/prepared")
    for width in (16, 24):
        driver.run_folder(run_of(tmp_path / "study", trainer(prepare=counted), width=width))
    assert (tmp_path / "prepared").read_text() == "once\n"
    folder = run_of(tmp_path / "other", trainer(prepare=("false",)))
    assert driver.run_folder(folder) == 1
    assert "trainer.prepare ended with exit code 1" in str(record_of(folder).reason)


def test_from_python_a_point_is_asked_and_told(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def train(point):\n"
        "    for step in range(1, point.steps + 1):\n"
        "        point.log(step=step, train_loss=4.0)\n"
        "    assert point.folder.is_dir() and point.size['width'] == 16 and point.seed == 0\n"
        "    return 3.25\n"
    )
    mine = trainer(command=None, call="mine:train", cwd=str(tmp_path), read={})
    folder = run_of(tmp_path / "study", mine)
    assert driver.run_folder(folder) == 0
    assert record_of(folder).final_loss_nats == 3.25
    by_hand = "from scaling_point import point"
    path = Path(driver.__file__).parents[2] / "trainers" / "on_path"
    told = subprocess.run(
        [sys.executable, "-c", by_hand], env={**os.environ, "PYTHONPATH": str(path)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert "python -m scaling.sweep" in told.stderr
    assert "Traceback" not in told.stderr


def test_files_are_private_copies(tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text('{"width": 1, "deep": {"seed": 3}}')
    files = {"config.json": FileOptions(str(tmp_path / "base.json"), {"width": "{size.width}", "deep.seed": "{seed}"})}
    folder = run_of(tmp_path / "study", trainer(files=files))
    assert driver.run_folder(folder) == 0
    assert json.loads((folder / "out/config.json").read_text()) == {"width": 16, "deep": {"seed": 0}}


def wait_for(there: Any, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.05)
