"""muP's coordinate check (Yang et al. 2022, arXiv 2203.03466, appendix D): what a width does to the scale of things.

Three steps on one batch at widths that span a factor of 16; then the slope of log(root mean square) in log(width), for
the activations of each block and the logits, and for how far training moved them. Under muP updates have slope 0: one
learning rate moves every width alike. At two or three steps a slope is known to some .1.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from scaling.model.decoder import Decoder, initialise
from scaling.planning import rules
from scaling.planning.config import SizeConfig
from scaling.training.optimizer import make_optimizer
from scaling.training.step import TrainState, train_step
from tests.planning.conftest import OPTIONS, RECIPE

WIDTHS = (32, 128, 512)
STEPS = 3
RECIPES = {
    "adamw": replace(RECIPE, matrix_lr=0.003, embedding_lr=0.012, vector_lr=0.012),
    "muon": replace(RECIPE, optimizer="muon", matrix_lr=0.02, embedding_lr=0.012, vector_lr=0.012),
}


def activations(decoder: Decoder, ids: Tensor) -> dict[str, Tensor]:
    """What each part of each block writes, and the logits."""
    seen: dict[str, Tensor] = {}
    parts = {name: module for name, module in decoder.named_modules() if name.endswith((".attention", ".mlp"))}
    hooks = [
        module.register_forward_hook(lambda _, __, output, name=name: seen.update({name: output.detach()}))  # type: ignore[misc]
        for name, module in parts.items()
    ]
    with torch.no_grad():
        seen["logits"] = decoder.logits(ids)
    for hook in hooks:
        hook.remove()
    return seen


def rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def slopes(optimizer: str, *, mup: bool, tied: bool = True) -> tuple[dict[str, float], dict[str, float]]:
    """Of activations at the start, and of their change by training, by name."""
    base_width = WIDTHS[0] if mup else None
    options = replace(OPTIONS, context=16, mup_base_width=base_width, tied_embeddings=tied, qk_norm=True)
    windows = torch.randint(0, 64, (8, 17), generator=torch.Generator().manual_seed(0))
    values: dict[str, list[float]] = {}
    changes: dict[str, list[float]] = {}
    for width in WIDTHS:
        model = rules.model_config(SizeConfig("w", 2, width, width // 16), options, vocab_size=64)
        decoder = Decoder(model)
        initialise(decoder, 0)
        numbers = rules.optimizer(RECIPES[optimizer], model)
        scaler = torch.amp.GradScaler("cpu", enabled=False)
        state = TrainState(decoder, decoder, make_optimizer(decoder, numbers), scaler)
        before = activations(decoder, windows[:, :-1])
        for _ in range(STEPS):
            train_step(
                state,
                windows,
                learning_rate_share=1.0,
                grad_clip=1e9,
                precision="fp32",
                micro_sequences=8,
                dropout_seed=0,
            )
        after = activations(decoder, windows[:, :-1])
        for name, x in before.items():
            values.setdefault(name, []).append(rms(x))
            changes.setdefault(name, []).append(rms(after[name] - x))
    log_width = np.log(WIDTHS)
    return tuple(  # type: ignore[return-value]
        {name: float(np.polyfit(log_width, np.log(row), 1)[0]) for name, row in table.items()}
        for table in (values, changes)
    )


@pytest.mark.parametrize(("optimizer", "tied"), [("adamw", True), ("adamw", False), ("muon", True)])
def test_scales_do_not_depend_on_width(optimizer: str, tied: bool) -> None:
    values, changes = slopes(optimizer, mup=True, tied=tied)
    # At the start a random head meets random features, so logits shrink as 1/sqrt(width) (Table 8); what features'
    # changes find in the still random part of the head shrinks alike and is a small part of the logits' change.
    assert values.pop("logits") == pytest.approx(-0.5, abs=0.1)
    assert changes.pop("logits") == pytest.approx(-0.15, abs=0.2)
    assert max(map(abs, values.values())) < 0.1
    assert max(map(abs, changes.values())) < 0.15


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_under_the_standard_parametrisation_they_do(optimizer: str) -> None:
    _, changes = slopes(optimizer, mup=False)
    assert max(changes.values()) > 0.4
