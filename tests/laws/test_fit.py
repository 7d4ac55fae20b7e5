"""Fits find planted truths, published optima, and the same answer however the rows are written down."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from scaling.laws.fit import Fit, fit_law
from scaling.laws.forms import CHINCHILLA, CROSS, TIED, SumOfPowers, power_law
from scaling.laws.newton import polish
from scaling.laws.objective import huber
from scaling.laws.observations import Observations, points

from .published import YARDSTICKS, load


def grid(num_sizes: int = 6, num_ratios: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Params and tokens of a small study: sizes crossed with tokens per parameter."""
    params, ratio = np.meshgrid(np.geomspace(1e7, 3e9, num_sizes), np.geomspace(5, 160, num_ratios))
    return params.ravel(), (params * ratio).ravel()


def planted(law: SumOfPowers, theta: tuple[float, ...], noise: float = 0.0, seed: int = 0) -> Observations:
    params, tokens = grid()
    loss = law.predict(np.array(theta), points(params, tokens))
    rng = np.random.default_rng(seed)
    return Observations(params, tokens, loss * np.exp(noise * rng.standard_normal(len(loss))))


def same(one: Fit, other: Fit, rel: float = 1e-6) -> None:
    assert one.parameters == pytest.approx(other.parameters, rel=rel)


@pytest.mark.parametrize("name", YARDSTICKS)
def test_published_optimum_is_reached(name: str) -> None:
    value, theta = YARDSTICKS[name]
    fit = fit_law(CHINCHILLA, load(name))
    assert fit.status == "converged"
    assert fit.objective.value is not None
    assert fit.objective.value <= value * (1 + 1e-9)
    # The yardsticks are printed with six digits, and B with as few as five.
    assert tuple(fit.parameters.values()) == pytest.approx(theta, rel=2e-5)


@pytest.mark.parametrize("alpha", [0.15, 0.35, 0.7])
@pytest.mark.parametrize("beta", [0.12, 0.4, 0.9])
@pytest.mark.parametrize("floor", [0.5, 1.8])
def test_planted_chinchilla_is_recovered(alpha: float, beta: float, floor: float) -> None:
    truth = (floor, 2.0 * 1e8**alpha, 1.5 * 1e9**beta, alpha, beta)
    fit = fit_law(CHINCHILLA, planted(CHINCHILLA, truth))
    assert fit.status == "converged"
    assert tuple(fit.parameters.values()) == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize(
    ("law", "truth"),
    [
        (power_law("params"), (1.7, 400.0, 0.34)),
        (power_law("tokens"), (1.1, 900.0, 0.3)),
        (power_law("flops"), (1.9, 2000.0, 0.16)),
        (power_law("params", floor=False), (20.0, 0.08)),
        (power_law("flops", floor=False), (30.0, 0.05)),
        (TIED, (1.6, 300.0, 700.0, 0.31)),
        (CROSS, (1.6, 300.0, 500.0, 0.33, 0.36, 0.03)),
    ],
    ids=lambda value: value.name if isinstance(value, SumOfPowers) else "",
)
def test_planted_form_is_recovered(law: SumOfPowers, truth: tuple[float, ...]) -> None:
    fit = fit_law(law, planted(law, truth))
    assert fit.status == "converged"
    assert tuple(fit.parameters.values()) == pytest.approx(truth, rel=1e-6)


def test_objective_is_the_sum_of_the_residuals_huber_losses() -> None:
    observations = planted(CHINCHILLA, (1.8, 480.0, 2100.0, 0.35, 0.37), noise=0.01)
    fit = fit_law(CHINCHILLA, observations)
    predicted = CHINCHILLA.predict(fit.theta, observations)
    residuals = np.log(observations.loss) - np.log(predicted)
    assert fit.residuals == pytest.approx(residuals, abs=1e-12)
    assert fit.objective.value == pytest.approx(huber(residuals, 1e-3).sum(), rel=1e-10)


NOISY = planted(CHINCHILLA, (1.8, 480.0, 2100.0, 0.35, 0.37), noise=0.01, seed=3)
REFERENCE = fit_law(CHINCHILLA, NOISY)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(len(NOISY))))
def test_order_of_rows_does_not_matter(order: list[int]) -> None:
    same(fit_law(CHINCHILLA, NOISY.take(order)), REFERENCE)


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 5))
def test_duplicating_every_row_changes_nothing_but_the_sum(times: int) -> None:
    fit = fit_law(CHINCHILLA, NOISY.take(np.tile(np.arange(len(NOISY)), times)))
    same(fit, REFERENCE)
    assert REFERENCE.objective.value is not None
    assert fit.objective.value == pytest.approx(times * REFERENCE.objective.value, rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.floats(-12, 12))
