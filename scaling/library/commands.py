"""What the commands do, from Python: the same overrides in, values back, nothing printed.

scaling.plan("grid=isoflop", "study=mine")
"""

import re
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from hydra_plugins.scaling._register import register
from scaling.analysis.compare import compare as compare_sides
from scaling.analysis.recommend import NoRecommendation
from scaling.command import TOLD, as_text, explain
from scaling.compare import sides
from scaling.config import compare_options, recommend_options, study_config
from scaling.config_folder import config_folder
from scaling.decisions import Comparison, Recommendation
from scaling.exits import EXIT_BAD_CONFIG, EXIT_INTERRUPTED, EXIT_NO_ANSWER
from scaling.findings import Finding, refusals
from scaling.laws.power import Power, power_words
from scaling.library.frames import Rows, preformatted
from scaling.library.study import Study
from scaling.recommend import recommended
from scaling.specs import Plan
from scaling.stages.checkup import check_plan
from scaling.stages.outlook import question
from scaling.stages.study import plan_study
from scaling.values import to_plain

MOST_FINDINGS = 6
SHOWN = ("index", "size", "params", "tokens", "flops", "estimated_seconds", "held_out")


@dataclass(frozen=True, repr=False)
class StudyPlan:
    """What a sweep with these overrides would do.

    Attributes:
        plan: runs and points.
        findings: of the checks, the gravest first.
        power: what it will be able to say, where that is asked.
        folder: where the study would be.
    """

    plan: Plan
    findings: tuple[Finding, ...]
    power: Power | None
    folder: Path

    @property
    def refused(self) -> tuple[Finding, ...]:
        """Findings for which the sweep would not start."""
        return refusals(self.findings)

    @property
    def points(self) -> Rows:
        """Its points as rows."""
        return Rows([to_plain(point) for point in self.plan.points], f"points of {self.plan.study}")

    def __repr__(self) -> str:
        plan = self.plan
        head = f"plan of {plan.study}: {len(plan.points)} points on {len(plan.runs)} trajectories"
        shown = Rows([{name: row[name] for name in SHOWN} for row in self.points])
        said = [f"{one.level_words} {one.name}: {one.numbers}" for one in self.findings if one.level != "info"]
        more = [f"... {len(said) - MOST_FINDINGS} more findings"] if len(said) > MOST_FINDINGS else []
        power = [] if self.power is None else [power_words(self.power)]
        lines = [f"{head}, {plan.total_flops:.3g} FLOPs", *repr(shown).splitlines()[1:], *power]
        return "\n".join([*lines, *said[:MOST_FINDINGS], *more])

    def _repr_html_(self) -> str:
        return preformatted(repr(self))


def plan(*overrides: str) -> StudyPlan:
    """Plan a study without writing anything, as `python -m scaling.plan`.

    Args:
        overrides: as on the command line, "grid=isoflop", "study=mine".

    Raises:
        ValueError: an override cannot be read, or what it says is impossible.
    """
    with _told_as_value_error():
        config = study_config(_composed("sweep", overrides))
        if config.next is not None:
            raise ValueError("next is given, which writes an experiment: use `python -m scaling.plan next=...` for it")
        made = plan_study(config)
        return StudyPlan(made, check_plan(config, made), question(config, made).power, config.folder)


def sweep(*overrides: str, timeout: float | None = None) -> Study:
    """Train what a study lacks, fit its laws and write its report, as `python -m scaling.sweep` does, in a process.

    Args:
        overrides: as on the command line; the same ones go on where an earlier sweep ended.
        timeout: seconds, after which it is interrupted as by Ctrl-C: every run is saved.

    Raises:
        ValueError: an override is impossible, or a check refuses the study before anything is spent.
        RuntimeError: it ended otherwise than a sweep does; the message has its last words.
        TimeoutError: it was interrupted; the same call goes on.
    """
    with _told_as_value_error():
        config = study_config(_composed("sweep", overrides))
    command = [sys.executable, "-m", "scaling.sweep", *overrides]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            said, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(2)
            process.communicate()
            raise TimeoutError(
                f"the sweep of {config.study} was interrupted after {timeout:g} s: call it again"
            ) from None
        except BaseException:
            process.send_signal(2)
            process.communicate()
            raise
    code = process.returncode
    if code == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    if code == EXIT_BAD_CONFIG:
        raise ValueError(_last_words(said))
    if code not in (0, 1, EXIT_NO_ANSWER):
        raise RuntimeError(f"the sweep ended with exit code {code}: {_last_words(said)}")
    for line in re.findall(r"^failed: .+$", said, flags=re.MULTILINE):
        warnings.warn(line, stacklevel=2)
    return Study(config.folder)


def recommend(*overrides: str) -> Recommendation:
    """Return what is worth training for a goal, as `python -m scaling.recommend`: "source=points.csv", "loss=2.2".

    Nothing is written: neither the experiment nor an entry of the ledger.

    Raises:
        ValueError: no law may be used, or an override is impossible.
    """
    with _told_as_value_error():
        return recommended(recommend_options(_composed("recommend", overrides)))


def compare(*overrides: str) -> Comparison:
    """Return what a FLOP of b is worth in a, as `python -m scaling.compare`: "a=runs/default", "b=runs/mine".

    Raises:
        ValueError: the two cannot be compared.
    """
    with _told_as_value_error():
        options = compare_options(_composed("compare", overrides))
        return compare_sides(*sides(options), flops=options.flops, level=options.level)


def _composed(name: str, overrides: Sequence[str]) -> DictConfig:
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return compose(name, overrides=[as_text(override) for override in overrides])


@contextmanager
def _told_as_value_error() -> Iterator[None]:
    try:
        yield
    except NoRecommendation:
        raise
    except TOLD as error:
        if isinstance(error, OSError):
            raise
        raise ValueError(explain(error)) from None


def _last_words(said: str) -> str:
    """The error of a command in one paragraph, or the end of what it said."""
    errors = re.findall(r"^error: (.+)$", said, flags=re.MULTILINE)
    return errors[-1] if errors else said.strip()[-1000:]
