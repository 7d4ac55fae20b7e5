"""The processes that train one point together, as torchrun starts them; one process is a team of one."""

import os
from datetime import timedelta
from functools import cache
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from scaling.specs import RunSpec
from scaling.training.config import Runtime

T = TypeVar("T")

# A rank may wait this long for another: for one that compiles, writes a checkpoint or reads a slow disk.
PATIENCE = timedelta(minutes=30)


class Team:
    """What the processes of a point agree on. Rank 0 leads: it alone writes files.

    Every method that agrees on something is called by all ranks at the same place, or by none.
    """

    def __init__(self, rank: int = 0, size: int = 1, local_rank: int = 0) -> None:
        self.rank, self.size, self.local_rank = rank, size, local_rank

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag, whether it is set on any rank."""
        if self.size == 1:
            return flags
        shared = torch.tensor(flags, dtype=torch.int32)
        dist.all_reduce(shared, op=dist.ReduceOp.MAX)
        return tuple(bool(flag) for flag in shared.tolist())

    def sum(self, values: Tensor) -> Tensor:
        """Of a CPU tensor, over ranks."""
        if self.size > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def most(self, value: int) -> int:
        if self.size == 1:
            return value
        shared = torch.tensor([value])
        dist.all_reduce(shared, op=dist.ReduceOp.MAX)
        return int(shared)

    def told(self, value: T) -> T:
        """The leader's value."""
        if self.size == 1:
            return value
        message = [value]
        dist.broadcast_object_list(message, src=0, device=torch.device("cpu"))
        return message[0]

    def share(self, count: int) -> tuple[int, int]:
        """Start and length of this rank's part of `count` things; parts differ by one at most."""
        each, extra = divmod(count, self.size)
        return self.rank * each + min(self.rank, extra), each + (self.rank < extra)


def leave_team() -> None:
    """At the end of a process: NCCL's threads would else outlive what they wait for."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
        team_of_this_process.cache_clear()


@cache
def team_of_this_process() -> Team:
    """By the environment that torchrun sets; it lasts as long as the process."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Team()
    # Flags and sums are CPU tensors and go through gloo: to agree on them never waits for a GPU's queue.
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    return Team(dist.get_rank(), dist.get_world_size(), int(os.environ["LOCAL_RANK"]))


def check_split(spec: RunSpec, runtime: Runtime, team: Team, precision: str | None = None) -> None:
    """Raises ValueError where this run cannot be shared by so many processes in that way."""
    sequences = spec.optimizer.batch_tokens // spec.model.context
    if sequences < team.size:
        raise ValueError(
            f"a batch of {sequences} sequences cannot be shared by {team.size} processes: start at most {sequences}"
        )
    if team.size == 1 or runtime.parallel == "ddp":
        return
    # Each forward pass gathers weights from all ranks, so all must make the same number of them.
    if sequences % team.size:
        divisors = [n for n in range(1, sequences + 1) if sequences % n == 0]
        raise ValueError(
            f"runtime.parallel=fsdp needs equal shares and a batch of {sequences} sequences does not divide by "
            f"{team.size} processes: start one of {divisors}, or set runtime.parallel=ddp"
        )
    if (precision or runtime.precision) == "fp16":
        raise ValueError(
            "runtime.precision=fp16 with runtime.parallel=fsdp is not built: each process would judge overflows by its "
            "own part of the gradient; set runtime.precision=bf16 or runtime.parallel=ddp"
        )
