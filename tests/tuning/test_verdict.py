"""A win is a win on seeds that the search never saw, and seed noise is none."""

import numpy as np
import pytest

from scaling.tuning.verdict import Contender, Verdict, judge

SEED_SD, NOISE_SD = 0.02, 0.005


def simulate(generator: np.random.Generator, gains: tuple[float, ...], seeds: int = 3) -> Verdict:
    """Losses = 1.4 - gain + what the seed does to all alike + noise; the first is the default."""
    common = SEED_SD * generator.standard_normal(seeds)
    contenders = [
        Contender({"x": 1.0}, tuple(1.4 - gain + common + NOISE_SD * generator.standard_normal(seeds)))
        for gain in (0.0, *gains)
    ]
    return judge(contenders[0], contenders[1:])


def test_luck_is_not_sold_as_a_win() -> None:
    """Two finalists equal to the default: 5% of 1,000 verdicts may name a difference, give or take 3 sd (2.1%)."""
    generator = np.random.default_rng(0)
    verdicts = [simulate(generator, (0.0, 0.0)) for _ in range(1000)]
    told_apart = sum(abs(v.gain) > v.needed for v in verdicts) / len(verdicts)
    assert told_apart < 0.071
    assert sum(v.is_better for v in verdicts) > 0


def test_a_real_gain_is_found_whatever_a_seed_does_to_all() -> None:
    """Ten times the noise of a difference, and half of what seeds do to all recipes alike."""
    generator = np.random.default_rng(1)
    verdicts = [simulate(generator, (0.05, 0.0)) for _ in range(200)]
    assert sum(v.is_better for v in verdicts) > 190
    assert np.mean([v.noise_sd for v in verdicts]) == pytest.approx(NOISE_SD, rel=0.15)


def test_words_say_which_it_is() -> None:
    default = Contender(None, (1.40, 1.42, 1.41))
    better = judge(default, [Contender({"x": 1.0}, (1.30, 1.321, 1.31))])
    worse = judge(default, [Contender({"x": 1.0}, (1.50, 1.521, 1.51))])
    same = judge(default, [Contender({"x": 1.0}, (1.41, 1.405, 1.42))])
    assert better.words.startswith("better than the default recipe")
    assert worse.words.startswith("worse than the default recipe, which stays")
    assert same.words.startswith("indistinguishable from the default recipe, which stays")
    assert (better.winner.values, worse.winner, same.winner) == ({"x": 1.0}, default, default)
