"""The language of known entropy: its rate, its text and its oracle are three independent accounts of one thing."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scaling.data.config import DataConfig, DataError, SourceConfig
from scaling.data.corpus import IGNORED_TARGET, Corpus
from scaling.data.oracle import _Oracle, oracle_losses, validation_floor
from scaling.data.prepare import prepare
from scaling.data.synthetic import Language, documents, language

SMALL = SourceConfig("synthetic", language_documents=300, language_words=60, language_classes=4)


def chain_nats(spoken: Language, text: str) -> float:
    """Minus the log probability of one document, straight from the definition of the chain."""
    words = {word: number for number, word in enumerate(spoken.words)}
    nats, before = 0.0, spoken.stationary
    chosen = [words[word] for word in text.split()]
    for word in chosen:
        nats -= math.log(before[spoken.word_class[word]] * spoken.word_probability[word])
        before = spoken.transitions[spoken.word_class[word]]
    return nats - (len(chosen) - 1) * math.log(1.0 - spoken.ending) - math.log(spoken.ending)


def test_the_chain_is_a_chain() -> None:
    spoken = language(SMALL)
    assert len(set(spoken.words)) == 60
    np.testing.assert_allclose(spoken.transitions.sum(axis=1), 1.0)
    np.testing.assert_allclose(spoken.stationary @ spoken.transitions, spoken.stationary)
    np.testing.assert_allclose(np.bincount(spoken.word_class, spoken.word_probability), 1.0)


def test_the_oracle_gives_each_document_its_probability() -> None:
    spoken = language(SMALL)
    for document in list(documents(SMALL))[:20]:
        tokens = np.frombuffer(("\0" + document.text).encode(), dtype=np.uint8).astype(np.int64)
        losses = oracle_losses(spoken, tokens[None, :-1], tokens[None, 1:])
        assert losses.shape == (1, len(document.text))
        # The same sum of logarithms in another order: nothing but rounding may differ.
        assert losses.sum() == pytest.approx(chain_nats(spoken, document.text), rel=1e-10)


def test_the_oracle_predicts_with_probabilities() -> None:
    oracle = _Oracle(language(SMALL))
    belief = oracle.prior
    for token in b"a so":
        total = sum(oracle.emit(belief, other)[1] for other in set(oracle._byte.tolist()) | {ord("\n")})
        assert total == pytest.approx(1.0, rel=1e-12)
        after, probability = oracle.emit(belief, token)
        belief = after if probability > 0.0 else belief


def test_what_the_language_cannot_say_costs_infinitely() -> None:
    tokens = np.frombuffer(b"\0qqq", dtype=np.uint8).astype(np.int64)
    assert oracle_losses(language(SMALL), tokens[None, :-1], tokens[None, 1:])[0, 0] == math.inf


def test_the_rate_is_the_one_that_the_text_shows() -> None:
    config = replace(SMALL, language_documents=5000)
    spoken = language(config)
    texts = [document.text for document in documents(config)]
    nats = np.array([chain_nats(spoken, text) for text in texts])
    sizes = np.array([len(text) for text in texts])
    ratio = nats.sum() / sizes.sum()
    # Documents are independent, so this is the standard error of a ratio of means; about 0.0003 here.
    error = (nats - ratio * sizes).std() * len(texts) ** 0.5 / sizes.sum()
    assert error < 0.0005
    assert ratio == pytest.approx(spoken.nats_per_byte, abs=4 * error)


def test_text_is_the_seeds() -> None:
    first, again = list(documents(SMALL)), list(documents(SMALL))
    other = list(documents(replace(SMALL, language_seed=1)))
    longer = list(documents(replace(SMALL, language_documents=1500)))
    assert first == again
    assert len({document.key for document in longer}) == 1500
    assert first[0].text != other[0].text
    assert longer[1000:] != longer[:500]


def test_a_corpus_of_it_carries_the_truth(tmp_path: Path, shipped: Callable[[str], DataConfig]) -> None:
    config = shipped("synthetic")
    config = replace(config, source=replace(config.source, language_documents=1000), validation_fraction=0.05)
    corpus = Corpus.open(prepare(config, tmp_path))
    truth = corpus.manifest.true_nats_per_byte
    assert truth == language(config.source).nats_per_byte
    assert f"{truth:.4f}" == "0.8099"  # configs/data/synthetic.yaml says so
    inputs, targets = corpus.validation_windows(128)
    losses = oracle_losses(language(config.source), inputs, targets)
    floor = validation_floor(config.source, corpus, 128)
    assert floor == pytest.approx(losses[targets != IGNORED_TARGET].mean(), rel=1e-12)
    # Less context is worse, and from the middle of a window on the rate is reached up to the sampling error.
    assert validation_floor(config.source, corpus, 16) > floor > losses[:, 64:].mean()
    error = losses[:, 64:].mean(axis=1).std() / len(losses) ** 0.5
    assert losses[:, 64:].mean() == pytest.approx(truth * corpus.manifest.validation.bytes_per_token, abs=4 * error)


def test_no_floor_is_claimed_where_none_is_known(
    tmp_path: Path, texts: list[str], write_jsonl: Callable[..., Path], local_config: Callable[..., DataConfig]
) -> None:
    config = local_config(write_jsonl(texts))
    corpus = Corpus.open(prepare(config, tmp_path / "cache"))
    assert corpus.manifest.true_nats_per_byte is None
    with pytest.raises(DataError, match="is not known"):
        validation_floor(config.source, corpus, 16)


@pytest.mark.parametrize("wrong", [{"language_classes": 0}, {"language_words": 3}, {"language_documents": 1}])
def test_a_language_that_makes_no_sense(wrong: dict[str, int]) -> None:
    with pytest.raises(DataError, match=next(iter(wrong))):
        replace(SMALL, **wrong)  # type: ignore[arg-type]
