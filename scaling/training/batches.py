"""Batches on the device, in an order that is a function of (data seed, step) alone."""

from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from scaling.data.corpus import Corpus
from scaling.specs import RunSpec
from scaling.training.team import Team


class Batches:
    """`batch(step)` is this rank's part of that step's windows [B, T+1].

    On CUDA the next one is fetched and pinned meanwhile.
    """

    def __init__(self, corpus: Corpus, spec: RunSpec, device: torch.device, team: Team) -> None:
        self._corpus, self._spec, self._device = corpus, spec, device
        self._batch_sequences = spec.optimizer.batch_tokens // spec.model.context
        self._first, self.num_sequences = team.share(self._batch_sequences)
        self._fetcher = ThreadPoolExecutor(1) if device.type == "cuda" else None
        self._ahead: tuple[int, Future[Tensor]] | None = None

    def batch(self, step: int) -> Tensor:
        if self._fetcher is None:
            return self._read(step).to(self._device)
        if self._ahead is not None and self._ahead[0] == step:
            host = self._ahead[1].result()
        else:
            host = self._read(step).pin_memory()
        self._ahead = (step + 1, self._fetcher.submit(lambda: self._read(step + 1).pin_memory()))
        return host.to(self._device, non_blocking=True)

    def _read(self, step: int) -> Tensor:
        windows = self._corpus.batch(
            step * self._batch_sequences + self._first,
            self.num_sequences,
            context=self._spec.model.context,
            seed=self._spec.data_seed,
        )
        return torch.from_numpy(windows)
