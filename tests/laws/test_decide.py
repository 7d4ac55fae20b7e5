"""The law asked backwards agrees with the law asked forwards, and with what can be worked out by hand."""

import math

import numpy as np
import pytest

from scaling.laws.decide import Goal, band, cost, decide, least_params, loss_at
from scaling.laws.forms import CHINCHILLA
from scaling.laws.optimum import allocate

THETA = np.array([[1.8172, 482.01, 2085.43, 0.3478, 0.3658], [0.92, 117.0, 1700.0, 0.58, 0.65]])


@pytest.mark.parametrize("flops", [1e12, 1e18, 1e24])
def test_every_way_of_asking_leads_back_to_the_same_budget(flops: float) -> None:
    params, tokens, loss = allocate(CHINCHILLA, THETA, flops)
    for i in range(len(THETA)):
        for goal in (Goal(flops=flops), Goal(params=params[i]), Goal(tokens=tokens[i]), Goal(loss=loss[i])):
            choice = decide(THETA[i], goal)
            assert choice.params[0] == pytest.approx(params[i], rel=1e-4)
            assert choice.tokens[0] == pytest.approx(tokens[i], rel=1e-4)
            assert choice.loss[0] == pytest.approx(loss[i], rel=1e-9)
            assert choice.training_flops[0] == pytest.approx(flops, rel=1e-6)


def test_serving_makes_the_model_smaller_and_its_training_longer() -> None:
    plain, served = decide(THETA, Goal(loss=2.2)), decide(THETA, Goal(loss=2.2, inference_tokens=1e13))
    assert np.all(served.params < plain.params)
    assert np.all(served.tokens > plain.tokens)
    assert np.allclose(loss_at(THETA, served.params, served.tokens), 2.2)
    total = served.training_flops + served.inference_flops
    for factor in (0.97, 1.03):  # neither a smaller nor a larger model is cheaper
        around = cost(THETA, factor * served.params, np.full(2, 2.2), 1e13)
        assert np.all(np.isnan(around) | (around > total))  # NaN: too small to reach it at all
    shared = decide(THETA, Goal(flops=float(total[0]), inference_tokens=1e13))
    assert shared.loss[0] == pytest.approx(2.2, rel=1e-6)
    assert shared.params[0] == pytest.approx(served.params[0], rel=1e-3)


def test_halving_a_perplexity_may_take_nine_times_the_size_or_be_out_of_reach() -> None:
    """From perplexity 20 to 10 at L_inf 1.69 and alpha 0.34, by hand: (1.3057 / 0.6126)^(1 / 0.34) = 9.3."""
    theta = np.array([[1.69, 400.0, 1.0, 0.34, 0.3]])
    ratio = least_params(theta, np.array([math.log(10)])) / least_params(theta, np.array([math.log(20)]))
    assert ratio[0] == pytest.approx(9.26, abs=0.01)
    hopeless = np.array([[math.log(10), 400.0, 1.0, 0.34, 0.3]])
    assert np.isnan(decide(hopeless, Goal(loss=math.log(10))).params[0])


@pytest.mark.parametrize("inference", [0.0, 1e12])
def test_the_band_costs_its_share_at_both_ends(inference: float) -> None:
    low, high = band(THETA[0], 2.2, inference, 0.005)
    ends = cost(THETA[[0, 0]], np.array([low, high]), np.full(2, 2.2), inference)
    best = decide(THETA[0], Goal(loss=2.2, inference_tokens=inference))
    assert ends / (best.training_flops + best.inference_flops) == pytest.approx([1.005, 1.005], rel=1e-6)
    assert low < best.params[0] < high


@pytest.mark.parametrize(
    "goal", [{}, {"flops": 1e20, "loss": 2.0}, {"flops": -1.0}, {"params": 1e9, "inference_tokens": 1e12}]
)
def test_a_goal_that_is_none_is_refused(goal: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"give|must be"):
        Goal(**goal)