def test_scaling_the_objective_changes_nothing_but_the_sum(power: float) -> None:
    """The trap of averaged objectives under absolute tolerances (Besiroglu et al. 2024)."""
    fit = fit_law(CHINCHILLA, NOISY.with_weights(np.full(len(NOISY), 10.0**power)))
    same(fit, REFERENCE)
    assert fit.objective.value == pytest.approx(10.0**power * REFERENCE.objective.value, rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.floats(-6, 6), st.floats(-6, 6))
def test_units_move_the_coefficients_alone(params_power: float, tokens_power: float) -> None:
    """Counting N in units of 1/k multiplies A by k^alpha and leaves the rest alone."""
    k, m = 10.0**params_power, 10.0**tokens_power
    scaled = Observations(NOISY.params * k, NOISY.tokens * m, NOISY.loss)
    fit, old = fit_law(CHINCHILLA, scaled), REFERENCE.parameters
    expected = dict(old, A=old["A"] * k ** old["alpha"], B=old["B"] * m ** old["beta"])
    assert fit.parameters == pytest.approx(expected, rel=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.1, 10.0))
def test_units_of_the_loss_move_floor_and_coefficients_alike(scale: float) -> None:
    fit = fit_law(CHINCHILLA, Observations(NOISY.params, NOISY.tokens, NOISY.loss * scale))
    old = REFERENCE.parameters
    expected = dict(old, E=old["E"] * scale, A=old["A"] * scale, B=old["B"] * scale)
    assert fit.parameters == pytest.approx(expected, rel=1e-6)


def test_integer_weights_are_repeated_rows() -> None:
    counts = np.random.default_rng(5).integers(0, 4, len(NOISY))
    weighted = fit_law(CHINCHILLA, NOISY.with_weights(counts))
    repeated = fit_law(CHINCHILLA, NOISY.take(np.repeat(np.arange(len(NOISY)), counts)))
    same(weighted, repeated)


def test_averaged_objective_under_default_tolerances_stops_early() -> None:
    """The trap of shared/data/README.md: the mean of the Huber losses, scipy's defaults, start (6, 6, .5, .3, .3).

    It stops 14.6% above the optimum; the same start under our solver does not, however the objective is scaled.
    """
    rows = load("epoch_240")
    log_n, log_d, log_loss = np.log(rows.params), np.log(rows.tokens), np.log(rows.loss)

    def mean_huber(x: np.ndarray) -> float:
        predicted = np.logaddexp(np.logaddexp(x[0] - x[3] * log_n, x[1] - x[4] * log_d), x[2])
        return float(huber(log_loss - predicted, 1e-3).mean())

    start = np.array([6.0, 6.0, 0.5, 0.3, 0.3])
    trapped = minimize(mean_huber, start, method="L-BFGS-B")
    best = YARDSTICKS["epoch_240"][0]
    assert trapped.fun * len(rows) > 1.1 * best
    surface = CHINCHILLA.surface(rows)
    bad = surface.from_raw(np.array([[np.exp(0.5), np.exp(6.0), np.exp(6.0), 0.3, 0.3]]))
    for scale in (1.0, 1.0 / len(rows), 1e6):
        polished = polish(surface, bad, np.full(len(rows), scale), 1e-3)
        assert polished.values[0] == pytest.approx(scale * best, rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_no_random_start_goes_below_the_search(seed: int) -> None:
    """From random coefficients many lanes end where one term has died; none ends below the global optimum."""
    rng = np.random.default_rng(seed)
    surface = CHINCHILLA.surface(NOISY)
    starts = np.column_stack([rng.uniform(0, 2, (20, 3)), rng.uniform(0, 2, (20, 2))])
    values = polish(surface, starts, NOISY.weights, 1e-3).values
    assert REFERENCE.objective.value is not None
    assert values.min() >= REFERENCE.objective.value * (1 - 1e-9)


def test_delta_must_be_positive() -> None:
    with pytest.raises(ValueError, match="delta is 0"):
        fit_law(CHINCHILLA, NOISY, delta=0)
