"""The memory that is predicted of a run, against the tensors that its passes really keep."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from scaling.model.counting import count_parameters
from scaling.model.decoder import Decoder
from scaling.model.forms import gpu_forms
from scaling.planning.memory import kept_bytes_per_token, run_bytes
from scaling.training.step import autocast
from tests.model.test_gpu_forms import CPU, MODEL, OPTIONS, WINDOWS, Launches, fused_norms
from tests.tiny_run import make_spec


def kept(layers: int, changes: dict[str, Any], precision: str) -> int:
    """Bytes of the tensors that are saved for the backward pass, each storage once, weights left out."""
    decoder = Decoder(replace(MODEL, num_layers=layers, **changes))
    own = {tensor.untyped_storage().data_ptr() for tensor in (*decoder.parameters(), *decoder.buffers())}
    storages: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with fused_norms(Launches()), gpu_forms(), hooks, autocast(CPU, precision):
        loss = decoder(WINDOWS[:, :-1], WINDOWS[:, 1:])
    assert loss.requires_grad
    return sum(storages.values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("changes", OPTIONS, ids=lambda changes: " ".join(map(str, changes.values())) or "default")
def test_what_a_layer_keeps(changes: dict[str, Any], precision: str) -> None:
    half = precision == "bf16"
    model = replace(MODEL, num_layers=1, **changes)
    cast = 2 * count_parameters(model).matrices if half else 0
    per_token = ((kept(4, changes, precision) - kept(2, changes, precision)) / 2 - cast) / WINDOWS[:, 1:].numel()
    two, four = (kept_bytes_per_token(replace(model, num_layers=layers), half=half) for layers in (2, 4))
    # Without norm or rotation of queries and keys they are parts of one tensor, which is counted twice.
    assert (four - two) / 2 == pytest.approx(per_token, rel=0.13 if model.positions == "sinusoidal" else 0.04)


def test_a_run_takes_its_state_and_the_larger_of_training_and_evaluation() -> None:
    run = make_spec()
    small, large = (
        run_bytes(run, "bf16", 32),
        run_bytes(replace(run, optimizer=replace(run.optimizer, batch_tokens=2**20), budgets=(2**24,)), "bf16"),
    )
    assert small == run_bytes(run, "bf16", 64), "evaluation takes more than so few tokens"
    assert large > small
    hundred_million = replace(run, model=replace(run.model, num_layers=12, d_model=832, num_heads=13, d_ff=3328))
    assert run_bytes(hundred_million, "bf16", 32) > 16 * 99e6
