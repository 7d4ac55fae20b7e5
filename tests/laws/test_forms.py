"""Forms beyond sums of powers: gradients, planted truths, and what each reduces to."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize_scalar

from scaling.laws.broken import BROKEN_FLOPS
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA, CROSS, TIED, Law, power_law
from scaling.laws.joint import INTERACTION, KAPLAN
from scaling.laws.newton import polish
from scaling.laws.objective import huber_sums
from scaling.laws.observations import Observations, points
from scaling.laws.optimum import allocate
from scaling.laws.repeated import DATA_CONSTRAINED, DataConstrained

from .published import load
from .test_fit import grid

PARAMS, TOKENS = grid(7, 6)
UNIQUE = np.minimum(TOKENS, 3e9)
AT = points(PARAMS, TOKENS, unique_tokens=UNIQUE)

CASES: list[tuple[Law, tuple[float, ...]]] = [
    (CHINCHILLA, (1.8, 480.0, 2100.0, 0.35, 0.37)),
    (TIED, (1.6, 300.0, 700.0, 0.31)),
    (CROSS, (1.6, 300.0, 500.0, 0.33, 0.36, 0.03)),
    (power_law("flops"), (1.9, 2000.0, 0.16)),
    (INTERACTION, (1.6, 2.0e4, 1.0e5, 0.5, 0.55, 0.6)),
    (KAPLAN, (8.8e13, 5.4e13, 0.076, 0.095)),  # the values of Kaplan et al. 2020
    (BROKEN_FLOPS, (1.2, 300.0, 0.12, 0.1, 1e19, 0.4)),
    (DATA_CONSTRAINED, (1.87, 521.0, 1488.0, 0.353, 0.353, 15.4, 5.3)),  # Muennighoff et al. 2023
    (DataConstrained((1.87, 521.0, 1488.0, 0.353, 0.353)), (15.4, 5.3)),
]
IDS = [f"{law.name}-{len(theta)}" for law, theta in CASES]


def rows_of(law: Law, theta: tuple[float, ...], noise: float = 0.0) -> Observations:
    loss = law.predict(np.array(theta), AT)
    noisy = loss * np.exp(noise * np.random.default_rng(8).standard_normal(len(loss)))
    return Observations(PARAMS, TOKENS, noisy, unique_tokens=UNIQUE)


@pytest.mark.parametrize(("law", "theta"), CASES, ids=IDS)
def test_gradient_is_the_slope_of_predict(law: Law, theta: tuple[float, ...]) -> None:
    gradient = law.gradient(np.array(theta), AT)
    for row in (0, 11, 29, 41):
        step = 1e-6 * np.abs(theta)
        numeric = approx_fprime(np.array(theta), lambda t, row=row: law.predict(t, AT)[row], step)
        # Forward differences: relative error about eps / 1e-6 * loss / change, 1e-5 of the largest term is safe.
        scale = np.abs(gradient[:, row] * theta).max() / np.abs(theta)
        assert np.all(np.abs(gradient[:, row] - numeric) < 1e-4 * scale + 1e-12)


@pytest.mark.parametrize(("law", "theta"), CASES, ids=IDS)
def test_coordinates_come_back_and_agree_with_predict(law: Law, theta: tuple[float, ...]) -> None:
    rows = rows_of(law, theta, noise=0.01)
    surface = law.surface(rows)
    coords = surface.from_raw(np.array(theta))
    assert surface.to_raw(coords) == pytest.approx(theta, rel=1e-9)
    residuals = np.log(rows.loss) - np.log(law.predict(np.array(theta), rows))
    assert surface.residuals(coords[None])[0] == pytest.approx(residuals, abs=1e-10)
    some = np.array([3, 1, 17])
    assert surface.rows(some).residuals(coords[None])[0] == pytest.approx(residuals[some], abs=1e-10)


@pytest.mark.parametrize(("law", "theta"), CASES, ids=IDS)
def test_expansion_is_the_slope_and_the_bend_of_the_surface(law: Law, theta: tuple[float, ...]) -> None:
    rows = rows_of(law, theta, noise=0.01)
    surface = law.surface(rows)
    coords = surface.from_raw(np.array(theta))[None]
    expansion = surface.expand(coords)
    factors = np.random.default_rng(1).standard_normal((1, len(rows)))
    bend = surface.curvature(coords, expansion, factors)[0]
    for j in range(coords.shape[1]):
        step = np.zeros_like(coords)
        step[0, j] = 1e-5 * max(abs(coords[0, j]), 0.1)
        ahead, behind = surface.expand(coords + step), surface.expand(coords - step)
        rise = (ahead.loss - behind.loss) / (2 * step[0, j])
        assert expansion.jacobian[0, j] * expansion.loss[0] == pytest.approx(rise[0], rel=1e-5, abs=1e-7)
        slopes = (ahead.jacobian * ahead.loss[:, None] - behind.jacobian * behind.loss[:, None]) / (2 * step[0, j])
        expected = slopes[0] @ (factors[0] / expansion.loss[0])
        assert bend[j] == pytest.approx(expected, rel=1e-4, abs=1e-4 * np.abs(bend).max())


@pytest.mark.parametrize(("law", "theta"), CASES, ids=IDS)
def test_planted_truth_is_recovered(law: Law, theta: tuple[float, ...]) -> None:
    fit = fit_law(law, rows_of(law, theta))
    assert fit.status == "converged"
    assert tuple(fit.parameters.values()) == pytest.approx(theta, rel=1e-6)


@pytest.mark.parametrize(("law", "theta"), [case for case in CASES if len(case[0].inputs) == 2], ids=lambda v: "")
def test_optimum_is_the_minimum_along_a_budget(law: Law, theta: tuple[float, ...]) -> None:
    flops = 3e21
    params, _, loss = (float(x[0]) for x in allocate(law, np.array([theta]), flops))

    def at(log_params: float) -> float:
        n = np.exp(log_params)
        return float(law.predict(np.array(theta), points(n, flops / 6 / n))[0])

    found = minimize_scalar(at, bounds=(np.log(params) - 3, np.log(params) + 3), method="bounded")
    assert loss <= found.fun * (1 + 1e-12)


def test_interaction_of_power_one_is_chinchilla() -> None:
    theta = np.array([1.8, 480.0, 2100.0, 0.35, 0.37])
    assert INTERACTION.predict(np.append(theta, 1.0), AT) == pytest.approx(CHINCHILLA.predict(theta, AT), rel=1e-12)


def test_kaplan_matches_its_limits() -> None:
    """With endless data L = (N_c/N)^alpha_N, with an endless model L = (D_c/D)^alpha_D (their Eqs. 1.1 and 1.2)."""
    theta = np.array([8.8e13, 5.4e13, 0.076, 0.095])
    assert KAPLAN.predict(theta, points(1e9, 1e40))[0] == pytest.approx((8.8e13 / 1e9) ** 0.076, rel=1e-3)
    assert KAPLAN.predict(theta, points(1e40, 1e9))[0] == pytest.approx((5.4e13 / 1e9) ** 0.095, rel=1e-3)


def test_fresh_text_is_plain_chinchilla_where_params_are_few() -> None:
    theta = np.array([1.87, 521.0, 1488.0, 0.353, 0.353, 15.4, 5.3])
    few = points(1e7, [1e10, 1e11])
    assert DATA_CONSTRAINED.predict(theta, few) == pytest.approx(CHINCHILLA.predict(theta[:5], few), rel=1e-12)


def test_repeated_tokens_are_worth_less_than_fresh_and_more_than_none() -> None:
    theta = np.array([1.87, 521.0, 1488.0, 0.353, 0.353, 15.4, 5.3])

    def loss(tokens: float, unique: float) -> float:
        return float(DATA_CONSTRAINED.predict(theta, points(1e8, tokens, unique_tokens=unique))[0])

    assert loss(8e9, 8e9) < loss(8e9, 2e9) < loss(2e9, 2e9)


def test_data_constrained_optimum_of_the_published_base() -> None:
    """shared/data/README.md: published R_D*, R_N* score .015825935, the optimum is at 95.365, 1.706 with
    .015804662."""
    rows = load("datablations")
    base = (float(np.exp(0.6254804)), float(np.exp(6.255414)), float(np.exp(7.3049974)), 0.3526596, 0.3526596)
    law = DataConstrained(base)
    surface = law.surface(rows)
    published = surface.residuals(surface.from_raw(np.array([[15.387756, 5.309743]])))
    assert huber_sums(published, rows.weights, 1e-3)[0] == pytest.approx(0.015825935, rel=1e-7)
    fit = fit_law(law, rows)
    assert fit.objective.value == pytest.approx(0.015804662, rel=1e-7)
    assert fit.parameters == pytest.approx({"R_D": 95.365, "R_N": 1.706}, rel=1e-3)


def test_equal_bounds_hold_a_coordinate() -> None:
    rows = rows_of(CHINCHILLA, CASES[0][1], noise=0.01)
    surface = CHINCHILLA.surface(rows)
    coords = surface.from_raw(np.array([CASES[0][1]]))
    low, high = surface.lower.copy(), surface.upper.copy()
    low[3] = high[3] = 0.5
    held = polish(surface, coords, rows.weights, 1e-3, lower=low, upper=high)
    free = polish(surface, coords, rows.weights, 1e-3)
    assert held.coords[0, 3] == 0.5
    assert held.values[0] > free.values[0]
