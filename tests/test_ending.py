"""The last words of a sweep: an answer, every warning, what was learnt, what to do next; and who is told of its end."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from scaling.command import told_in_one_paragraph
from scaling.config import ConfigError
from scaling.findings import Finding
from scaling.stages.ending import last_words, notify, summary
from scaling.stages.finish import Finished
from tests.report.synthetic import study
from tests.test_configs import load

WARNING = Finding("few_points_decide", "warn", "Numbers.", "Measure more.", "a source")


def finished(*findings: Finding) -> Finished:
    report = replace(study(), findings=findings)
    return Finished(Path("runs/x/report/index.html"), "A law.", False, {}, report)


def test_the_last_words_say_what_was_learnt_and_what_to_do_next() -> None:
    *_, where, learnt, following = last_words(load("study=x"), finished())
    assert where == "report: runs/x/report/index.html"
    assert learnt.startswith("learnt: ")
    assert " FLOPs are best spent on N = " in learnt
    assert following.startswith("next: python -m scaling.recommend study=x flops=")


def test_a_warning_is_below_where_the_verdict_says_it_is() -> None:
    words = list(last_words(load(), finished(WARNING)))
    assert words[1] == "warn few_points_decide: Numbers."
    assert words[-1] == "next: Measure more."
    refused = finished(replace(WARNING, level="refuse"))
    assert not any(line.startswith("learnt") for line in last_words(load(), refused))
    assert summary(refused)["refused"] == ["few_points_decide"]


def test_whoever_is_named_is_told_of_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = tmp_path / "told"
    script = f"import os; open({str(told)!r}, 'w').write(os.environ['SCALING_STATE'] + os.environ['SCALING_MESSAGE'])"
    config = replace(load("study=x"), notify=(sys.executable, "-c", script))
    notify(config, 130, {})
    assert told.read_text() == "interruptedx: interrupted"
    notify(config, 0, {"verdict": "A law."})
    assert told.read_text() == "doneA law."
    notify(replace(config, notify=("/no/such/program",)), 0, {})
    assert "warn: notify: " in capsys.readouterr().err


def test_a_mistake_is_json_too_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["plan", "json=true"])
    codes: list[int] = []
    with told_in_one_paragraph(codes):
        raise ConfigError("the value, the constraint, the remedy")
    said = capsys.readouterr()
    assert json.loads(said.out) == {"error": "the value, the constraint, the remedy", "exit_code": 2}
    assert codes == [2]
