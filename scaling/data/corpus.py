"""A prepared corpus through memory maps: training windows in a shuffled order, the whole validation split."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.data.config import DataError
from scaling.data.integrity import open_file
from scaling.data.manifest import TRAIN_FILE, VALIDATION_FILE, Manifest, read_manifest, set_file

# A target with this value is no target: the loss must pass over it.
IGNORED_TARGET = -1


@dataclass(frozen=True)
class Corpus:
    """Token ids of both splits; a separator token stands before each document.

    train, validation: uint16 or uint32 [tokens], mapped from disk. `train` may be a prefix of the file
    (`unique_tokens`). validation_sets: further validation text by name.
    """

    manifest: Manifest
    train: NDArray[Any]
    validation: NDArray[Any]
    validation_sets: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, unique_tokens: int | None = None) -> "Corpus":
        """Map what `prepare` wrote; keep only the first `unique_tokens` tokens for training (None: all).

        Documents stand in the fixed order of a hash, so each prefix is a random sample of them and a longer
        prefix contains a shorter. Raises DataError if the folder is no prepared corpus or has fewer tokens
        than asked for.
        """
        manifest = read_manifest(folder)
        train = _map(folder / TRAIN_FILE, manifest.token_dtype, manifest.train.tokens)
        validation = _map(folder / VALIDATION_FILE, manifest.token_dtype, manifest.validation.tokens)
        if unique_tokens is not None:
            if not 2 <= unique_tokens <= len(train):
                raise DataError(
                    f"data.unique_tokens={unique_tokens} does not lie between 2 and the {len(train)} "
                    f"training tokens of {manifest.name}: ask for fewer, or set it to null for all."
                )
            train = train[:unique_tokens]
        sets = {
            each.name: _map(folder / set_file(each.name), manifest.token_dtype, each.counts.tokens)
            for each in manifest.validation_sets
        }
        return cls(manifest, train, validation, sets)

    @property
    def unique_tokens(self) -> int:
        """Training tokens before any repetition."""
        return len(self.train)

    def num_windows(self, context: int) -> int:
        """Whole training windows of `context` predicted tokens in one epoch; DataError if there is none."""
        windows = (len(self.train) - 1) // context
        if windows < 1:
            raise DataError(
                f"The {len(self.train)} training tokens of {self.manifest.name} do not fill one context of "
                f"{context} tokens and the token that follows: give more text, raise data.unique_tokens, or "
                "shorten the context."
            )
        return windows

    def epochs(self, tokens: int, context: int) -> float:
        """How often each window is seen, on average, by a run of `tokens` predicted tokens."""
        return tokens / (self.num_windows(context) * context)

    def batch(self, first_sequence: int, num_sequences: int, *, context: int, seed: int) -> NDArray[np.int64]:
        """Training sequences number `first_sequence` and following: int64 [num_sequences, context + 1].

        Inputs are [:, :-1], targets [:, 1:]. Raises DataError if the corpus is shorter than one batch.
        """
        starts = self.starts(first_sequence, num_sequences, context=context, seed=seed)
        return np.asarray(self.train[starts[:, None] + np.arange(context + 1)], dtype=np.int64)

    def starts(self, first_sequence: int, num_sequences: int, *, context: int, seed: int) -> NDArray[np.int64]:
        """Where those sequences begin in `train`: int64 [num_sequences].

        Sequence s belongs to epoch s // num_windows; each epoch visits every window once, in an order that depends on
        (seed, epoch) alone. So the data of a step is a function of the seed and the step: there is no state to save.
        Raises DataError as `batch`.
        """
        windows = self.num_windows(context)
        if num_sequences > windows:
            raise DataError(
                f"A batch of {num_sequences} sequences of {context} tokens is more than one epoch: the "
                f"{len(self.train)} training tokens of {self.manifest.name} hold {windows}. Give more text, "
                "raise data.unique_tokens, or choose a smaller batch."
            )
        sequences = np.arange(first_sequence, first_sequence + num_sequences, dtype=np.int64)
        epochs, places = np.divmod(sequences, windows)
        starts = np.empty(num_sequences, dtype=np.int64)
        for epoch in np.unique(epochs).tolist():
            chosen = epochs == epoch
            starts[chosen] = window_order(windows, seed, epoch)[places[chosen]] * context
        return starts

    def validation_windows(
        self, context: int, validation_set: str | None = None, most_tokens: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Inputs and targets, int64 [windows, context]: each validation token but the first is a target once.

        The last window is filled up with separators as inputs and IGNORED_TARGET as targets. The order is
        fixed and no batch size enters. validation_set: one of `validation_sets`; None is the corpus' own split.
        Of more than `most_tokens` the first windows alone, up to that many. Raises DataError if the text is shorter
        than one context.
        """
        tokens = self.validation if validation_set is None else self.validation_sets[validation_set]
        if most_tokens is not None:
            tokens = tokens[: max(1, most_tokens // context) * context + 1]
        predicted = len(tokens) - 1
        if predicted < context:
            raise DataError(
                f"The {len(tokens)} validation tokens of {validation_set or self.manifest.name} are fewer than one "
                f"context of {context} tokens and the token that follows: raise data.validation_fraction, give more "
                "text, or shorten the context."
            )
        windows = -(-predicted // context)
        inputs = np.full(windows * context, self.manifest.separator_token, dtype=np.int64)
        targets = np.full(windows * context, IGNORED_TARGET, dtype=np.int64)
        inputs[:predicted] = tokens[:-1]
        targets[:predicted] = tokens[1:]
        return inputs.reshape(windows, context), targets.reshape(windows, context)


@lru_cache(maxsize=4)
def window_order(num_windows: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order in which an epoch visits its windows: a permutation, int64 [num_windows], of (seed, epoch).

    Sorting raw bits, since numpy promises that those stay the same in later versions and does not promise it
    of its `permutation`.
    """
    bits = np.random.PCG64(np.random.SeedSequence([seed, epoch])).random_raw(num_windows)
    order = np.argsort(bits, kind="stable")
    order.setflags(write=False)
    return order


def _map(path: Path, dtype: str, tokens: int) -> NDArray[Any]:
    try:
        with open_file(path) as file:
            mapped = np.memmap(file, dtype=np.dtype(dtype), mode="r")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{str(path)!r} cannot be mapped ({error}): delete its folder and prepare the corpus again."
        ) from error
    if len(mapped) != tokens:
        raise DataError(
            f"{str(path)!r} holds {len(mapped)} tokens where its manifest says {tokens}: delete its folder "
            "and prepare the corpus again."
        )
    return mapped
