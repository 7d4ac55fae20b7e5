"""A study of somebody else's program under thirty kills: the rows of an undisturbed one, and nothing done twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scaling.records import read_records
from scaling.training.external.starts import read_starts
from tests.trainers.test_driver import STAND_IN

pytestmark = pytest.mark.slow
KILLS = 30
TRAINER = f"""
defaults: [command]
command: [{sys.executable}, {STAND_IN}, "--width={{size.width}}", "--steps={{steps}}", "--batch={{batch_tokens}}",
  "--seed={{seed}}", "--out={{out}}", --sleep=0.02]
describe: {{params: "{{24 * size.width**2}}"}}
read: {{loss: 'output: ^step (?P<step>[\\d,]+) .*val (?P<loss>\\S+)'}}
resume: {{newest: '{{out}}/ckpt-(?P<at>\\d+).pt', add: ["--from={{at}}"]}}
"""


def sweep(folder: Path, study: str) -> subprocess.Popen[bytes]:
    sizes = ",".join(f"{{name: w{width},width: {width}}}" for width in (16, 24, 32, 48, 64))
    command = [
        *(sys.executable, "-m", "scaling.sweep", f"--config-dir={folder / 'conf'}", "trainer=mine", f"study={study}"),
        *(f"runs={folder}", f"cache={folder / 'cache'}", f"grid.sizes=[{sizes}]", "grid.replicates=[]", "retry=3"),
        *("grid.budgets=[12800,25600,51200,102400]", "recipe.batch_tokens=128", "fit.figures=false"),
        *("fit.bootstrap=100", "power.quantity=null"),
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def processes(word: str) -> list[int]:
    """Those whose command line has the word."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word in path.read_text().replace("\0", " "):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def losses(study: Path) -> dict[tuple[str, int], float | None]:
    return {(r.size, r.budget_tokens): r.final_loss_nats for r in read_records(study)}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_thirty_kills_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "conf/trainer").mkdir(parents=True)
    (tmp_path / "conf/trainer/mine.yaml").write_text(TRAINER)
    assert sweep(tmp_path, "undisturbed").wait(900) in (0, 3)
    dice, kills, deadline = random.Random(0), 0, time.monotonic() + 1500
    running = sweep(tmp_path, "disturbed")
    while kills < KILLS and time.monotonic() < deadline and len(losses(tmp_path / "disturbed")) < 20:
        time.sleep(dice.uniform(0.2, 1.5))
        if running.poll() is not None:
            running = sweep(tmp_path, "disturbed")
        elif victims := processes(f"{tmp_path}/disturbed/w"):  # a driver or its program
            os.kill(dice.choice(victims if dice.random() < 0.8 else [running.pid]), signal.SIGKILL)
            kills += 1
    assert kills == KILLS, "all was done before"
    while running.wait(900) not in (0, 3) and time.monotonic() < deadline:
        running = sweep(tmp_path, "disturbed")
    rows = losses(tmp_path / "disturbed")
    assert len(rows) == 20
    assert rows == losses(tmp_path / "undisturbed")
    for folder in (tmp_path / "disturbed").glob("w*"):
        steps = json.loads((folder / "point.json").read_text())["steps"]
        assert sum(start.step == steps for start in read_starts(folder).starts) <= 1
