"""One trajectory: `python -m scaling.train FOLDER` for a launcher, `python -m scaling.train point=7` for a person.

With `-m` the points of a study (`-m point=0,5,9`: these) go through whichever launcher `hydra/launcher=` names.
`torchrun --nproc_per_node=4 -m scaling.train point=7` shares the point among four processes, and with `-m point=1,4`
several points one after the other (docs/gpu.md).

Example: python -m scaling.train study=default point=7
"""

import gc
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.exits import EXIT_BAD_CONFIG, EXIT_FAILED
from scaling.records import JOB_FILE, LOG_FILE

if TYPE_CHECKING:
    from omegaconf import DictConfig


def task(composed: "DictConfig") -> int:
    """Train the trajectory of the point `point`, up to that point's budget."""
    from scaling.config import ConfigError, study_config
    from scaling.folders import require_ours
    from scaling.stages.study import make_tasks, plan_study, prepare_study
    from scaling.stages.sweeping import choose_points, dry_run
    from scaling.training.team import leave_team, team_of_this_process
    from scaling.training.worker import run_folder

    config = study_config(composed)
    if config.dry_run:
        return dry_run(config)
    require_ours(config.folder, "study", key="study", overwrite=config.overwrite)
    corpora = prepare_study(config)
    plan = plan_study(config)
    if config.point is None:
        raise ConfigError("point is not given: name one, as in point=7, or train them all with -m")
    (point,) = choose_points(plan, [config.point])
    team = team_of_this_process()
    if team.leads:
        make_tasks(config, plan, corpora, [point], wave=point.wave)
    team.told(None)  # the job is there for all
    code = run_folder(config.folder / point.run_id)
    leave_team()
    return code


def run_in_own_process(composed: "DictConfig") -> int:
    """The task of somebody else's launcher: the run of `run`, in a process whose end is not the launcher's."""
    folder = Path(str(composed.run))
    from scaling.values import open_to_append

    with open_to_append(folder / LOG_FILE) as log:
        command = [sys.executable, "-m", "scaling.train", str(folder)]
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False).returncode


def main(argv: Sequence[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else argv
    # A launcher's workers start in a fraction of a second less without Hydra and a config.
    if list(argv) == ["--warm"]:
        serve_forks()
    elif list(argv) == ["--keep"]:
        serve_tasks()
    elif len(argv) == 1 and Path(argv[0]).is_dir():
        sys.exit(run_one(Path(argv[0])))
    elif {"-m", "--multirun"} & set(argv):
        from scaling.stages.in_team import share

        share(partial(train, argv))
    else:
        train(argv)


def train(argv: Sequence[str]) -> None:
    from scaling.command import run_hydra

    run_hydra(task, "sweep", about=__doc__, argv=argv)


def serve_forks() -> None:
    """What is imported here lives as long as the process: to look for garbage in it takes a quarter of the time."""
    gc.disable()
    from scaling.launching.warm import serve
    from scaling.training.worker import prepare_for_forks, run_folder

    gc.freeze()
    gc.enable()
    serve(run_folder, prepare_for_forks)


def serve_tasks() -> None:
    """One after the other, on a GPU."""
    from scaling.launching.kept import serve
    from scaling.training.device import release_everything
    from scaling.training.worker import run_folder

    serve(run_folder, release_everything)


def run_one(folder: Path) -> int:
    from scaling.folders import FolderError, storage_words
    from scaling.training.team import leave_team
    from scaling.training.worker import run_folder

    if not (folder / JOB_FILE).exists():
        print(f"error: {folder} holds no {JOB_FILE}; the sweep writes one into each run's folder", file=sys.stderr)
        return EXIT_BAD_CONFIG
    try:
        code = run_folder(folder)
    except (OSError, FolderError) as error:
        words = storage_words(error) if isinstance(error, OSError) else str(error)
        print(f"error: {words}", file=sys.stderr)
        return EXIT_FAILED
    leave_team()
    return code


if __name__ == "__main__":
    main()
