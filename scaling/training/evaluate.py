"""The loss over the whole fixed validation split, whatever the batch, the precision of training and the device."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scaling.model.decoder import IGNORED_TARGET, Decoder
from scaling.training.device import is_out_of_memory, matrix_products, release_memory
from scaling.training.parallel import is_sharded
from scaling.training.team import Team

ALONE = Team()

# No option: the sums below are then the same for every run of a machine. On a CPU the activations of so many tokens
# stay in the cache, which makes a million-parameter decoder 1.5 times as fast as with four times as many.
TOKENS_AT_A_TIME = 2048
TOKENS_AT_A_TIME_ON_GPU = 65536


@dataclass(frozen=True)
class Evaluation:
    """`loss_nats` is nats/token; `loss_sem_nats` its standard error over windows as independent clusters."""

    loss_nats: float
    loss_sem_nats: float
    num_tokens: int

    def bits_per_byte(self, bytes_per_token: float) -> float:
        return self.loss_nats / math.log(2) / bytes_per_token

    def word_perplexity(self, words_per_token: float) -> float | None:
        """None for text without a word."""
        return math.exp(min(self.loss_nats / words_per_token, 700.0)) if words_per_token else None

    @property
    def perplexity(self) -> float:
        return math.exp(min(self.loss_nats, 700.0))


@torch.no_grad()
def evaluate(
    decoder: Decoder,
    inputs_WxT: NDArray[np.int64],
    targets_WxT: NDArray[np.int64],
    device: torch.device,
    team: Team = ALONE,
) -> Evaluation:
    """Evaluate in fp32; targets of IGNORED_TARGET are padding.

    Sums are float64 and divided once by tokens. Ranks take whole chunks in turn and add up a table with a row for each
    window, so their number changes no bit. Raises torch.OutOfMemoryError where one window is too much.
    """
    was_training = decoder.training
    decoder.eval()
    sum_and_count_Wx2 = torch.zeros(len(inputs_WxT), 2, dtype=torch.float64)
    tokens_at_a_time = TOKENS_AT_A_TIME if device.type == "cpu" else TOKENS_AT_A_TIME_ON_GPU
    windows_at_a_time = max(1, tokens_at_a_time // decoder.config.context)
    chunks = [slice(start, start + windows_at_a_time) for start in range(0, len(inputs_WxT), windows_at_a_time)]
    with matrix_products("fp32"):
        for turn in range(0, len(chunks), team.size):
            mine = turn + team.rank
            # Sharded weights are gathered in every forward pass: a rank with no chunk left keeps the others company.
            rows = chunks[min(mine, len(chunks) - 1)]
            inputs, targets = torch.from_numpy(inputs_WxT[rows]), torch.from_numpy(targets_WxT[rows])
            window_losses = _window_losses(decoder, inputs, targets, device)
            if mine < len(chunks):
                sum_and_count_Wx2[rows, 0] = window_losses
                sum_and_count_Wx2[rows, 1] = (targets != IGNORED_TARGET).sum(dim=1).double()
    decoder.train(was_training)
    window_sum, window_count = team.sum(sum_and_count_Wx2).unbind(dim=1)
    num_tokens, num_windows = int(window_count.sum()), len(window_sum)
    loss = float(window_sum.sum()) / num_tokens
    spread = float((window_sum - window_count * loss).square().sum())
    sem = math.sqrt(spread * num_windows / max(1, num_windows - 1)) / num_tokens
    return Evaluation(loss, sem, num_tokens)


def _window_losses(decoder: Decoder, inputs_WxT: Tensor, targets_WxT: Tensor, device: torch.device) -> Tensor:
    """Summed losses [W], float64, on the CPU; in halves where all at once do not fit."""
    try:
        losses_WxT = decoder.token_losses(inputs_WxT.to(device), targets_WxT.to(device))
        return losses_WxT.cpu().double().sum(dim=1)
    except (RuntimeError, MemoryError) as error:
        # Ranks that gather weights make the same number of passes, or wait for ever.
        if not is_out_of_memory(error) or len(inputs_WxT) == 1 or is_sharded(decoder.head_weight):
            raise
    release_memory(device)
    half = len(inputs_WxT) // 2
    parts = [slice(None, half), slice(half, None)]
    return torch.cat([_window_losses(decoder, inputs_WxT[part], targets_WxT[part], device) for part in parts])
