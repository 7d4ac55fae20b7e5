"""How points are handed to a machine or a cluster; nothing here enters a run's id."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class LaunchConfig:
    """
    workers_per_gpu      points that share a GPU; "auto": as many as fit by the memory that was measured or predicted of
                         their sizes, where the check of sharing has passed on that GPU (`scaling.gpu_check`), else one
    gpus_per_point       GPUs of each point, over which torchrun spreads it
    wait                 stay until the points are done; null: the pool stays, the slurm launcher returns at once
    then_fit             slurm, without waiting: a dependent job that fits and reports when all points have ended
    min_seconds_per_job  slurm: small points share a job until it lasts so long by the time model
    """

    workers_per_gpu: int | Literal["auto"] = "auto"
    gpus_per_point: int = 1
    wait: bool | None = None
    then_fit: bool = False
    min_seconds_per_job: float = 600.0

    def __post_init__(self) -> None:
        if self.gpus_per_point > 1 and self.workers_per_gpu not in (1, "auto"):
            raise ValueError(
                f"launch.gpus_per_point is {self.gpus_per_point} and launch.workers_per_gpu is "
                f"{self.workers_per_gpu}: a point that has several GPUs shares none of them, so leave the latter at 1"
            )
