"""The check of a GPU: stages in processes of their own, each with a deadline; a line of JSON for each finding as it
comes, a table last; the verdict in the cache.

`python -m scaling.stages.gpu_check.run STAGES DEVICE SECONDS QUICK FOLDER` is one such process.
"""

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from rich.table import Table

from scaling.launching.gpus import visible_gpus
from scaling.launching.mps import can_be_started
from scaling.launching.slots import cpu_environment, gpu_environment
from scaling.machine import driver_version
from scaling.speeds import code_version
from scaling.stages.gpu_check import memory, numbers, processes, speed
from scaling.stages.gpu_check.finding import Bench, Finding
from scaling.terminal import PlainConsole
from scaling.training.config import Runtime
from scaling.training.device import choose_device, choose_precision, device_name, device_words
from scaling.training.peak import datasheet_peak, measure_peak
from scaling.values import from_plain
from scaling.verdicts import FEATURES, Earned, Verdict, write_verdict

Stage = Callable[[Bench], Iterator[Finding]]


def device(bench: Bench) -> Iterator[Finding]:
    """What is here; and that a slot and torch mean the same."""
    slot = os.environ.get("SCALING_SLOT", "none")
    words = device_words(bench.device, choose_precision(Runtime(device=bench.device.type), bench.device))  # type: ignore[arg-type]
    yield Finding("device", "slot and torch agree", (slot == "gpu") is bench.on_gpu, words=f"slot {slot}: {words}")
    obstacle = can_be_started(visible_gpus()) if bench.on_gpu else "there is no GPU"
    yield Finding("device", "sharing by MPS", None, words=obstacle or "may be started")
    for precision in bench.precisions:
        peak, sheet = measure_peak(bench.device, precision), datasheet_peak(bench.device, precision)
        words = "no data sheet is known" if sheet is None else f"{peak / sheet:.0%} of the data sheet's {sheet:.3g}"
        yield Finding("device", f"FLOP/s of a product in {precision}", None, peak, words=words)


@dataclass(frozen=True)
class Row:
    """`seconds` on a GPU, and at most in a rehearsal."""

    stage: Stage
    seconds: float
    quick: bool = False


# In order of value, for whoever has less time than all of them take.
STAGES: dict[str, Row] = {
    "device": Row(device, 30, quick=True),
    "kernels": Row(numbers.kernels, 45, quick=True),
    "accumulation": Row(numbers.accumulation, 20, quick=True),
    "capture": Row(speed.capture, 40, quick=True),
    "trajectory": Row(numbers.trajectory, 60),
    "memory": Row(memory.memory, 40),
    "compile": Row(speed.compile_, 90),
    "speed": Row(speed.speed, 90),
    "sharing": Row(processes.sharing, 120),
    "resume": Row(numbers.resume, 40),
    "teams": Row(processes.teams, 60),
    "evaluation": Row(numbers.evaluation, 40),
    "study": Row(processes.study, 300),
    "tests": Row(processes.tests, 240),
}
# Of the whole check on a GPU box: the study and the tests are asked for by name.
ON_REQUEST = ("study", "tests")
# Names of findings that tell of a stage's own end.
UNFINISHED = ("deadline", "end")


def check(device_kind: str, names: Sequence[str], cache: Path, *, seconds: float, quick: bool, table: bool) -> int:
    """Run the stages and return the exit code: 1 where one is wrong, or did not end."""
    until, findings = time.monotonic() + seconds, list[Finding]()
    # To start a process takes a GPU ten seconds: where there is no time for more, all stages are in one.
    for group in [list(names)] if quick else [[name] for name in names]:
        left, wanted = until - time.monotonic(), sum(STAGES[name].seconds for name in group)
        if left < 5:
            findings.append(_tell(Finding(group[0], "time", None, words=f"left out: the {seconds:.0f} s are over")))
            continue
        with tempfile.TemporaryDirectory(prefix="gpu-check-", ignore_cleanup_errors=True) as folder:
            for finding in run_stages(group, device_kind, min(left, wanted), quick, Path(folder)):
                findings.append(_tell(finding))
    if table:
        print_table(findings, PlainConsole(width=None if sys.stdout.isatty() else 160))
    chosen = choose_device(Runtime(device=device_kind))  # type: ignore[arg-type]
    path = write_verdict(cache, make_verdict(device_name(chosen), findings))
    print(f"verdict: {path}", file=None if table else sys.stderr)
    return int(any(finding.ok is False for finding in findings))


