"""A profile is the objective that refits find, and its interval holds a planted truth."""

import numpy as np
import pytest

from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.observations import Observations, points
from scaling.laws.profile import _Walk, parameter_profile

TRUTH = {"E": 1.7, "A": 400.0, "B": 1100.0, "alpha": 0.34, "beta": 0.37}
N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e6, 1e9, 7), np.geomspace(1e8, 1e11, 7)))
NOISE = 0.01 * np.random.default_rng(5).standard_normal(len(N))
ROWS = Observations(N, D, CHINCHILLA.predict(np.array(list(TRUTH.values())), points(N, D)) * np.exp(NOISE))
FIT = fit_law(CHINCHILLA, ROWS)


@pytest.mark.parametrize("name", ["E", "alpha", "beta"])
def test_a_profile_rises_to_both_sides_and_its_interval_holds_the_truth(name: str) -> None:
    profile = parameter_profile(FIT, ROWS, name)
    at = int(np.argmin(profile.ratio))
    assert profile.values[at] == FIT.parameters[name]
    assert profile.ratio[at] == 1.0
    # Refits stop at a tolerance, which shows as the last digits of neighbours.
    assert (np.diff(profile.ratio[: at + 1]) < 1e-4).all()
    assert (np.diff(profile.ratio[at:]) > -1e-4).all()
    assert profile.closed
    assert profile.low < TRUTH[name] < profile.high
    inside = (profile.values > profile.low * 1.002) & (profile.values < profile.high * 0.998)
    assert (profile.ratio[inside] <= profile.ceiling).all()
    assert profile.ratio[0] > profile.ceiling < profile.ratio[-1]


@pytest.mark.parametrize("delta", [1e-3, 0.02, np.inf])
@pytest.mark.parametrize("weights", [np.ones(len(N)), np.full(len(N), 4.0), D / D.mean()], ids=["equal", "4", "by D"])
def test_the_least_of_a_profile_is_the_objective_of_the_fit(weights: np.ndarray, delta: float) -> None:
    rows = ROWS.with_weights(weights)
    fit = fit_law(CHINCHILLA, rows, delta=delta)
    for name in ("E", "beta"):
        walk = _Walk(fit, rows, name)
        assert walk.least == pytest.approx(fit.objective.value, rel=1e-9)
        assert walk.objective(fit.parameters[name]) == pytest.approx(fit.objective.value, rel=1e-6)
        assert walk.objective(fit.parameters[name] * 1.05) > walk.least
