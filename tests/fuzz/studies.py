"""Every file of a study, damaged in ten ways, under the commands that read it."""

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

from scaling.config import StudyConfig
from scaling.curves import CurveRow, curve_path
from scaling.findings import Finding
from scaling.records import JOB_FILE, STATUS_FILE, RunStatus
from scaling.specs import Plan
from scaling.stages.finish import finish_study, forecast_held_out
from scaling.training.config import Job
from scaling.values import write_json
from tests.fuzz import damage
from tests.fuzz.process import Ended, command, strict_json
from tests.planted_study import planted_study

COMMANDS = (
    ("status", "json=true"), ("status",), ("fit", "fit.bootstrap=20", "fit.figures=false"),
    ("recommend", "flops=1e14", "json=true"), ("plan", "next={study}"),
)  # fmt: skip


def whole_study(root: Path) -> tuple[StudyConfig, Plan]:
    """All files that a sweep leaves, with a second study beside it; nothing is trained."""
    config, plan = planted_study(root, "fit.bootstrap=20", "fit.figures=false", "recipe=wsd")
    held_out = {(point.run_id, point.tokens) for point in plan.points if point.held_out}
    for spec in plan.runs:
        folder = config.folder / spec.id
        write_json(folder / JOB_FILE, Job(spec, config.runtime, str(root / "cache" / "corpus")))
        write_json(folder / STATUS_FILE, RunStatus("done", spec.total_steps, spec.total_steps, 1e5, 0.0, "host", 1))
        for budget in (None, *spec.budgets):
            rows = [CurveRow(i * 51_200, 5 - math.log(i), 1e-3, 1.0, 1e5) for i in range(1, 6)]
            lines = "".join(f"{_as_json(row)}\n" for row in rows)
            curve_path(folder, budget).write_text(lines)
    hidden = {path: path.read_bytes() for run, tokens in held_out for path in (_record(config, run, tokens),)}
    for path in hidden:
        path.unlink()
    forecast_held_out(config, plan)
    for path, content in hidden.items():
        path.write_bytes(content)
    finish_study(config, plan, tuple[Finding, ...]())
    shutil.copytree(config.folder, config.folder.with_name("other"))
    return config, plan


def _as_json(row: CurveRow) -> str:
    import json
    from dataclasses import asdict

    return json.dumps(asdict(row))


def _record(config: StudyConfig, run_id: str, tokens: int) -> Path:
    return config.folder / run_id / f"record-{tokens}.json"


def kinds_of_files(folder: Path) -> dict[str, list[Path]]:
    """A study's files by what they are: damage to one record is damage to a record."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "tfevents" not in path.name and path.suffix not in (".png", ".svg"):
            kind = path.name.split("-")[0] if path.parent.name != folder.name else path.name
            found.setdefault(kind, []).append(path)
    return found


def cases(folder: Path, random: Random) -> Iterator[tuple[Path, str]]:
    """Each kind of file with each kind of damage, in a random order, again and again: a path below the folder, and the
    name of the damage."""
    while True:
        files = kinds_of_files(folder)
        pairs = [(kind, harm.__name__) for kind in files for harm in damage.KINDS]
        random.shuffle(pairs)
        for kind, harm in pairs:
            yield random.choice(files[kind]).relative_to(folder), harm


def run(whole: Path, plan: Plan, file: Path, harm: str, random: Random, root: Path) -> tuple[str, list[str]]:
    """Damage a file in a copy of `whole`/runs and give it to a command: what was done, and what is wrong with what came
    of it."""
    runs = root / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    shutil.copytree(whole / "runs", runs)
    in_other = random.random() < 0.2
    study = runs / ("other" if in_other else "default")
    damage.damaged(study / file, random, getattr(damage, harm))
    name, *arguments = random.choice(COMMANDS)
    where = [f"runs={runs}"] if name != "plan" else []
    given = [argument.format(study=runs / "default") for argument in arguments]
    ended = command(name, [*([] if name == "plan" else ["study=default"]), *where, *given])
    words = f"{harm} {'other/' if in_other else ''}{file}: {name} {' '.join(given)}"
    faults = [*ended.faults(), *_nonsense(ended, name, given, plan, runs / "default")]
    if in_other and ended.code not in (0, 3):
        faults.append(f"a stranger's damage ends the command with {ended.code}: {ended.err[-300:]}")
    return words, faults


def _nonsense(ended: Ended, name: str, arguments: list[str], plan: Plan, study: Path) -> list[str]:
    if ended.code not in (0, 3):
        return []
    try:
        if "json=true" in arguments:
            plain = strict_json(ended.out)
            if name == "status" and not 0 < sum(plain["counts"].values()) <= len(plan.points):
                return [f"status counts {plain['counts']} of {len(plan.points)} points"]
        if name == "fit":
            fits = strict_json((study / "fits.json").read_text())
            if fits["observations"]["num_used"] + fits["observations"]["num_heldout"] > len(plan.points):
                return ["more points are fitted than were planned"]
            estimate = fits["fits"][0]["parameters"]
            if fits["fits"][0]["status"] == "converged" and not 0.5 < estimate["E"] < 2:
                return [f"the planted law comes out as {estimate}"]
    except (OSError, ValueError, KeyError) as error:
        return [f"{name}: {type(error).__name__}: {error}"]
    return []
