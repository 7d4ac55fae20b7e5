"""Windows of a prepared corpus: each token once an epoch, an order that only the seed and the index decide."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.data.config import DataConfig, DataError
from scaling.data.corpus import IGNORED_TARGET, Corpus, window_order
from scaling.data.manifest import DroppedCounts, Manifest, Overlap, SplitCounts
from scaling.data.prepare import prepare

CONTEXT = 16


def make_corpus(train_tokens: int, validation_tokens: int = 100) -> Corpus:
    """Token i of each split is i, so that a window says where it was cut."""
    counts = SplitCounts(documents=1, bytes=1, characters=1, words=1, lines=1, tokens=1)
    manifest = Manifest(
        *(1, "f" * 64, "counting", "", "", "local", "local", "", "bytes", "", 1 << 16, 0, "<u4"),
        *(counts, counts, DroppedCounts(0, 0, 0, 0), Overlap(13, 0, 0), ()),
    )
    return Corpus(manifest, np.arange(train_tokens, dtype=np.uint32), np.arange(validation_tokens, dtype=np.uint32))


@given(
    train_tokens=st.integers(CONTEXT + 1, 2000),
    seed=st.integers(0, 2**32),
    epoch=st.integers(0, 5),
)
@settings(max_examples=50, deadline=None)
def test_an_epoch_predicts_every_token_of_every_window_once(train_tokens: int, seed: int, epoch: int) -> None:
    corpus = make_corpus(train_tokens)
    windows = corpus.num_windows(CONTEXT)
    batch = corpus.batch(epoch * windows, windows, context=CONTEXT, seed=seed)
    assert batch.dtype == np.int64
    assert batch.shape == (windows, CONTEXT + 1)
    np.testing.assert_array_equal(np.diff(batch, axis=1), 1)  # targets are inputs shifted by one
    np.testing.assert_array_equal(np.sort(batch[:, 1:].ravel()), np.arange(1, windows * CONTEXT + 1))


@given(
    first=st.integers(0, 300),
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=6),
    seed=st.integers(0, 100),
)
@settings(max_examples=50, deadline=None)
def test_the_order_does_not_depend_on_how_it_is_cut_into_batches(first: int, sizes: list[int], seed: int) -> None:
    corpus = make_corpus(train_tokens=40 * CONTEXT + 3)
    one_by_one = [corpus.batch(first + i, 1, context=CONTEXT, seed=seed) for i in range(min(sum(sizes), 40))]
    whole = np.concatenate(one_by_one)
    start, batches = 0, []
    for size in sizes:
        size = min(size, len(whole) - start)
        if size:
            batches.append(corpus.batch(first + start, size, context=CONTEXT, seed=seed))
        start += size
    np.testing.assert_array_equal(np.concatenate(batches), whole)


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {(seed, epoch): window_order(500, seed, epoch) for seed in range(3) for epoch in range(3)}
    assert all(sorted(order.tolist()) == list(range(500)) for order in orders.values())
    assert len({order.tobytes() for order in orders.values()}) == len(orders)


def test_the_order_is_the_same_in_every_version() -> None:
    # If this fails, runs that were interrupted under an older version no longer continue on the same data:
    # do not change the numbers without raising FORMAT_VERSION.
    assert window_order(8, seed=1, epoch=2).tolist() == [5, 6, 3, 2, 1, 0, 4, 7]


@given(tokens=st.integers(CONTEXT + 1, 400))
@settings(max_examples=50, deadline=None)
def test_each_validation_token_but_the_first_is_a_target_once(tokens: int) -> None:
    inputs, targets = make_corpus(100, tokens).validation_windows(CONTEXT)
    assert inputs.shape == targets.shape == (-(-(tokens - 1) // CONTEXT), CONTEXT)
    is_target = targets != IGNORED_TARGET
    np.testing.assert_array_equal(targets[is_target], np.arange(1, tokens))
    np.testing.assert_array_equal(inputs[is_target], np.arange(tokens - 1))
    assert inputs.min() >= 0  # padding is a token too: an embedding can look it up


def test_what_is_too_short_is_refused() -> None:
    with pytest.raises(DataError, match="do not fill one context of 128"):
        make_corpus(128).batch(0, 1, context=128, seed=0)
    with pytest.raises(DataError, match="more than one epoch"):
        make_corpus(CONTEXT * 3 + 1).batch(0, 4, context=CONTEXT, seed=0)
    with pytest.raises(DataError, match="fewer than one context"):
        make_corpus(100, CONTEXT).validation_windows(CONTEXT)


def test_repetition_is_counted() -> None:
    corpus = make_corpus(CONTEXT * 10 + 1)
    assert corpus.unique_tokens == CONTEXT * 10 + 1
    assert corpus.epochs(CONTEXT * 10, CONTEXT) == 1.0
    assert corpus.epochs(CONTEXT * 25, CONTEXT) == 2.5


def test_subsets_are_nested_prefixes(
    tmp_path: Path,
    texts: list[str],
    write_jsonl: Callable[..., Path],
    local_config: Callable[..., DataConfig],
) -> None:
    folder = prepare(local_config(write_jsonl(texts)), tmp_path / "cache")
    whole, large, small = (Corpus.open(folder, size) for size in (None, 3000, 1000))
    assert small.unique_tokens == 1000
    np.testing.assert_array_equal(small.train, large.train[:1000])
    np.testing.assert_array_equal(large.train, whole.train[:3000])
    np.testing.assert_array_equal(small.validation, whole.validation)
    with pytest.raises(DataError, match="does not lie between 2 and"):
        Corpus.open(folder, whole.unique_tokens + 1)


def test_of_a_long_validation_text_the_first_windows_are_taken() -> None:
    """Up to so many tokens; of a shorter text all, and of one context at least one window."""
    corpus = make_corpus(100, 10 * CONTEXT + 3)
    inputs, targets = corpus.validation_windows(CONTEXT)
    for most, windows in ((None, 11), (10**9, 11), (7 * CONTEXT + 1, 7), (1, 1)):
        some = corpus.validation_windows(CONTEXT, most_tokens=most)
        assert np.array_equal(some[0], inputs[:windows])
        assert np.array_equal(some[1], targets[:windows])


def test_a_token_file_may_be_larger_than_four_gigabytes(tmp_path: Path) -> None:
    """A sparse one, whose last windows are marked: places beyond 2^32 bytes are read where they are."""
    context, tokens = 4096, (5 << 30) // 2
    (tmp_path / "train.bin").touch()
    os.truncate(tmp_path / "train.bin", 2 * tokens)
    train = np.memmap(tmp_path / "train.bin", dtype="<u2", mode="r+")
    last = (tokens - 1) // context - 1
    train[last * context : (last + 1) * context + 1] = np.arange(context + 1) % 65_536
    corpus = replace(make_corpus(100, 100), train=train)
    place = int(np.flatnonzero(window_order(last + 1, 0, 0) == last)[0])
    (window,) = corpus.batch(place, 1, context=context, seed=0)
    assert np.array_equal(window, np.arange(context + 1))
    assert corpus.starts(place, 1, context=context, seed=0).tolist() == [last * context]
    assert last * context * 2 > 2**32
