"""Batches on the device, in an order that is a function of (data seed, step) alone."""

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from scaling.data.corpus import Corpus
from scaling.specs import RunSpec
from scaling.training.team import Team

# A corpus up to so many bytes, and to such a share of what is free, lies on the GPU whole: windows are gathered there.
MOST_BYTES_ON_GPU, MOST_SHARE_ON_GPU = 2 << 30, 0.1


class Batches:
    """`batch(step)` is this rank's part of that step's windows [B, T+1], int64.

    On CUDA they are gathered from the corpus there; where that is too large, the next is fetched and pinned meanwhile.
    """

    def __init__(self, corpus: Corpus, spec: RunSpec, device: torch.device, team: Team) -> None:
        self._corpus, self._spec, self._device = corpus, spec, device
        self._batch_sequences = spec.optimizer.batch_tokens // spec.model.context
        self._first, self.num_sequences = team.share(self._batch_sequences)
        self.tokens = on_device(corpus, device) if device.type == "cuda" and fits(corpus, device) else None
        self._fetcher = ThreadPoolExecutor(1) if device.type == "cuda" and self.tokens is None else None
        self._ahead: tuple[int, Future[Tensor]] | None = None

    def batch(self, step: int) -> Tensor:
        if self.tokens is not None:
            return self.gather(self.starts(step).to(self._device, non_blocking=True))
        if self._fetcher is None:
            return self._read(step).to(self._device)
        if self._ahead is not None and self._ahead[0] == step:
            host = self._ahead[1].result()
        else:
            host = self._read(step).pin_memory()
        self._ahead = (step + 1, self._fetcher.submit(lambda: self._read(step + 1).pin_memory()))
        return host.to(self._device, non_blocking=True)

    def starts(self, step: int) -> Tensor:
        """Where the windows begin in the corpus, int64 [B], on the host."""
        where = torch.from_numpy(self._corpus.starts(*self._sequences(step), **self._order))
        return where.pin_memory() if self._device.type == "cuda" else where

    def gather(self, starts_B: Tensor) -> Tensor:
        """The windows [B, T+1] that begin there, on the device of the corpus."""
        assert self.tokens is not None
        places = starts_B[:, None] + torch.arange(self._spec.model.context + 1, device=starts_B.device)
        windows = self.tokens[places].long()
        return windows & 0xFFFF if self.tokens.dtype == torch.int16 else windows

    @property
    def _order(self) -> dict[str, int]:
        return {"context": self._spec.model.context, "seed": self._spec.data_seed}

    def _sequences(self, step: int) -> tuple[int, int]:
        return step * self._batch_sequences + self._first, self.num_sequences

    def _read(self, step: int) -> Tensor:
        return torch.from_numpy(self._corpus.batch(*self._sequences(step), **self._order))


def fits(corpus: Corpus, device: torch.device) -> bool:
    free, _ = torch.cuda.mem_get_info(device)
    return corpus.train.nbytes <= min(MOST_BYTES_ON_GPU, MOST_SHARE_ON_GPU * free)


def on_device(corpus: Corpus, device: torch.device) -> Tensor:
    """The training tokens as signed integers of their width: torch indexes no others. Those of 16 bits are read back
    without their sign."""
    signed = np.int16 if corpus.train.dtype == np.uint16 else np.int32
    return torch.from_numpy(np.array(corpus.train).view(signed)).to(device)
