"""Weights & Biases: a run for each point, in the project named like the study.

Keys, entity, server and mode are those of its own variables (WANDB_API_KEY, WANDB_ENTITY, WANDB_BASE_URL, WANDB_MODE).
"""

from pathlib import Path

import wandb

from scaling.sinks.point import FinishedPoint, SinkError


class WandbSink:
    def __init__(self, study_folder: Path) -> None:
        self._folder = study_folder

    def send(self, point: FinishedPoint) -> None:
        try:
            run = wandb.init(
                project=point.study,
                group=point.size,
                id=point.id,
                name=point.id,
                config=dict(point.settings),
                dir=str(self._folder),
                resume="allow",
                reinit="finish_previous",
                settings=wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True),
            )
            for tokens, numbers in point.curve:
                run.log(dict(numbers), step=tokens)
            run.summary.update(dict(point.results))
            run.finish(exit_code=0 if point.done else 1)
        except (wandb.errors.Error, OSError) as error:
            raise SinkError(" ".join(str(error).split())) from error
