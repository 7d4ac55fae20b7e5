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
    backward pass averages the gradients of all processes. One that `casts_itself` wants no autocast."""

    forward: Callable[[Tensor, Tensor], Tensor]
    exchange: Callable[[bool], AbstractContextManager[object]] = exchange_nothing
    casts_itself: bool = False


def place(
    decoder: Decoder,
    runtime: Runtime,
    team: Team,
    device: torch.device,
    precision: str = "fp32",
    compiled: bool = False,
) -> Placed:
    """Move a decoder, alike in all processes, to its device or devices. Its parameters are what an optimiser takes."""
    if team.size > 1 and runtime.parallel == "fsdp":
        return _sharded(decoder, team, device, precision, compiled)
    decoder.to(device)
    if compiled:
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


def _sharded(decoder: Decoder, team: Team, device: torch.device, precision: str, compiled: bool) -> Placed:
    # Imported late: it takes half a second, and few runs need it.
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import (
        FSDPModule,
        MixedPrecisionPolicy,
        fully_shard,
        register_fsdp_forward_method,
    )

    mesh = init_device_mesh(device.type, (team.size,))
    if compiled:
        compile_blocks(decoder)
    # Gathered in the type of the products, at half the traffic; gradients are summed in float32.
    half = precision == "bf16"
    # Inputs stay as they are: the residual between the blocks, and the table of turns, are in float32.
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if half else None, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    for i, block in enumerate(decoder.blocks, start=1):
        # The last is needed again at once, by the backward pass.
        fully_shard(block, mesh=mesh, reshard_after_forward=i < len(decoder.blocks), mp_policy=policy)
    fully_shard(decoder, mesh=mesh, mp_policy=policy)
    register_fsdp_forward_method(decoder, "token_losses")
    decoder.to(device)
    assert isinstance(decoder, FSDPModule)
    module: FSDPModule = decoder

    def exchange(now: bool) -> AbstractContextManager[object]:
        module.set_requires_gradient_sync(now)
        module.set_reshard_after_backward(now)
        return nullcontext()

    return Placed(decoder, exchange, casts_itself=half)


def exact_twin(decoder: Decoder, twin: Decoder | None, team: Team, device: torch.device) -> Decoder:
    """A sharded decoder's weights in one that gathers them in float32, for evaluations: a loss shall not depend on how
    the model was trained. All processes call it; `twin` is what it returned before."""
    from torch.distributed.fsdp import FSDPModule

    if twin is None:
        twin = Decoder(decoder.config)
        _sharded(twin, team, device, "fp32", compiled=False)
    for module in (*twin.modules(), *decoder.modules()):
        if isinstance(module, FSDPModule):
            module.reshard()  # an evaluation leaves what was gathered last as it is
    with torch.no_grad():
        for mine, theirs in zip(twin.parameters(), decoder.parameters(), strict=True):
            mine.copy_(theirs)
    return twin.eval()


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
