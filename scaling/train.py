"""One trajectory: `python -m scaling.train FOLDER` for a launcher, `python -m scaling.train point=7` for a person.

With `-m` the points of a study (`-m point=0,5,9`: these) go through whichever launcher `hydra/launcher=` names.
`torchrun --nproc_per_node=4 -m scaling.train point=7` shares the point among four processes, and with `-m point=1,4`
several points one after the other (docs/gpu.md).

Example: python -m scaling.train study=default point=7
"""

import subprocess
import sys
from pathlib import Path

from omegaconf import DictConfig

from scaling.command import EXIT_BAD_CONFIG, run_hydra
from scaling.records import JOB_FILE, LOG_FILE


def task(composed: DictConfig) -> int:
    """Train the trajectory of the point `point`, up to that point's budget."""
    from scaling.config import ConfigError, study_config
    from scaling.stages.study import make_tasks, plan_study, prepare_study
    from scaling.stages.sweeping import choose_points, dry_run
    from scaling.training.team import team_of_this_process
    from scaling.training.worker import run_folder

    config = study_config(composed)
    if config.dry_run:
        return dry_run(config)
    corpora = prepare_study(config)
    plan = plan_study(config)
    if config.point is None:
        raise ConfigError("point is not given: name one, as in point=7, or train them all with -m")
    (point,) = choose_points(plan, [config.point])
    team = team_of_this_process()
    if team.leads:
        make_tasks(config, plan, corpora, [point], wave=point.wave)
    team.told(None)  # the job is there for all
    return run_folder(config.folder / point.run_id)


def run_in_own_process(composed: DictConfig) -> int:
    """The task of somebody else's launcher: the run of `run`, in a process whose end is not the launcher's."""
    folder = Path(str(composed.run))
    with (folder / LOG_FILE).open("ab") as log:
        command = [sys.executable, "-m", "scaling.train", str(folder)]
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False).returncode


def main() -> None:
    if sys.argv[1:] == ["--warm"]:
        from scaling.launching.warm import serve
        from scaling.training.worker import prepare_for_forks, run_folder

        prepare_for_forks()
        serve(run_folder)
        return
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
    if {"-m", "--multirun"} & set(sys.argv[1:]):
        from scaling.stages.in_team import share

        share(train)
    else:
        train()


def train() -> None:
    run_hydra(task, "sweep", about=__doc__)


if __name__ == "__main__":
    main()
