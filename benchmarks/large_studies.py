"""How the commands grow with a study and with a table: seconds, memory, and the power of the size they grow as.

python -m benchmarks.large_studies                                  # as in docs/limits.md, half an hour
python -m benchmarks.large_studies --points 1000 5000 --rows 10000  # less of it

Studies are planted: a plan, its records, statuses and curves as a sweep would have left them, of runs with one point
each (cosine) and of trunks with many (wsd). The sweep that is timed finds every point there, so that what it takes is
its bookkeeping, its laws and its report. Seconds are those of the command's own processor, beside the clock's: the
machine need not be idle for the first.
"""

import argparse
import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.check_studies import RELATIVE_SD, config, curves, draw_truth, records
from scaling.config import CONFIG_FILE, PLAN_FILE, StudyConfig
from scaling.curves import CurveRow, curve_path
from scaling.data.prepare import prepare
from scaling.experiments import write_experiment
from scaling.planning.config import SizeConfig
from scaling.records import JOB_FILE, STATUS_FILE, RunStatus, record_path
from scaling.stages.study import plan_study
from scaling.training.config import Job
from scaling.values import to_plain, write_json

BATCH = 512
BUDGETS = (262_144, 3_145_728)  # tokens: those of the default study
# A text long enough for all of them, so that no point repeats any.
TEXT = ("data=synthetic", "data.source.language_documents=20000")


@dataclass(frozen=True)
class Cost:
    """Of one command: processor's and clock's seconds, MB at its peak, MB of the page it wrote."""

    cpu: float
    wall: float
    megabytes: float
    page: float | None = None


