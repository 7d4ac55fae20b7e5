"""How a run is executed, never what: nothing here may change the science, and nothing here enters a run's id."""

from dataclasses import dataclass
from typing import Literal

from scaling.records import RunPart
from scaling.specs import RunSpec
from scaling.trainers.config import TrainerConfig

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]
Parallel = Literal["ddp", "fsdp"]


@dataclass(frozen=True)
class Runtime:
    """
    device               "auto" takes CUDA, then the CPU; which GPUs, CUDA_VISIBLE_DEVICES says
    precision            "auto" is bf16 on CUDA and fp32 elsewhere; bf16 and fp16 are autocast over fp32 weights, tf32
                         is fp32 with TensorFloat-32 products where the device has them
    micro_batch_tokens   the most tokens of one process in one forward pass. "auto" starts with the whole batch; either
                         way what does not fit is halved until it does
    parallel             how the processes of torchrun share a point: "ddp" has all weights in each, "fsdp" a part
    compile              blocks by torch.compile. "auto": on a GPU whose check of it has passed (`scaling.gpu_check`)
    capture              the step as one CUDA graph; "auto" as for `compile`, and where nothing in it needs the host
    deterministic        kernels that sum in a fixed order: then a GPU resumes bit for bit, too, and is slower
    gpu_check            the first sweep on a new GPU runs the quick check by itself
    workers              points at a time; null: one for each GPU, or one for each `threads` cores
    threads              CPU threads of each worker
    profile              write a torch.profiler trace of a few steps into the run's folder
    """

    device: Device = "auto"
    precision: Precision = "auto"
    micro_batch_tokens: int | Literal["auto"] = "auto"
    parallel: Parallel = "ddp"
    compile: bool | Literal["auto"] = "auto"
    capture: bool | Literal["auto"] = "auto"
    deterministic: bool = False
    gpu_check: bool = True
    workers: int | None = None
    threads: int = 1
    log_every_steps: int = 50
    checkpoint_every_seconds: float = 30.0
    tensorboard: bool = True
    profile: bool = False

    def __post_init__(self) -> None:
        for name in ("workers", "threads", "log_every_steps", "micro_batch_tokens"):
            value = getattr(self, name)
            if value is not None and value != "auto" and value < 1:
                raise ValueError(f"runtime.{name} is {value}; it must be at least 1")
        if self.checkpoint_every_seconds < 0:
            raise ValueError(
                f"runtime.checkpoint_every_seconds is {self.checkpoint_every_seconds}; it must be at least 0 "
                "(0 saves after every step)"
            )


@dataclass(frozen=True)
class Job:
    """All that a worker needs to know, as `job.json` in the folder that it works in.

    whole    the trunk and every branch, one after the other, in the run's folder
    trunk    the trunk alone, in the run's folder; where a branch begins, its state goes to the branch's folder
    branch   the branch of `budget` alone, in a folder of its own inside the run's

    With a `trainer` all of it is that program's.
    """

    spec: RunSpec
    runtime: Runtime
    corpus_folder: str
    part: RunPart = "whole"
    budget: int | None = None
    trainer: TrainerConfig | None = None

    @property
    def total_steps(self) -> int:
        """Steps that the part computes."""
        spec = self.spec
        if self.part == "trunk":
            return max(spec.cooldown_start(budget) for budget in spec.budgets)
        if self.budget is not None:
            return spec.steps(self.budget) - spec.cooldown_start(self.budget)
        return spec.total_steps
