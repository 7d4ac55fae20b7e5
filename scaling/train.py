"""One trajectory: `python -m scaling.train FOLDER` for a launcher, `python -m scaling.train point=7` for a person.

With `-m` the points of a study (`-m point=0,5,9`: these) go through whichever launcher `hydra/launcher=` names.
`torchrun --nproc_per_node=4 -m scaling.train point=7` shares the point among four processes, and with `-m point=1,4`
several points one after the other (docs/gpu.md).

Example: python -m scaling.train study=default point=7
"""

import gc
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.exits import EXIT_BAD_CONFIG, EXIT_FAILED
from scaling.records import JOB_FILE, LOG_FILE

if TYPE_CHECKING:
    from omegaconf import DictConfig

SECONDS_BETWEEN_LINES = 5.0


def task(composed: "DictConfig") -> int:
    """Train the trajectory of the point `point`, up to that point's budget."""
    from scaling.config import PLAN_FILE, ConfigError, study_config
    from scaling.folders import require_ours
    from scaling.records import record_path, recorded
    from scaling.stages.study import make_tasks, plan_study, prepare_study, write_plan
    from scaling.stages.sweeping import choose_points, dry_run
    from scaling.terminal import PlainConsole
    from scaling.training.team import leave_team, team_of_this_process
    from scaling.training.worker import run_folder
    from scaling.values import to_plain

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
        if not (config.folder / PLAN_FILE).exists():
            write_plan(config, plan)  # so that `scaling.status` has something to show
        make_tasks(config, plan, corpora, [point], wave=point.wave)
    team.told(None)  # the job is there for all
    folder = config.folder / point.run_id
    with told_now_and_then(folder, f"point {point.index}, {point.size} on {point.tokens:,} tokens", team.leads):
        code = run_folder(folder)
    leave_team()
    record = recorded(folder, point.tokens)
    if team.leads and config.json:
        PlainConsole().print_json(data={"folder": str(folder), "record": to_plain(record)})
    elif team.leads and record is not None and record.final_loss_nats is not None:
        print(f"{record.final_loss_nats:.4f} nats/token in {record.seconds:.0f} s; {record_path(folder, point.tokens)}")
    return code


@contextmanager
def told_now_and_then(folder: Path, what: str, tell: bool) -> Iterator[None]:
    """A line when the training begins, and one every few seconds: a person looks at it."""
    from scaling.launching.tasks import last_status

    over = threading.Event()

    def look() -> None:
        while not over.wait(SECONDS_BETWEEN_LINES):
            status = last_status(folder)
            if status is not None:
                at = (
                    "evaluating"
                    if status.step >= status.total_steps
                    else f"step {status.step:,} of {status.total_steps:,}"
                )
                print(f"{what}: {at}, {status.tokens_per_second:,.0f} tokens/s", file=sys.stderr, flush=True)

    if tell:
        print(f"{what}: training in {folder}", file=sys.stderr, flush=True)
        threading.Thread(target=look, daemon=True).start()
    try:
        yield
    finally:
        over.set()


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

    run_hydra(task, "sweep", command="train", about=__doc__, argv=argv)


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
