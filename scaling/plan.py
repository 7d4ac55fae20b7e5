"""`python -m scaling.plan`: the sweep's dry run under a name of its own, which writes nothing.

With next=runs/mine it proposes the points that would tell most of `power.quantity` for each FLOP, from what the study
has measured, and writes them as an experiment.

Example: python -m scaling.plan grid=isoflop recipe=cosine
"""

from pathlib import Path

from omegaconf import DictConfig

from scaling.command import run_hydra
from scaling.config import config_here, study_config
from scaling.stages.rounds import plan_next
from scaling.stages.sweeping import dry_run


def task(composed: DictConfig) -> int:
    config = study_config(composed)
    if config.next is None:
        return dry_run(config)
    folder = Path(config.next)
    return plan_next(config, config_here(folder), folder)


def main() -> None:
    run_hydra(task, "sweep", command="plan", about=__doc__)


if __name__ == "__main__":
    main()
