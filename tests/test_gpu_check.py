"""The check of a GPU, rehearsed on a CPU: stages, deadlines, the table, and what a verdict takes for earned."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from scaling.model import decoder
from scaling.stages.gpu_check import numbers, run
from scaling.stages.gpu_check.finding import Bench, Finding, model_of
from scaling.stages.gpu_check.run import STAGES, make_verdict, run_stages
from scaling.verdicts import Verdict
from tests.model.test_gpu_forms import OPTIONS

ROOT = Path(__file__).parents[1]


def checked(tmp_path: Path, *arguments: str) -> tuple[int, list[Finding], str]:
    command = [sys.executable, "-m", "scaling.gpu_check", "--device=cpu", f"--cache={tmp_path}", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    lines = [line for line in ended.stdout.splitlines() if line.startswith("{")]
    return ended.returncode, [Finding(**json.loads(line)) for line in lines], ended.stdout + ended.stderr


def test_it_tells_line_by_line_and_keeps_its_verdict(tmp_path: Path) -> None:
    code, findings, told = checked(tmp_path, "--quick", "--stages=device,accumulation,capture")
    assert code == 0, told
    assert [f.stage for f in findings] == sorted(
        (f.stage for f in findings), key=["device", "accumulation", "capture"].index
    )
    assert any(f.value is not None and f.limit is not None and f.ok for f in findings)
    assert "WRONG" not in told
    (path,) = (tmp_path / "gpu-checks").glob("*.json")
    verdict = json.loads(path.read_text())
    assert verdict["torch"] == torch.__version__
    assert verdict["features"]["capture"]["passed"] is True


def test_a_machine_without_a_gpu_and_a_stage_without_a_name_are_told(tmp_path: Path) -> None:
    code, _, told = checked(tmp_path, "--stages=kernels,none")
    assert (code, told.splitlines()[-1].split(";")[0]) == (2, "error: stages has 'none'")
    assert "no key with a value" in checked(tmp_path, "kernels")[2]
    if not torch.cuda.is_available():
        code, _, told = checked(tmp_path, "--device", "cuda")
        assert (code, told.count("\n")) == (2, 1)
        assert told.endswith("device=cpu rehearses the check\n")


@pytest.mark.slow
def test_the_whole_is_rehearsed(tmp_path: Path) -> None:
    names = ",".join(name for name in STAGES if name != "tests")
    code, findings, told = checked(tmp_path, f"--stages={names}", "--seconds=1200")
    assert code == 0, told
    assert {f.stage for f in findings} == {*STAGES} - {"tests"}


@pytest.mark.slow
def test_a_stage_that_raises_hangs_or_dies_ends_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process whose stages are planted."""
    planted = tmp_path / "planted.py"
    planted.write_text(
        "import os, time\n"
        "from scaling.stages.gpu_check import run\n"
        "from scaling.stages.gpu_check.finding import Finding\n"
        "def good(bench):\n    yield Finding('good', 'x', True)\n"
        "def raises(bench):\n    yield Finding('raises', 'x', True)\n    raise RuntimeError('CUDA error')\n"
        "def hangs(bench):\n    yield Finding('hangs', 'x', True)\n    time.sleep(60)\n"
        "def dies(bench):\n    os._exit(9)\n    yield\n"
        "run.STAGES.update({f.__name__: run.Row(f, 60) for f in (good, raises, hangs, dies)})\n"
        "run.main()\n"
    )
    real = subprocess.Popen

    def popen(command: list[str], **options: object) -> "subprocess.Popen[bytes]":
        return real([sys.executable, str(planted), *command[3:]], cwd=ROOT, **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(run.subprocess, "Popen", popen)

    def told(names: list[str], seconds: float) -> list[tuple[str, str, bool | None]]:
        folder = tmp_path / "-".join(names)
        folder.mkdir()
        return [(f.stage, f.name, f.ok) for f in run_stages(names, "cpu", seconds, True, folder)]

    assert told(["raises", "good"], 60) == [("raises", "x", True), ("raises", "end", False), ("good", "x", True)]
    assert told(["dies"], 60) == [("dies", "end", False)]
    began = time.monotonic()
    assert ("hangs", "deadline", False) in told(["hangs"], 3)
    assert time.monotonic() - began < 30


GOOD = [Finding("kernels", "default, bf16", True), Finding("capture", "loss", True, feature="capture")]


@pytest.mark.parametrize(
    ("findings", "passed"),
    [
        (GOOD, True),
        ([*GOOD, Finding("capture", "times the speed", False, 0.9, 1.0, feature="capture")], False),
        ([*GOOD, Finding("kernels", "heads of 10, bf16", False, 0.5, 0.02)], False),
        ([*GOOD, Finding("capture", "deadline", False)], False),
        ([*GOOD, Finding("device,kernels,capture", "deadline", False)], False),
        ([*GOOD, Finding("sharing", "deadline", False)], True),
    ],
    ids=["all good", "slower", "wrong kernels", "unfinished", "unfinished group", "another's end"],
)
def test_what_a_verdict_takes_for_earned(findings: list[Finding], passed: bool) -> None:
    verdict = make_verdict("a GPU", findings)
    assert verdict.on("capture").passed is passed
    assert not verdict.on("compile").passed, "nobody looked at it"
    assert isinstance(verdict, Verdict)


@pytest.mark.parametrize("changes", [OPTIONS[0], OPTIONS[5], OPTIONS[7]], ids=["default", "swiglu", "grouped"])
def test_kernels_that_are_wrong_are_seen(
    changes: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel that is off by a hundredth, planted into the attention."""

    model = model_of(1, 64, 4, vocab=200, context=32, mup_base_width=None, **changes)
    ids = torch.randint(200, (2, 33))
    bench = Bench(torch.device("cpu"), 60, True, tmp_path)
    exact = numbers._exact(model, ids)
    assert max(numbers._errors(bench, model, ids, "fp32", exact).values()) < 1e-5
    attend = decoder.causal_attention
    monkeypatch.setattr(decoder, "causal_attention", lambda q, k, v, dropout: 1.01 * attend(q, k, v, dropout=dropout))
    assert max(numbers._errors(bench, model, ids, "fp32", exact).values()) > 1e-4
