"""Fit the time model to what a study measured on this machine, and print it as configs/time_model/NAME.yaml.

    python benchmarks/time_model.py runs/default

Non-negative least squares of seconds, relative to what was measured, on steps, steps times layers, and FLOPs.
"""

import sys
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from scaling.records import read_records
from scaling.specs import Plan
from scaling.values import read_json


def main() -> None:
    study = Path(sys.argv[1])
    plan = read_json(Plan, study / "plan.json")
    records = [record for record in read_records(study) if record.status == "done"]
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
