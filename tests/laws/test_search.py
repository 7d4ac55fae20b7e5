"""The search is never above what polishing its whole grid reaches, on scattered and heavy-tailed data as well."""

import numpy as np
import pytest

from scaling.laws import newton
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.newton import polish
from scaling.laws.observations import Observations, points
from scaling.laws.search import search


def scattered(seed: int) -> Observations:
    """Draw a study of 8 to 200 points of any shape under noise of 0.03% to 10%, Gaussian or with heavy tails."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([8, 10, 15, 24, 40, 80, 200]))
    params = 10 ** rng.uniform(6, 6 + rng.uniform(1, 4), n)
    by_ratio = rng.random() < 0.5
    tokens = params * 10 ** rng.uniform(0, rng.uniform(0.3, 3), n) if by_ratio else 10 ** rng.uniform(8, 11, n)
    alpha, beta = rng.uniform(0.05, 1, 2)
    theta = np.array(
        [rng.uniform(0, 3), rng.uniform(0.1, 5) * 1e7**alpha, rng.uniform(0.1, 5) * 1e9**beta, alpha, beta]
    )
    noise = rng.standard_normal(n) if rng.random() < 0.5 else rng.standard_t(2, n)
    loss = CHINCHILLA.predict(theta, points(params, tokens)) * np.exp(10 ** rng.uniform(-3.5, -1) * noise)
    return Observations(params, tokens, loss)


@pytest.mark.parametrize("seed", range(12))
def test_no_cell_of_the_grid_leads_lower(seed: int) -> None:
    rows = scattered(seed)
    surface = CHINCHILLA.surface(rows)
    found = search(surface, rows.weights, 1e-3)
    everywhere = polish(surface, surface.starts(rows.weights), rows.weights, 1e-3)
    assert found.value <= everywhere.values.min() * (1 + 1e-9)


def test_large_table_agrees_with_its_rows_searched_directly() -> None:
    """Beyond 600 rows the grid sees a sample; the optimum is still that of every row."""
    rng = np.random.default_rng(2)
    params, tokens = 10 ** rng.uniform(7, 10, 2000), 10 ** rng.uniform(8, 11, 2000)
    loss = (1.8 + 480 / params**0.35 + 2100 / tokens**0.37) * np.exp(0.02 * rng.standard_normal(2000))
    rows = Observations(params, tokens, loss)
    surface = CHINCHILLA.surface(rows)
    found = search(surface, rows.weights, 1e-3)
    starts = surface.starts(rows.weights)[::15]
    assert found.value <= polish(surface, starts, rows.weights, 1e-3).values.min() * (1 + 1e-9)


def planted(n: int) -> Observations:
    rng = np.random.default_rng(3)
    params, tokens = 10 ** rng.uniform(7, 10, n), 10 ** rng.uniform(8, 11, n)
    loss = (1.8 + 480 / params**0.35 + 2100 / tokens**0.37) * np.exp(0.008 * rng.standard_normal(n))
    return Observations(params, tokens, loss)


def test_sums_over_blocks_of_rows_are_the_sums_over_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = planted(3000)
    whole = fit_law(CHINCHILLA, rows)
    monkeypatch.setattr(newton, "BLOCK_ROWS", 700)
    blocks = fit_law(CHINCHILLA, rows)
    assert blocks.theta == pytest.approx(whole.theta, rel=1e-9)
    assert blocks.objective.value == pytest.approx(whole.objective.value, rel=1e-12)


def test_a_related_fit_of_a_large_table_ends_where_a_search_of_all_its_rows_does() -> None:
    """Beyond 3,000 rows it chooses its starts by a sample."""
    rows = planted(8000)
    near = fit_law(CHINCHILLA, rows, delta=0.05)
    again, alone = fit_law(CHINCHILLA, rows, near=near), fit_law(CHINCHILLA, rows)
    assert again.theta == pytest.approx(alone.theta, rel=1e-6)
    assert again.objective.value == pytest.approx(alone.objective.value, rel=1e-10)
