"""`python -m scaling.plan`: the sweep's dry run under a name of its own. It writes nothing.

Example: python -m scaling.plan grid.kind=isoflop 'grid.budgets=[1e12,3e12,1e13]'
"""

from omegaconf import DictConfig

from scaling.command import run_hydra
from scaling.config import study_config
from scaling.sweeping import dry_run


def task(composed: DictConfig) -> int:
    return dry_run(study_config(composed))


def main() -> None:
    run_hydra(task, "sweep", about=__doc__)


if __name__ == "__main__":
    main()
