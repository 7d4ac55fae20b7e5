"""`python -m scaling.plan`: the sweep's dry run under a name of its own, which writes nothing.

With next=runs/mine it proposes the points that would tell most of `power.quantity` for each FLOP, from what the study
has measured, and writes them as an experiment.

With gpu_hours=8 (and gpus=8, sizes=[1e6,1e8]) it chooses sizes, budgets and seeds that tell most of the best N in so
much time, by what this machine's steps take or by time_model=h100, h200, a100, 4090, l4, cpu, and writes that as an
experiment; the rest of the study is that of experiment=gpu where none is named.

Example: python -m scaling.plan grid=isoflop recipe=cosine
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from scaling.command import run_hydra
from scaling.config import config_here, study_config
from scaling.stages.rounds import plan_next
from scaling.stages.sweeping import dry_run


def task(composed: DictConfig) -> int:
    config = study_config(composed)
    if config.gpu_hours is not None:
        from scaling.stages.hours import plan_by_hours

        return plan_by_hours(config)
    if config.next is None:
        return dry_run(config)
    folder = Path(config.next)
    return plan_next(config, config_here(folder), folder)


def main(argv: Sequence[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else argv
    for_hours = any(argument.startswith("gpu_hours=") for argument in argv)
    named = any(argument.startswith("experiment=") for argument in argv)
    own = ("experiment=gpu",) if for_hours and not named else ()
    run_hydra(task, "sweep", command="plan", about=__doc__, overrides=own, argv=argv)


if __name__ == "__main__":
    main()
