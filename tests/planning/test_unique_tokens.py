"""Grids over unique tokens, and corpora too small for their plan."""

import math
from dataclasses import replace

import pytest

from scaling.planning.config import GridConfig
from tests.planning.conftest import CORPUS, GRID, plan

CONTEXT = 64


def test_every_trajectory_is_trained_on_every_subset() -> None:
    study = plan(grid={"unique_tokens": (150_000, 600_000, 5e6), "max_flops": None})
    assert len(study.runs) == 3 * 4
    assert len({run.id for run in study.runs}) == 12
    for point in study.points:
        run = study.by_id[point.run_id]
        assert point.unique_tokens == run.unique_tokens
        assert run.unique_tokens is not None
        # whole windows and the token before the first: so one epoch is exactly the unique tokens
        assert (run.unique_tokens - 1) % CONTEXT == 0
        assert point.epochs == pytest.approx(point.tokens / (run.unique_tokens - 1), rel=1e-12)
    # a cell that is held out is so on its own subset: as many of each as the grid's share says
    assert sum(point.held_out for point in study.points) == math.ceil(0.2 * len(study.points))


def test_epochs_are_budgets_of_the_unique_tokens() -> None:
    unique = (131_072.0, 262_144.0)
    study = plan(grid={"kind": "epochs", "budgets": (1, 4), "unique_tokens": unique, "holdout_share": 0.0})
    found = {(point.epochs, point.tokens) for point in study.points}
    assert found == {(epochs, round(epochs * u)) for epochs in (1.0, 4.0) for u in unique}


def test_what_a_grid_of_subsets_may_not_be() -> None:
    with pytest.raises(ValueError, match=r"grid.unique_tokens is empty: say of how many"):
        replace(GRID, kind="epochs")
    with pytest.raises(ValueError, match="give different numbers"):
        GridConfig("tokens", (1e6,), GRID.sizes, unique_tokens=(5e5, 5e5))
    with pytest.raises(ValueError, match="set the one to null or the other"):
        plan(grid={"unique_tokens": (5e5,)}, corpus=replace(CORPUS, unique_tokens=1000))
    with pytest.raises(ValueError, match=r"20000001 unique tokens are asked for and the training text holds 10000000"):
        plan(grid={"unique_tokens": (2e7,)})


def test_a_corpus_too_small_for_a_batch_or_a_window_is_said_before_anything_is_trained() -> None:
    with pytest.raises(ValueError, match=r"a batch of 8 sequences of 64 tokens is more than one epoch, for 300"):
        plan(corpus=replace(CORPUS, train_tokens=300))
    with pytest.raises(ValueError, match=r"the 64 tokens of other do not fill one context of 64 tokens"):
        plan(corpus=replace(CORPUS, validation_tokens={"validation": 65, "other": 64}))
