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
TOKENS_AT_A_TIME_ON_GPU, LOGITS_AT_A_TIME_ON_GPU = 65536, 1 << 27


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
    windows_at_a_time = max(1, tokens_at_a_time(decoder, device) // decoder.config.context)
    chunks = [slice(start, start + windows_at_a_time) for start in range(0, len(inputs_WxT), windows_at_a_time)]
    most = [windows_at_a_time]
    with matrix_products("fp32"):
        for turn in range(0, len(chunks), team.size):
            mine = turn + team.rank
            # Sharded weights are gathered in every forward pass: a rank with no chunk left keeps the others company.
            rows = chunks[min(mine, len(chunks) - 1)]
            inputs, targets = torch.from_numpy(inputs_WxT[rows]), torch.from_numpy(targets_WxT[rows])
            window_losses = _window_losses(decoder, inputs, targets, device, most)
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


def tokens_at_a_time(decoder: Decoder, device: torch.device) -> int:
    """On a GPU the logits, which are float32 here, decide: of 50k entries of vocabulary as many tokens as of 1k would
    take more memory than training does."""
    if device.type == "cpu":
        return TOKENS_AT_A_TIME
    return min(TOKENS_AT_A_TIME_ON_GPU, LOGITS_AT_A_TIME_ON_GPU // decoder.config.vocab_size)


def _window_losses(
    decoder: Decoder, inputs_WxT: Tensor, targets_WxT: Tensor, device: torch.device, most: list[int]
) -> Tensor:
    """Summed losses [W], float64, on the CPU. At most `most[0]` windows at a time, which is halved until that fits and
    stays so for the chunks after."""
    sums: list[Tensor] = []
    start = 0
    while start < len(inputs_WxT):
        part = slice(start, start + most[0])
        try:
            losses_WxT = decoder.token_losses(inputs_WxT[part].to(device), targets_WxT[part].to(device))
            sums.append(losses_WxT.cpu().double().sum(dim=1))
            start += most[0]
            continue
        except (RuntimeError, MemoryError) as error:
            # Ranks that gather weights make the same number of passes, or wait for ever.
            if not is_out_of_memory(error) or most[0] == 1 or is_sharded(decoder.head_weight):
                raise
        release_memory(device)
        most[0] = max(1, min(most[0], len(inputs_WxT)) // 2)
    return torch.cat(sums)