def run_stages(names: Sequence[str], device_kind: str, seconds: float, quick: bool, folder: Path) -> Iterator[Finding]:
    """Their findings as they come. A process that dies or passes its deadline is a finding itself and ends no other."""
    name = ",".join(names)
    place = gpu_environment("1") if device_kind == "cuda" else cpu_environment("1")
    command = [sys.executable, "-m", __name__, name, device_kind, f"{seconds:.1f}", str(int(quick)), str(folder)]
    with (folder / "stderr").open("w") as complaints:
        process = subprocess.Popen(
            command, env={**os.environ, **place}, stdout=subprocess.PIPE, stderr=complaints, start_new_session=True
        )
        assert process.stdout is not None
        until, said = time.monotonic() + seconds, b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while (left := until - time.monotonic()) > 0:
                if not selector.select(left):
                    break
                chunk = os.read(process.stdout.fileno(), 1 << 16)
                if not chunk:
                    break
                *lines, said = (said + chunk).split(b"\n")
                for line in lines:
                    yield from_plain(Finding, json.loads(line), name)
        if time.monotonic() >= until:
            os.killpg(process.pid, 9)
            process.wait()
            yield Finding(name, "deadline", False, words=f"it did not end within {seconds:.0f} s")
        elif process.wait():
            last = (folder / "stderr").read_text().strip().splitlines()[-1:] or ["(nothing)"]
            yield Finding(name, "end", False, words=f"exit code {process.returncode}: {last[0]}")
        process.stdout.close()


def make_verdict(gpu: str, findings: Sequence[Finding]) -> Verdict:
    """A feature is earned where something was held against it and all of that passed, in stages that came to their end;
    and none where a plain step computes something else than it must."""
    plain = [f for f in findings if f.stage in ("kernels", "accumulation")]
    features: dict[str, Earned] = {}
    for feature in FEATURES:
        mine = [f for f in findings if f.feature == feature]
        failed = [f for f in (*mine, *plain) if f.ok is False]
        failed += [f for f in findings if f.name in UNFINISHED and {m.stage for m in mine} & set(f.stage.split(","))]
        if mine:
            said = (failed or mine)[0]
            words = f"{said.stage}, {said.name}: {_number(said.value)} {said.words}".strip()
            features[feature] = Earned(not failed, words)
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    return Verdict(gpu, driver_version(), torch.__version__, code_version(), made_at, features)


def _tell(finding: Finding) -> Finding:
    print(finding.line, flush=True)
    return finding


def print_table(findings: Sequence[Finding], console: PlainConsole) -> None:
    table = Table(title="gpu_check", title_justify="left")
    for column in ("", "stage", "what", "value", "limit", "words"):
        table.add_column(column, justify="right" if column in ("value", "limit") else "left")
    marks = {True: "ok", False: "WRONG", None: "–"}
    for f in findings:
        table.add_row(marks[f.ok], f.stage, f.name, _number(f.value), _number(f.limit), f.words)
    console.print(table)


def _number(value: float | str | None) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float | int) else value


def main() -> None:
    name, device_kind, seconds, quick, folder = sys.argv[1:6]
    chosen = choose_device(Runtime(device=device_kind))  # type: ignore[arg-type]
    torch.set_num_threads(1 if chosen.type == "cpu" else torch.get_num_threads())
    for stage in name.split(","):
        own = Path(folder) / stage
        own.mkdir()
        try:
            for finding in STAGES[stage].stage(Bench(chosen, float(seconds), quick == "1", own)):
                print(finding.line, flush=True)
        except Exception as error:  # noqa: BLE001 - whatever a stage meets is what it found, and the next has its turn
            traceback.print_exc()
            words = f"{type(error).__name__}: {error}".split("\n", maxsplit=1)[0]
            print(Finding(stage, "end", False, words=words).line, flush=True)


if __name__ == "__main__":
    main()
