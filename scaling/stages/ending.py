"""The last words of a command on a study: the answer, what speaks against it, what was learnt, what to do next."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

from scaling.config import StudyConfig
from scaling.findings import refusals
from scaling.numbers import amount, between, nats, scientific, significant
from scaling.planning.power import TARGET_OVER_LARGEST
from scaling.results import StudyReport
from scaling.stages.finish import Finished
from scaling.terminal import PlainConsole, visible
from scaling.values import to_plain

NOTIFY_SECONDS = 60.0
ENDS = {0: "done", 1: "some points failed", 2: "refused", 3: "done, without an answer", 130: "interrupted"}


def last_words(config: StudyConfig, finished: Finished) -> Iterator[str]:
    """The verdict, a line for each warning, what was learnt, where the report is, and what to do next."""
    yield finished.verdict
    for finding in finished.report.findings:
        if finding.level != "info":
            yield f"{finding.level_words} {finding.name}: {finding.numbers}"
    if finished.unwritten is None:
        yield f"report: {finished.page}"
    yield from learnt(finished.report)
    yield f"next: {next_step(config, finished)}"


def learnt(report: StudyReport) -> Iterator[str]:
    """The best N and D of the farthest budget that was asked for; nothing where no law may be used."""
    if not report.surface.fit.usable or refusals(report.findings) or not report.optima:
        return
    best = report.optima[-1]
    at = best.allocation
    words = (
        f"learnt: {scientific(at.flops)} FLOPs are best spent on N = {amount(at.params)} and D = {amount(at.tokens)}"
    )
    if best.params is not None:
        words += f" (N {between(best.params.low, best.params.high, amount)})"
    words += f", for a loss of {nats(at.loss)}"
    if at.params_exponent is not None:
        words += f"; the best N grows as C^{significant(at.params_exponent, 2)}"
    yield f"{words}."


def next_step(config: StudyConfig, finished: Finished) -> str:
    """What a check asks for, or else what the law is good for."""
    stands = finished.report.surface.fit.usable
    grave = [f for f in finished.report.findings if f.level == "refuse" and not (f.forced and stands)]
    grave = grave or [finding for finding in finished.report.findings if finding.level == "warn"]
    if grave:
        return grave[0].remedy
    flops = TARGET_OVER_LARGEST * max(point.flops for point in finished.report.plan.points)
    where = "" if config.runs == "runs" else f" runs={config.runs}"
    return f"python -m scaling.recommend study={config.study}{where} flops={flops:.1e}".replace("e+", "e")


def summary(finished: Finished) -> dict[str, Any]:
    """The same for programs."""
    return {
        "verdict": finished.verdict,
        "refused": [finding.name for finding in refusals(finished.report.findings)],
        "findings": to_plain(finished.report.findings),
        "learnt": next(learnt(finished.report), None),
        "report": str(finished.page),
    }


def notify(config: StudyConfig, code: int, told: Mapping[str, Any]) -> None:
    """Run the command that the study names, which learns from its environment what came of it. Its failure is told and
    changes nothing."""
    if not config.notify:
        return
    state = ENDS.get(code, "failed")
    words = {
        "SCALING_STUDY": config.study,
        "SCALING_STATE": state,
        "SCALING_EXIT_CODE": str(code),
        "SCALING_MESSAGE": str(told.get("verdict") or f"{config.study}: {state}"),
        "SCALING_REPORT": str(told.get("report") or ""),
    }
    try:
        done = subprocess.run(
            list(config.notify), env=os.environ | words, stdin=subprocess.DEVNULL, stdout=2, check=False,
            timeout=NOTIFY_SECONDS,
        )  # fmt: skip
        problem = f"it ended with {done.returncode}" if done.returncode else ""
    except (OSError, subprocess.SubprocessError) as error:
        problem = str(error)
    if problem:
        shown = visible(f"warn: notify: {problem}; the study is as it would be without it")
        PlainConsole(stderr=True).print(shown, soft_wrap=True)
