"""The loss over the whole fixed validation split, whatever the batch, the precision of training and the device."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from scaling.model.decoder import IGNORED_TARGET, Decoder

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
) -> Evaluation:
    """Evaluate in fp32; targets of IGNORED_TARGET are padding.

    Sums are float64 and divided once by tokens.
    """
    was_training = decoder.training
    decoder.eval()
    sums, counts = [], []
    tokens_at_a_time = TOKENS_AT_A_TIME if device.type == "cpu" else TOKENS_AT_A_TIME_ON_GPU
    windows_at_a_time = max(1, tokens_at_a_time // decoder.config.context)
    for start in range(0, len(inputs_WxT), windows_at_a_time):
        chunk = slice(start, start + windows_at_a_time)
        targets = torch.from_numpy(targets_WxT[chunk]).to(device)
        losses = decoder.token_losses(torch.from_numpy(inputs_WxT[chunk]).to(device), targets)
        sums.append(losses.cpu().double().sum(dim=1))
        counts.append((targets != IGNORED_TARGET).sum(dim=1).cpu())
    decoder.train(was_training)
    window_sum, window_count = torch.cat(sums), torch.cat(counts)
    num_tokens, num_windows = int(window_count.sum()), len(window_sum)
    loss = float(window_sum.sum()) / num_tokens
    spread = float((window_sum - window_count * loss).square().sum())
    sem = math.sqrt(spread * num_windows / max(1, num_windows - 1)) / num_tokens
    return Evaluation(loss, sem, num_tokens)
