"""The corners' rates: a planted optimum is found, and the proposed rule passes through it."""

import math
from pathlib import Path

import pytest

from scaling.corners import Corner, read_corners, write_corners
from scaling.tuning.corners import best_multiple, conclude

RATES = {"matrix_lr": 0.003, "embedding_lr": 0.012, "vector_lr": 0.012}


def corner(
    params: int, best: float, *, tokens: int = 1_000_000, multiples: tuple[float, ...] = (0.5, 1.0, 2.0)
) -> Corner:
    losses = tuple(1.4 + 0.02 * (math.log(m) - math.log(best)) ** 2 for m in multiples)
    return Corner(f"run{params}", "size", params, tokens, multiples, losses)


def conclude_from(*corners: Corner) -> str:
    return conclude(corners, RATES, reference_params=1e5, lr_exponent=0.0, noise=(0.01, 6)).remedy


@pytest.mark.parametrize("best", [0.6, 1.0, 1.7])
def test_the_best_multiple_is_the_parabolas_vertex(best: float) -> None:
    assert best_multiple(corner(10_000, best)) == pytest.approx(best)


def test_it_stays_within_what_was_measured() -> None:
    assert best_multiple(corner(10_000, 8.0)) == pytest.approx(2.0)
    bent_down = Corner("run", "size", 1, 1, (0.5, 1.0, 2.0), (1.0, 1.2, 1.1))
    assert best_multiple(bent_down) == pytest.approx(0.5)
    diverged = Corner("run", "size", 1, 1, (0.5, 1.0, 2.0), (1.0, 1.1, None))
    assert best_multiple(diverged) == pytest.approx(0.5)
    assert diverged.gains == {0.5: pytest.approx(1 - 1.0 / 1.1)}


def test_the_rule_is_moved_where_all_corners_agree() -> None:
    assert conclude_from(corner(10_000, 1.5), corner(10**6, 1.5)) == (
        "recipe.matrix_lr=0.0045 recipe.embedding_lr=0.018 recipe.vector_lr=0.018"
    )


def test_a_drift_in_size_becomes_an_exponent() -> None:
    """Best multiples 2 and 1/2 over two decades of N: half the rate a decade, and the old rate at 1e5."""
    remedy = conclude_from(corner(10_000, 2.0), corner(10**6, 0.5))
    assert remedy.endswith(" recipe.lr_exponent=-0.301")
    assert remedy.startswith("recipe.matrix_lr=0.003 ")


def test_the_file_is_read_back(tmp_path: Path) -> None:
    assert read_corners(tmp_path) is None
    corners = conclude([corner(10_000, 1.5)], RATES, reference_params=1e5, lr_exponent=0.0, noise=(0.01, 6))
    write_corners(tmp_path, corners)
    assert read_corners(tmp_path) == corners
    assert corners.gain_sd == pytest.approx(0.01 * 2**0.5)
