"""What a plan needs to know of its corpus, and what a corpus is too small for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from scaling.data.config import DataConfig, vocab_size
from scaling.data.fingerprint import fingerprint
from scaling.data.manifest import Manifest
from scaling.specs import RunSpec


@dataclass(frozen=True)
class CorpusFacts:
    """`train_tokens` is None and `validation_tokens` (by validation set) empty until it is prepared; then epochs are
    not known either."""

    fingerprint: str
    vocab_size: int
    train_tokens: int | None
    unique_tokens: int | None
    validation_tokens: Mapping[str, int] = field(default_factory=dict)


def corpus_facts(data: DataConfig, manifest: Manifest | None) -> CorpusFacts:
    """Of a corpus, prepared or not. Raises DataError where files or a tokenizer cannot be read."""
    validation = {}
    if manifest is not None:
        validation = {"validation": manifest.validation.tokens}
        validation |= {each.name: each.counts.tokens for each in manifest.validation_sets}
    return CorpusFacts(
        fingerprint=fingerprint(data),
        vocab_size=vocab_size(data.tokenizer),
        train_tokens=None if manifest is None else manifest.train.tokens,
        unique_tokens=data.unique_tokens,
        validation_tokens=validation,
    )


def require_text(corpus: CorpusFacts, runs: Iterable[RunSpec]) -> None:
    """Raise ValueError where a prepared corpus cannot fill a batch or one validation window of some run."""
    for run in runs:
        context = run.model.context
        for name, tokens in corpus.validation_tokens.items():
            if tokens <= context:
                raise ValueError(
                    f"the {tokens} tokens of {name} do not fill one context of {context} tokens and the token that "
                    "follows: raise data.validation_fraction, give more text, or shorten model.context"
                )
        if corpus.train_tokens is None:
            continue
        if (run.unique_tokens or 0) > corpus.train_tokens:
            raise ValueError(
                f"{run.unique_tokens} unique tokens are asked for and the training text holds {corpus.train_tokens}: "
                "lower data.unique_tokens or grid.unique_tokens, or give more text"
            )
        available = run.unique_tokens or corpus.train_tokens
        windows, sequences = (available - 1) // context, run.optimizer.batch_tokens // context
        if windows < sequences:
            raise ValueError(
                f"size {run.size}: a batch of {sequences} sequences of {context} tokens is more than one epoch, for "
                f"{available} training tokens hold {max(windows, 0)} of them: give more text, lower "
                "recipe.batch_tokens, or shorten model.context"
            )