def run(command: Sequence[str], environment: dict[str, str] | None = None, page: Path | None = None) -> Cost:
    """Raises RuntimeError where the command fails; 3, that there is no answer, is none."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, env=environment)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 3):
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {said.read().decode()[-2000:]}")
    wall = time.perf_counter() - began
    size = None if page is None else page.stat().st_size / 1e6
    return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024, size)


def module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"scaling.{name}", *arguments]


def study_of(root: Path, num_points: int, recipe: str) -> StudyConfig:
    """A grid of so many points: small decoders, no two alike, on token counts between the default study's ends."""
    num_sizes = 100 if num_points >= 5000 else 50
    num_budgets = num_points // num_sizes
    tokens = np.geomspace(*BUDGETS, num_budgets) / BATCH
    budgets = tuple(float(BATCH * steps) for steps in np.unique(tokens.round()))
    sizes = tuple(SizeConfig(f"s{i:03d}", 2 + i % 4, 24 + 4 * (i // 4), 2) for i in range(num_sizes))
    base = config(
        *TEXT, f"recipe={recipe}", f"study=planted{num_points}{recipe}", f"runs={root / 'runs'}", "cache=cache"
    )
    return replace(base, grid=replace(base.grid, sizes=sizes, budgets=budgets, replicates=()))


def plant(study: StudyConfig) -> int:
    """Write what a sweep of it leaves; how many points there are."""
    plan, rng = plan_study(study), np.random.default_rng(0)
    truth = replace(draw_truth(rng), relative_sd=RELATIVE_SD)
    corpus = str(prepare(study.data, study.cache_folder))
    for spec in plan.runs:
        folder = study.folder / spec.id
        folder.mkdir(parents=True, exist_ok=True)
        job, status = (
            Job(spec, study.runtime, corpus),
            RunStatus("done", spec.total_steps, spec.total_steps, 1e5, 0.0, "host", 1),
        )
        (folder / JOB_FILE).write_text(json.dumps(to_plain(job)))
        (folder / STATUS_FILE).write_text(json.dumps(to_plain(status)))
    for record in records(plan, truth, rng):
        record_path(study.folder / record.run_id, record.budget_tokens).write_text(json.dumps(to_plain(record)))
    for segment in curves(plan, truth, rng):
        rows = [CurveRow(t, loss, 1e-3, 1.0, 1e5) for t, loss in zip(segment.tokens, segment.train_loss, strict=True)]
        lines = "".join(json.dumps(asdict(row)) + "\n" for row in rows)
        curve_path(study.folder / segment.run_id, segment.budget).write_text(lines)
    write_json(study.folder / CONFIG_FILE, study)
    write_json(study.folder / PLAN_FILE, plan)
    return len(plan.points)


def study_costs(root: Path, num_points: int, recipe: str) -> Iterator[tuple[str, int, Cost]]:
    study = study_of(root, num_points, recipe)
    write_experiment(root / "experiments", study.study, study, "Planted.", in_study=False)
    chosen = [f"--config-dir={root / 'experiments'}", f"experiment={study.study}", "force=[unanswerable,few_steps]"]
    at = [f"study={study.study}", f"runs={study.runs}"]
    count = plant(study)
    page = study.folder / "report/index.html"
    yield "plan", count, run(module("plan", *chosen))
    yield "status", count, run(module("status", *at))
    yield "status json=true", count, run(module("status", *at, "json=true"))
    yield "sweep, all points there", count, run(module("sweep", *chosen), page=page)
    yield "fit study=", count, run(module("fit", *at), page=page)
    yield "the same figures=false", count, run(module("fit", *at, "fit.figures=false"), page=page)


def table_costs(root: Path, num_rows: int, kind: str) -> Iterator[tuple[str, int, Cost]]:
    """Of a table of scattered points, of isoFLOP profiles, or of checkpoints of a hundred thousand runs."""
    rng = np.random.default_rng(0)
    flops = np.geomspace(1e17, 1e21, 50)[rng.integers(0, 50, num_rows)]
    if kind == "profiles":
        params = np.sqrt(flops / 120) * np.geomspace(0.2, 5, 12)[rng.integers(0, 12, num_rows)]
        tokens = flops / 6 / params
    else:
        params, tokens = 10 ** rng.uniform(7, 10, num_rows), 10 ** rng.uniform(8, 11, num_rows)
    loss = (1.8 + 480 / params**0.35 + 2100 / tokens**0.37) * np.exp(0.008 * rng.standard_normal(num_rows))
    columns: dict[str, Sequence[object]] = {"params": params.tolist(), "tokens": tokens.tolist(), "loss": loss.tolist()}
    if kind == "profiles":
        columns["budget"] = flops.tolist()
    if kind == "runs":
        columns["run"] = [f"run {i % max(num_rows // 10, 1)}" for i in range(num_rows)]
    path, out = root / f"{kind}{num_rows}.csv", root / "laws"
    with path.open("w") as file:
        file.write(",".join(columns) + "\n")
        file.writelines(",".join(map(str, row)) + "\n" for row in zip(*columns.values(), strict=True))
    fit = run(module("fit", f"source={path}", f"out={out}", "holdout=0.2"), page=out / "report/index.html")
    path.unlink()
    yield f"fit source= ({kind})", num_rows, fit


def show(costs: Sequence[tuple[str, int, Cost]]) -> None:
    """A line for each command and size; beside it the power of the size as which it grew from the one before."""
    print(f"{'command':34} {'size':>9} {'CPU s':>8} {'wall s':>8} {'MB':>7} {'page MB':>8}  exponents of s, MB")
    last: dict[str, tuple[int, Cost]] = {}
    for name, size, cost in costs:
        grew = ""
        if name in last and last[name][0] != size:
            before, there = last[name]
            powers = (
                math.log(now / then) / math.log(size / before)
                for now, then in ((cost.cpu, there.cpu), (cost.megabytes, there.megabytes))
            )
            grew = ", ".join(f"{power:.2f}" for power in powers)
        page = "" if cost.page is None else f"{cost.page:.2f}"
        print(
            f"{name:34} {size:9,} {cost.cpu:8.1f} {cost.wall:8.1f} {cost.megabytes:7.0f} {page:>8}  {grew}", flush=True
        )
        last[name] = size, cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="*", default=[1_000, 5_000, 20_000])
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--recipes", nargs="*", default=["cosine", "wsd"])
    parser.add_argument("--kinds", nargs="*", default=["scattered", "profiles", "runs"])
    asked = parser.parse_args()
    costs: list[tuple[str, int, Cost]] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(KeyboardInterrupt):
        for recipe in asked.recipes:
            for num_points in asked.points:
                with tempfile.TemporaryDirectory(dir=folder) as root:
                    for name, count, cost in study_costs(Path(root), num_points, recipe):
                        costs.append((f"{name} ({recipe})", count, cost))
                        show(costs[-1:])
        for kind in asked.kinds:
            for num_rows in asked.rows:
                for each in table_costs(Path(folder), num_rows, kind):
                    costs.append(each)
                    show(costs[-1:])
    print()
    show(sorted(costs, key=lambda each: each[0]))


if __name__ == "__main__":
    main()
