"""This program's step: `default` is the decoder that studies train, which does more work than any peer (RMS-normalised
queries and keys, rotary positions); `gpt` has the parts of the nanoGPT style, `llama` those of litgpt's and Llama's."""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.peers.shapes import CONTEXT, VOCABULARY
from benchmarks.peers.task import BETAS, GRAD_CLIP, LEARNING_RATE, WEIGHT_DECAY, Task, batches
from scaling.model.config import ModelConfig
from scaling.model.decoder import Decoder, initialise
from scaling.specs import Optimizer
from scaling.training.optimizer import make_optimizer
from scaling.training.step import TrainState, train_step


def train_default(task: Task, after_step: Callable[[Tensor], None]) -> None:
    run(model_config(task, qk_norm=True), task, after_step)


def train_gpt(task: Task, after_step: Callable[[Tensor], None]) -> None:
    run(model_config(task, positions="learned", norm="layernorm"), task, after_step)


def train_llama(task: Task, after_step: Callable[[Tensor], None]) -> None:
    run(model_config(task), task, after_step)


def model_config(task: Task, **options: object) -> ModelConfig:
    return ModelConfig(
        num_layers=task.layers,
        d_model=task.width,
        num_heads=task.heads,
        vocab_size=VOCABULARY,
        context=CONTEXT,
        d_ff=4 * task.width,
        **options,  # type: ignore[arg-type]
    )


def run(model: ModelConfig, task: Task, after_step: Callable[[Tensor], None]) -> None:
    decoder = Decoder(model)
    initialise(decoder, 0)
    numbers = Optimizer(
        batch_tokens=task.sequences * CONTEXT,
        matrix_lr=LEARNING_RATE,
        embedding_lr=LEARNING_RATE,
        vector_lr=LEARNING_RATE,
        beta1=BETAS[0],
        beta2=BETAS[1],
        epsilon=1e-8,
        weight_decay=WEIGHT_DECAY,
        grad_clip=GRAD_CLIP,
    )
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    forward = torch.compile(decoder) if task.compile else decoder
    state = TrainState(decoder, forward, make_optimizer(decoder, numbers), scaler)
    for windows in batches(task.sequences):
        result = train_step(
            state,
            windows,
            learning_rate_share=1.0,
            grad_clip=GRAD_CLIP,
            precision=task.precision,
            micro_sequences=task.sequences,
            dropout_seed=0,
        )
        after_step(result.loss)
