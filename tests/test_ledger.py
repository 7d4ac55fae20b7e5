"""The ledger of forecasts: whoever writes it merges, and a line that was ever there stays."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from scaling.config import StudyConfig
from scaling.folders import study_lock
from scaling.records import RunRecord, record_path
from scaling.specs import Plan
from scaling.stages import finish
from scaling.stages.finish import forecast_held_out
from scaling.store import LEDGER_FILE, Forecast, read_forecasts, read_ledgers, save_forecasts
from tests.planted_study import planted_study

ENTRY = Forecast("run", "1M", 1000, "selected", 2.0, 1.9, 2.1, 0.95, "method", "hash", "2026-01-01")


def test_a_line_is_completed_and_never_changed_or_dropped(tmp_path: Path) -> None:
    others = [replace(ENTRY, tokens=tokens) for tokens in (2000, 3000)]
    assert save_forecasts(tmp_path, [ENTRY, others[0]]) == [ENTRY, others[0]]
    # A command that read the ledger when it had one line, and another prediction of it.
    assert save_forecasts(tmp_path, [replace(ENTRY, predicted=9.0, measured=2.05), others[1]]) == [others[1]]
    assert read_forecasts(tmp_path) == (replace(ENTRY, measured=2.05), *others)
    save_forecasts(tmp_path, [ENTRY])
    assert read_forecasts(tmp_path)[0].measured == 2.05


@pytest.mark.parametrize(
    "line",
    [
        '{"run_id": "run", "siz',
        "\xff\xfe",
        "[" * 100_000,
        "{}",
        json.dumps({**vars(ENTRY), "predicted": -1}),
        json.dumps({**vars(ENTRY), "predicted": float("nan")}),
        json.dumps({**vars(ENTRY), "later_version": 1}),
        json.dumps({**vars(ENTRY), "tokens": 10**400}),
        '{"run_id": "a", "run_id": "b"}',
    ],
)
def test_a_line_that_cannot_be_read_is_told_and_stays_as_it_is(line: str, tmp_path: Path) -> None:
    path = tmp_path / LEDGER_FILE
    raw = line.encode("latin-1")
    path.write_bytes(json.dumps(vars(replace(ENTRY, tokens=5))).encode() + b"\n" + raw)  # cut: no end of line
    told: list[str] = []
    assert len(read_forecasts(tmp_path, told.append)) == 1
    assert len(told) == 1
    assert f"{path}, line 2, cannot be read" in told[0]
    assert len(told[0]) < 1000
    save_forecasts(tmp_path, [ENTRY])
    assert raw in path.read_bytes().split(b"\n")
    assert ENTRY in read_forecasts(tmp_path)


def test_of_two_lines_for_one_prediction_the_first_counts_and_both_stay(tmp_path: Path) -> None:
    second = replace(ENTRY, predicted=2.02)
    (tmp_path / LEDGER_FILE).write_text("".join(json.dumps(vars(f)) + "\n" for f in (ENTRY, second)))
    save_forecasts(tmp_path, [replace(ENTRY, measured=2.0)])
    assert read_forecasts(tmp_path) == (replace(ENTRY, measured=2.0),)
    assert json.dumps(vars(second)) in (tmp_path / LEDGER_FILE).read_text()


def test_what_is_measured_already_is_not_predicted(tmp_path: Path) -> None:
    (tmp_path / ENTRY.run_id).mkdir()
    record_path(tmp_path / ENTRY.run_id, ENTRY.tokens).write_text("{}")
    assert save_forecasts(tmp_path, [ENTRY, replace(ENTRY, tokens=5)]) == [replace(ENTRY, tokens=5)]


def test_another_studys_ledger_is_a_line_and_no_end(tmp_path: Path) -> None:
    for name in ("whole", "cut", "folder", "pipe"):
        (tmp_path / name).mkdir()
    save_forecasts(tmp_path / "whole", [ENTRY])
    (tmp_path / "cut" / LEDGER_FILE).write_text('{"run')
    (tmp_path / "folder" / LEDGER_FILE).mkdir()
    os.mkfifo(tmp_path / "pipe" / LEDGER_FILE)
    told: list[str] = []
    assert read_ledgers(tmp_path, told.append)["whole"] == (ENTRY,)
    assert len(told) == 3


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    def write(law: str) -> None:
        for tokens in range(1, 21):
            save_forecasts(tmp_path, [replace(ENTRY, tokens=tokens, law=law)])

    threads = [threading.Thread(target=write, args=(law,)) for law in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_forecasts(tmp_path)) == 80


STOPPED = """
import os, signal
from scaling import fit
from scaling.stages import finish
analyse = finish.analyse
def stopped(*arguments, **options):
    os.kill(os.getpid(), signal.SIGSTOP)
    return analyse(*arguments, **options)
finish.analyse = stopped
fit.main()
"""


def test_a_fit_that_is_stopped_in_its_analysis_keeps_nobody_waiting_and_erases_nothing(tmp_path: Path) -> None:
    """A sweep forecasts while `fit` has read the ledger and not written it yet."""
    options = ("fit.bootstrap=0", "fit.figures=false", "runtime.tensorboard=false")
    config, plan = planted_study(tmp_path, *options)
    for point in plan.points:
        if point.held_out:
            record_path(config.folder / point.run_id, point.tokens).unlink()
    arguments = ["study=default", f"runs={tmp_path / 'runs'}", f"cache={tmp_path / 'cache'}", *options]
    fit = subprocess.Popen([sys.executable, "-c", STOPPED, *arguments], stderr=subprocess.PIPE, text=True)
    try:
        deadline, state = time.monotonic() + 300, (0, 0)
        while state[0] == 0 and time.monotonic() < deadline:
            time.sleep(0.05)
            state = os.waitpid(fit.pid, os.WUNTRACED | os.WNOHANG)
        assert os.WIFSTOPPED(state[1])
        assert "written to the ledger" in forecast_held_out(config, plan)
        made = (config.folder / LEDGER_FILE).read_bytes()
        with study_lock(config.folder):
            pass
    finally:
        os.kill(fit.pid, signal.SIGCONT)
        told = fit.communicate(timeout=300)[1]
    assert fit.returncode in (0, 3), told
    assert (config.folder / LEDGER_FILE).read_bytes() == made
    assert len(read_forecasts(config.folder)) == 2 * plan.num_held_out


def test_a_fit_that_a_later_report_has_overtaken_fits_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last point ends and the sweep reports on it, while `fit` is at the laws of the points before."""
    config, plan = planted_study(tmp_path, "fit.bootstrap=0")
    last = record_path(config.folder / plan.points[-1].run_id, plan.points[-1].tokens)
    last.rename(tmp_path / "kept")
    written: list[int] = []

    def fit(config: StudyConfig, plan: Plan, records: list[RunRecord], findings: object) -> SimpleNamespace:
        if not last.exists():
            (tmp_path / "kept").rename(last)
            (config.folder / "fits.json").write_text("{}")
        return SimpleNamespace(report=SimpleNamespace(findings=()))

    def write(config: StudyConfig, plan: Plan, records: list[RunRecord], exclusions: object, laws: object) -> None:
        written.append(len(records))

    monkeypatch.setattr(finish, "_fit", fit)
    monkeypatch.setattr(finish, "_write", write)
    monkeypatch.setattr(finish, "fits_json", lambda report: {})
    monkeypatch.setattr(finish, "verdict", lambda report: SimpleNamespace(words="A law", sentence="Said."))
    assert finish.finish_study(config, plan, ()).unwritten is None
    assert written == [len(plan.points)]
