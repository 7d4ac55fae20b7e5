"""`python -m scaling.sweep`: prepare, plan, train, predict the held-out points, train those, fit, report.

A Hydra multirun: this project's sweeper (hydra_plugins/scaling) hands the study to `stages.sweeping`, and the launcher
is whichever `hydra/launcher=` names. Every stage starts from what is on disk, so the same command goes on wherever an
earlier one stopped.

Example: python -m scaling.sweep study=mine data=local data.source.path=my/texts dry_run=true
"""

import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from scaling.launching.early import warm_up

if TYPE_CHECKING:
    from omegaconf import DictConfig


def task(composed: "DictConfig") -> int:
    """Only reached when somebody overrides hydra.mode."""
    from scaling.config import ConfigError

    raise ConfigError(
        "hydra.mode is not MULTIRUN, and a sweep is one: leave it out, or train one point with "
        "`python -m scaling.train point=0`"
    )


def main(argv: Sequence[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else argv
    # Before anything else: workers import torch while this process imports Hydra and plans.
    warm_up(argv)
    from scaling.stages.in_team import share

    share(partial(sweep, argv))


def sweep(argv: Sequence[str]) -> None:
    from scaling.command import run_hydra

    own = ("hydra.mode=MULTIRUN", "hydra.sweeper.finish=true")
    run_hydra(task, "sweep", command="sweep", about=__doc__, overrides=own, argv=argv)


if __name__ == "__main__":
    main()
