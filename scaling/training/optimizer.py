"""The optimiser of a run: one parameter group for each role, hidden matrices, embeddings with the head, vectors."""

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from scaling.model.decoder import Decoder
from scaling.specs import Optimizer
from scaling.training.muon import StackedMuon
from scaling.training.parallel import is_sharded

# torch.optim.Muon's first release.
MUON_SINCE = "2.9"


class Unguarded(torch.optim.Optimizer):
    """Methods without the wrappers by which torch keeps its compiler out of them.

    Outside of compiled code the wrappers do nothing, and the first call of one imports the compiler: a second of a core
    before the first step. No optimiser of ours is compiled.
    """

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)


class AdamW(Unguarded, torch.optim.AdamW):
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class MuonWithAdamW(Unguarded):
    """Muon on hidden matrices, AdamW on all else, as one optimiser: one list of groups, one state, one checkpoint.

    The groups and the state are those of the two inside, shared and not copied.
    """

    def __init__(self, muon: torch.optim.Optimizer, adamw: AdamW) -> None:
        self.inner, self._num_muon_groups = (muon, adamw), len(muon.param_groups)
        super().__init__([*muon.param_groups, *adamw.param_groups], defaults={})
        self._share()

    def _share(self) -> None:
        muon, adamw = self.inner
        muon.param_groups = self.param_groups[: self._num_muon_groups]
        adamw.param_groups = self.param_groups[self._num_muon_groups :]
        muon.state = adamw.state = self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._share()

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for inner in self.inner:
            inner.step()


def make_optimizer(decoder: Decoder, numbers: Optimizer, *, stacked: bool | None = None) -> torch.optim.Optimizer:
    """Decay on the hidden matrices alone; each group keeps its peak under `peak_lr`.

    The fused kernel is used where torch has one (CPU and CUDA). Muon takes matrices of one shape together (`stacked`;
    None: on a GPU, where they are whole), else torch's own takes them one by one. Raises ValueError where it has none.
    """
    matrices = [p for p in decoder.blocks.parameters() if p.ndim == 2]
    vectors = [p for p in decoder.parameters() if p.ndim == 1]
    taken = {id(p) for p in [*matrices, *vectors]}
    embeddings: list[nn.Parameter] = [p for p in decoder.parameters() if id(p) not in taken]
    matrix_group = {"params": matrices, "lr": numbers.matrix_lr, "weight_decay": numbers.weight_decay}
    other_groups = [
        {"params": embeddings, "lr": numbers.embedding_lr, "weight_decay": 0.0},
        {"params": vectors, "lr": numbers.vector_lr, "weight_decay": 0.0},
    ]
    groups = [matrix_group, *other_groups]
    for group in groups:
        group["peak_lr"] = group["lr"]
    adamw = AdamW(
        groups if numbers.kind == "adamw" else other_groups,
        betas=(numbers.beta1, numbers.beta2),
        eps=numbers.epsilon,
        fused=matrices[0].device.type in ("cpu", "cuda"),
    )
    if numbers.kind == "adamw":
        return adamw
    if stacked is None:
        stacked = matrices[0].device.type == "cuda" and not is_sharded(matrices[0])
    if stacked:
        return MuonWithAdamW(StackedMuon([matrix_group], momentum=numbers.momentum), adamw)
    if not hasattr(torch.optim, "Muon"):
        raise ValueError(
            f"recipe.optimizer is muon, which came with torch {MUON_SINCE}, and this is torch {torch.__version__}: "
            "install a newer one, or take recipe.optimizer=adamw"
        )

    class Muon(Unguarded, torch.optim.Muon):
        step = torch.no_grad()(inspect.unwrap(torch.optim.Muon.step))

    # Its plain adjustment, sqrt(max(1, rows / columns)), is the one whose rate does not change with width.
    muon = Muon([matrix_group], momentum=numbers.momentum, adjust_lr_fn="original")
    return MuonWithAdamW(muon, adamw)


def set_learning_rate(optimizer: torch.optim.Optimizer, share: float) -> None:
    """A rate that is a tensor, as a captured step reads it, stays the tensor that it is."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(group["peak_lr"] * share)
        else:
            group["lr"] = group["peak_lr"] * share


def prepare_for_capture(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Rates as tensors, and the state that a first step would make: what a graph reads and writes must be there."""
    for group in optimizer.param_groups:
        if not isinstance(group["lr"], Tensor):
            # In float64 where a kernel takes it: the rate that a number would have been.
            dtype = torch.float32 if device.type == "cuda" else torch.float64
            group["lr"] = torch.tensor(float(group["lr"]), dtype=dtype, device=device)
        if "capturable" in group:
            group["capturable"] = device.type == "cuda"
    for inner in optimizer.inner if isinstance(optimizer, MuonWithAdamW) else (optimizer,):
        if isinstance(inner, StackedMuon):
            inner.prepare()
            continue
        for group in inner.param_groups:
            for parameter in group["params"] if isinstance(inner, AdamW) else ():
                state = optimizer.state[parameter]
                if not state:
                    state["step"] = torch.zeros((), dtype=torch.float32, device=device)
                    state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)


def plain_groups(state_dict: dict[str, Any]) -> dict[str, Any]:
    """An optimiser's state with rates as numbers, whatever takes its steps: a checkpoint knows nothing of graphs."""
    groups = [{key: _plain(key, value) for key, value in group.items()} for group in state_dict["param_groups"]]
    return {**state_dict, "param_groups": groups}


def _plain(key: str, value: Any) -> Any:
    if key == "capturable":
        return False
    return float(value) if isinstance(value, Tensor) else value
