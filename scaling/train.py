"""One trajectory: `python -m scaling.train FOLDER` for a launcher, `python -m scaling.train point=7` for a person.

With `-m point=0,5,9` Hydra launches each point's trajectory through whichever launcher is configured.

Example: python -m scaling.train study=default point=7
"""

import sys
from pathlib import Path

from omegaconf import DictConfig

from scaling.command import EXIT_BAD_CONFIG, run_hydra
from scaling.records import JOB_FILE


def task(composed: DictConfig) -> int:
    """Train the trajectory of the point `point`, up to that point's budget."""
    from scaling.config import ConfigError, study_config
    from scaling.sweep import plan_study, prepare_study, write_jobs
    from scaling.training.worker import run_folder

    config = study_config(composed)
    corpus = prepare_study(config)
    plan = plan_study(config)
    if config.point is None or not 0 <= config.point < len(plan.points):
        raise ConfigError(
            f"point is {config.point}; it must be the number of a point of the plan, 0 to {len(plan.points) - 1}: "
            "`python -m scaling.sweep dry_run=true` lists them"
        )
    point = plan.points[config.point]
    write_jobs(config, plan, corpus, [point])
    return run_folder(config.folder / point.run_id)


def main() -> None:
    if len(sys.argv) == 2 and Path(sys.argv[1]).is_dir():
        # A launcher's worker starts in a fraction of a second less without composing a config.
        from scaling.training.worker import run_folder

        if not (Path(sys.argv[1]) / JOB_FILE).exists():
            print(
                f"error: {sys.argv[1]} holds no {JOB_FILE}; the sweep writes one into each run's folder",
                file=sys.stderr,
            )
            sys.exit(EXIT_BAD_CONFIG)
        sys.exit(run_folder(Path(sys.argv[1])))
    run_hydra(task, "sweep", about=__doc__)


if __name__ == "__main__":
    main()
