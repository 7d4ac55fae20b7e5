"""transformers' Trainer with its GPT-2 and Llama classes; the MLP of Llama has the parameters of one of four widths."""

from collections.abc import Callable, Iterator
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor
from torch.utils.data import IterableDataset

from benchmarks.peers.shapes import CONTEXT, VOCABULARY
from benchmarks.peers.task import BETAS, GRAD_CLIP, LEARNING_RATE, WEIGHT_DECAY, Task, batches

# Far more than are ever taken: the caller ends the process.
STEPS = 10**9


class Windows(IterableDataset[dict[str, Tensor]]):
    def __init__(self, sequences: int) -> None:
        self.sequences = sequences

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for windows in batches(self.sequences):
            for window in windows:
                yield {"input_ids": window[:-1], "labels": window[:-1]}


def run(model: Any, task: Task, after_step: Callable[[Tensor], None]) -> None:
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class AfterStep(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            after_step(losses.pop())

    losses: list[Tensor] = []

    class Recording(Trainer):
        def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
            losses.append(super().training_step(*args, **kwargs))
            return losses[-1]

    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=STEPS,
            per_device_train_batch_size=task.sequences,
            learning_rate=LEARNING_RATE,
            adam_beta1=BETAS[0],
            adam_beta2=BETAS[1],
            weight_decay=WEIGHT_DECAY,
            max_grad_norm=GRAD_CLIP,
            use_cpu=True,
            bf16=task.precision == "bf16",
            torch_compile=task.compile,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        Recording(model, arguments, train_dataset=Windows(task.sequences), callbacks=[AfterStep()]).train()


def train_gpt2(task: Task, after_step: Callable[[Tensor], None]) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=CONTEXT,
        n_embd=task.width,
        n_layer=task.layers,
        n_head=task.heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    run(GPT2LMHeadModel(config), task, after_step)


def train_llama(task: Task, after_step: Callable[[Tensor], None]) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=CONTEXT,
        hidden_size=task.width,
        intermediate_size=round(8 * task.width / 3),
        num_hidden_layers=task.layers,
        num_attention_heads=task.heads,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    run(LlamaForCausalLM(config), task, after_step)
