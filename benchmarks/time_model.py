"""The estimate of a study's time beside what it took, and the time model fitted to it, as configs/time_model/NAME.yaml.

    python -m scaling.plan study=timed calibrate=true && python -m scaling.sweep study=timed
    python -m benchmarks.time_model runs/timed [--cache cache]

Estimates are made as the dry run makes them, from the calibration of this machine where there is one. The wall time of
a wave is read from its records: from the first start to the last end. The fit is non-negative least squares of seconds,
relative to what was measured, on steps, steps times layers, and FLOPs.
"""

import argparse
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from scaling.config import CONFIG_FILE, PLAN_FILE, StudyConfig
from scaling.planning.schedule import wall_seconds
from scaling.records import RunRecord, read_records
from scaling.specs import Plan
from scaling.stages.local import study_slots
from scaling.stages.study import study_cost
from scaling.values import read_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--cache", default="cache")
    arguments = parser.parse_args()
    plan = read_json(Plan, arguments.study / PLAN_FILE)
    config = replace(read_json(StudyConfig, arguments.study / CONFIG_FILE), cache=arguments.cache)
    records = [record for record in read_records(arguments.study) if record.status == "done"]
    compare(plan, config, records)
    fit(plan, records)


def compare(plan: Plan, config: StudyConfig, records: list[RunRecord]) -> None:
    cost = study_cost(config)
    measured = sum(cost.is_measured(run) for run in plan.runs)
    workers = len(study_slots(config.runtime, config.launch).free)
    estimates = wall_seconds(plan, cost, workers)
    print(f"# {measured} of {len(plan.runs)} runs have a measured shape; {workers} workers")
    held_out = {(point.run_id, point.tokens) for point in plan.points if point.held_out}
    print("| | estimated s | measured s | estimated / measured |")
    print("| --- | ---: | ---: | ---: |")
    for wave, estimate in zip((1, 2), estimates, strict=True):
        of_wave = [r for r in records if ((r.run_id, r.budget_tokens) in held_out) is (wave == 2)]
        if of_wave:
            took = span(of_wave)
            print(f"| wave {wave} | {estimate:.0f} | {took:.0f} | {estimate / took:.2f} |")
    steps = [
        (r, plan.by_id[r.run_id], r.seconds / r.steps)
        for r in records
        if r.budget_tokens == plan.by_id[r.run_id].budgets[0]
    ]
    for record, run, seconds in steps:
        estimate = cost.seconds_per_step(run)
        print(f"| {record.run_id}, a step | {estimate:.4f} | {seconds:.4f} | {estimate / seconds:.2f} |")


def span(records: list[RunRecord]) -> float:
    """From the first start to the last end; a run's first record starts by its training time before it ends, so its
    start-up and its evaluations before that are missing from a wave of single-budget runs."""
    ends = [datetime.fromisoformat(record.provenance.finished_at).timestamp() for record in records]
    return max(ends) - min(end - record.seconds for end, record in zip(ends, records, strict=True))


def fit(plan: Plan, records: list[RunRecord]) -> None:
    seconds = np.array([record.seconds for record in records])
    layers = np.array([plan.by_id[record.run_id].model.num_layers for record in records])
    steps = np.array([record.steps for record in records])
    flops = np.array([float(record.flops) for record in records])
    columns = np.stack([steps, steps * layers, flops / 1e10], axis=1)
    (per_step, per_layer_step, per_flops), _ = nnls(columns / seconds[:, None], np.ones(len(seconds)))
    error = np.abs(columns @ [per_step, per_layer_step, per_flops] / seconds - 1)
    print(f"# {len(records)} points; relative error: median {np.median(error):.0%}, worst {np.max(error):.0%}")
    print(f"seconds_per_step: {per_step:.3g}")
    print(f"seconds_per_layer_step: {per_layer_step:.3g}")
    print(f"flops_per_second: {1e10 / per_flops:.2e}")


if __name__ == "__main__":
    main()
