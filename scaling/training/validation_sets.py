"""The losses on a corpus' further validation sets, which a record holds beside that on its own split."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scaling.data.corpus import Corpus
from scaling.records import ValidationLoss
from scaling.training.evaluate import Evaluation

Evaluate = Callable[[NDArray[np.int64], NDArray[np.int64]], Evaluation]


def evaluate_sets(
    corpus: Corpus, context: int, evaluate: Evaluate, most_tokens: int | None = None
) -> dict[str, ValidationLoss]:
    """By name, in the order of the corpus; `evaluate` takes inputs and targets, int64 [windows, context]."""
    losses = {}
    for facts in corpus.manifest.validation_sets:
        found = evaluate(*corpus.validation_windows(context, facts.name, most_tokens))
        losses[facts.name] = ValidationLoss(
            loss_nats=found.loss_nats,
            loss_sem_nats=found.loss_sem_nats,
            bits_per_byte=found.bits_per_byte(facts.counts.bytes_per_token),
            word_perplexity=found.word_perplexity(facts.counts.words_per_token),
            tokens=found.num_tokens,
        )
    return losses
