"""One decoder in several processes: DDP or FSDP2, and the whole tensors of either for a checkpoint."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from scaling.model.decoder import Decoder
from scaling.training.config import Runtime
from scaling.training.team import Team

COMPILER = "inductor"


def exchange_nothing(now: bool) -> AbstractContextManager[object]:
    return nullcontext()


@dataclass(frozen=True)
class Placed:
    """How a decoder is called. `exchange(now)` surrounds each micro-batch: with `now`, at the last of a step, its
    backward pass averages the gradients of all processes."""

    forward: Callable[[Tensor, Tensor], Tensor]
    exchange: Callable[[bool], AbstractContextManager[object]] = exchange_nothing


def place(decoder: Decoder, runtime: Runtime, team: Team, device: torch.device) -> Placed:
    """Move a decoder, alike in all processes, to its device or devices. Its parameters are what an optimiser takes."""
    if team.size > 1 and runtime.parallel == "fsdp":
        return _sharded(decoder, runtime, team, device)
    decoder.to(device)
    if runtime.compile:
        compile_blocks(decoder)
    if team.size == 1:
        return Placed(decoder)
    replica = nn.parallel.DistributedDataParallel(
        decoder,
        device_ids=[device] if device.type == "cuda" else None,
        broadcast_buffers=False,
        gradient_as_bucket_view=True,
    )
    return Placed(replica, lambda now: nullcontext() if now else replica.no_sync())


def _sharded(decoder: Decoder, runtime: Runtime, team: Team, device: torch.device) -> Placed:
    # Imported late: it takes half a second, and few runs need it.
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

    mesh = init_device_mesh(device.type, (team.size,))
    if runtime.compile:
        compile_blocks(decoder)
    for block in decoder.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(decoder, mesh=mesh)
    register_fsdp_forward_method(decoder, "token_losses")
    decoder.to(device)
    assert isinstance(decoder, FSDPModule)
    module: FSDPModule = decoder

    def exchange(now: bool) -> AbstractContextManager[object]:
        module.set_requires_gradient_sync(now)
        return nullcontext()

    return Placed(decoder, exchange)


def compile_blocks(decoder: Decoder) -> None:
    """Block by block: all have one graph, so that the time it takes does not grow with depth. With fixed shapes: micro-
    batches have one, or two, and a graph for any would be slower for each."""
    for block in decoder.blocks:
        block.compile(fullgraph=True, dynamic=False, backend=COMPILER)


def gathered(value: Tensor) -> Tensor:
    """A sharded tensor whole on every process, all of which call this; another as it is."""
    if not is_sharded(value):
        return value
    whole: Tensor = value.full_tensor()  # type: ignore[attr-defined]
    return whole


def is_sharded(value: object) -> bool:
    return hasattr(value, "full_tensor")


def load_whole(decoder: Decoder, optimizer: torch.optim.Optimizer, weights: dict[str, Tensor], moments: Any) -> None:
    """Put whole tensors into a decoder and its optimiser, sharded or not; what is given stays the giver's."""
    decoder.load_state_dict({name: _like(weights[name], value) for name, value in decoder.state_dict().items()})
    # An optimiser's state is kept under the number of its parameter.
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state = {
        index: {key: _like(value, parameters[index]) for key, value in kept.items()}
        for index, kept in moments["state"].items()
    }
    optimizer.load_state_dict({**moments, "state": state})


def _like(value: Any, model: Tensor) -> Any:
    if not isinstance(value, Tensor):
        return value
    if not is_sharded(model) or value.shape != model.shape:
        return value.clone() if value.device == model.device else value
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(model, DTensor)
    return distribute_tensor(value.to(model.device), model.device_mesh, model.placements)
