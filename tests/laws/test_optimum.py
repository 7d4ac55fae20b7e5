"""The closed-form optimum is the optimum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA, CROSS, TIED, SumOfPowers, power_law
from scaling.laws.observations import points
from scaling.laws.optimum import allocate, optimum

from .test_fit import planted

exponent = st.floats(0.1, 1.0)
THETA = {
    "chinchilla": (1.8, 480.0, 2100.0, 0.35, 0.37),
    "tied": (1.6, 300.0, 700.0, 0.31),
    "cross": (1.6, 300.0, 500.0, 0.33, 0.36, 0.03),
}


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([CHINCHILLA, TIED, CROSS]), exponent, exponent, st.floats(0, 0.1), st.floats(17, 25))
def test_closed_form_is_the_minimum(
    law: SumOfPowers, alpha: float, beta: float, gamma: float, log10_flops: float
) -> None:
    exponents = {"chinchilla": (alpha, beta), "tied": (alpha,), "cross": (alpha, beta, gamma)}[law.name]
    theta = np.array([1.7, 2.0 * 1e8**alpha, 1.5 * 1e9**beta, *exponents])
    flops = 10.0**log10_flops
    params, tokens, loss = (float(x[0]) for x in allocate(law, theta[None], flops))
    assert 6 * params * tokens == pytest.approx(flops)

    def excess(log_params: float) -> float:
        n = np.exp(log_params)
        return float(law.predict(theta, points(n, flops / 6 / n))[0]) - 1.7

    around = np.log(params)
    found = minimize_scalar(excess, bounds=(around - 4, around + 4), method="bounded")
    assert loss - 1.7 <= found.fun * (1 + 1e-9)
    assert found.x == pytest.approx(around, abs=1e-3)  # flat: a search by values sees sqrt(eps) / curvature


@pytest.mark.parametrize("law", [CHINCHILLA, TIED, CROSS], ids=lambda law: law.name)
def test_exponents_are_the_growth_of_the_optimum(law: SumOfPowers) -> None:
    fit = fit_law(law, planted(law, THETA[law.name]))
    one, ten = optimum(fit, 1e21), optimum(fit, 1e22)
    assert np.log10(ten.params / one.params) == pytest.approx(one.params_exponent)
    assert np.log10(ten.tokens / one.tokens) == pytest.approx(one.tokens_exponent)


def test_chinchilla_exponents_are_those_of_the_paper() -> None:
    fit = fit_law(CHINCHILLA, planted(CHINCHILLA, THETA["chinchilla"]))
    at = optimum(fit, 1e21)
    assert at.params_exponent == pytest.approx(0.37 / 0.72, rel=1e-6)
    assert at.tokens_exponent == pytest.approx(0.35 / 0.72, rel=1e-6)


def test_law_in_one_variable_has_no_optimum() -> None:
    law = power_law("params")
    fit = fit_law(law, planted(law, (1.7, 400.0, 0.34)))
    with pytest.raises(ValueError, match="does not weigh params against tokens"):
        optimum(fit, 1e21)
    with pytest.raises(ValueError, match="flops is -1"):
        optimum(fit, -1)
