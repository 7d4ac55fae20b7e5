"""A valley of losses over shapes: planted ones come back, intervals hold, what cannot be told is said."""

from dataclasses import dataclass

import numpy as np
import pytest

from scaling.laws.observations import FloatArray
from scaling.laws.shapes import Shaped, TooFewShapes, Valley, fit_valley, odd_runs, valley_sd

RATIOS = np.array([3.0, 5.0, 8.0, 12.0, 20.0, 32.0, 50.0])
STUDIES = 200


@dataclass(frozen=True)
class Planted:
    """Seven shapes with `seeds` runs each (or as many as `each` says), every run with two budgets unless `alone`.

    The log loss rises by `bend` times the squared log of the ratio over `best`; `noise` is shared within a run by
    `shared`, and `own` is what each size is off for other reasons."""

    bend: float = 0.02
    best: float = 12.0
    noise: float = 0.01
    shared: float = 0.8
    own: float = 0.0
    seeds: int = 2
    each: tuple[int, ...] = ()
    alone: bool = False

    @property
    def design(self) -> Shaped:
        rows, run = [], 0
        for size, ratio in enumerate(RATIOS):
            for _ in range(self.each[size] if self.each else self.seeds):
                for cell in (0, 1):
                    rows.append((np.log(ratio), size, cell, run))
                    run += self.alone
                run += not self.alone
        x, *numbers = np.array(rows).T
        return Shaped(x, *(column.astype(np.int64) for column in numbers))

    def losses(self, rng: np.random.Generator) -> FloatArray:
        at = self.design
        of_run, alone = rng.normal(size=int(at.run.max()) + 1)[at.run], rng.normal(size=len(at.run))
        scatter = np.sqrt(self.shared) * of_run + np.sqrt(1 - self.shared) * alone
        curve = self.bend * (at.x - np.log(self.best)) ** 2 + self.own * rng.normal(size=len(RATIOS))[at.size]
        return np.asarray(0.7 - 0.2 * at.cell + curve + self.noise * scatter)

    def studies(self, count: int = STUDIES) -> list[Valley]:
        rng = np.random.default_rng(1)
        return [fit_valley(self.design, self.losses(rng)) for _ in range(count)]


def holds(valley: Valley, x: float) -> bool:
    best = valley.best
    return best is None or ((best.low is None or best.low <= x) and (best.high is None or x <= best.high))


@pytest.mark.parametrize(
    "planted",
    [
        Planted(),
        Planted(bend=0.005),  # mostly flat: the interval is then open, and wrong no oftener
        Planted(seeds=1),
        Planted(alone=True, shared=0.0),
        Planted(each=(1, 1, 3, 1, 3, 1, 1), shared=0.3),
        Planted(own=0.01, seeds=3),
        Planted(best=35.0),
        Planted(best=80.0),  # beyond the largest ratio
    ],
    ids=repr,
)
def test_the_interval_of_the_best_ratio_holds_it_in_the_stated_share(planted: Planted) -> None:
    """Of 200 studies 95% is 190, give or take 3.1: outside 90.5% to 99% once in three thousand times."""
    share = np.mean([holds(valley, np.log(planted.best)) for valley in planted.studies()])
    assert 0.905 <= share <= (1.0 if planted.best > RATIOS.max() else 0.99)


def test_the_best_ratio_comes_back_with_what_another_costs() -> None:
    exact = fit_valley(Planted().design, Planted(noise=0.0).losses(np.random.default_rng(0)))
    assert exact.kind == "inside"
    assert exact.best is not None
    assert np.exp(exact.best.value) == pytest.approx(12.0, rel=1e-9)
    assert exact.cost(np.log(50.0)).value == pytest.approx(0.02 * np.log(50 / 12) ** 2, rel=1e-4)
    low, high = exact.band(0.02 * np.log(2) ** 2)
    assert np.exp([low or 0.0, high or 0.0]) == pytest.approx([6.0, 24.0], rel=0.002)
    assert exact.band(1.0) == (None, None)
    studies = Planted().studies()
    assert np.median([np.exp(v.best.value) for v in studies if v.best]) == pytest.approx(12.0, rel=0.05)
    truth = 0.02 * np.log(50 / 12) ** 2
    costs = [valley.cost(np.log(50.0)) for valley in studies]
    assert 0.9 <= np.mean([(c.low or 0.0) <= truth <= (c.high or 0.0) for c in costs]) <= 0.99


def test_losses_that_do_not_depend_on_the_shape_are_called_flat() -> None:
    """At 95% one study in twenty is taken in; of 200 more than 22 would be one chance in three thousand."""
    studies = Planted(bend=0.0).studies()
    assert sum(valley.kind != "flat" for valley in studies) <= 22
    weak = Planted(bend=0.003)
    truth = weak.bend * np.log(12 / 3) ** 2
    flat = [valley for valley in weak.studies() if valley.kind == "flat"]
    assert len(flat) > 0.8 * STUDIES
    assert np.mean([valley.largest >= truth for valley in flat]) > 0.95
    assert fit_valley(Planted().design, np.full(28, 0.7)).kind == "flat"


@pytest.mark.parametrize(("best", "kind"), [(200.0, "above"), (1.0, "below")])
def test_a_best_ratio_beyond_what_was_measured_has_an_open_end(best: float, kind: str) -> None:
    for valley in Planted(best=best, noise=0.003).studies(20):
        assert valley.kind == kind
        assert valley.best is not None
        end, other = (valley.best.high, valley.best.low) if kind == "above" else (valley.best.low, valley.best.high)
        assert end is None
        assert other is not None


def test_a_hill_has_no_best_ratio() -> None:
    valley = fit_valley(Planted().design, Planted(bend=-0.02, noise=0.002).losses(np.random.default_rng(0)))
    assert (valley.kind, valley.best) == ("no valley", None)


def test_sizes_that_are_off_for_other_reasons_are_told_and_count_instead_of_runs() -> None:
    off = Planted(own=0.05, noise=0.002, seeds=3).studies(20)
    assert all(valley.misfit is not None and valley.misfit < 0.01 for valley in off)
    assert {valley.freedom for valley in off} == {len(RATIOS) - 1 - 3}


def test_a_run_that_noise_does_not_explain_is_found_and_no_other() -> None:
    """At most one clean study in 200 has such a run: of 100, more than 4 would be one chance in three thousand."""
    planted, rng = Planted(), np.random.default_rng(1)
    design, clean = planted.design, [planted.losses(rng) for _ in range(100)]
    assert sum(bool(odd_runs(design, losses)) for losses in clean) <= 4
    bad = [losses + np.log(1.1) * (design.run == run % 14) for run, losses in enumerate(clean)]
    found = [odd_runs(design, losses) for losses in bad]
    assert sum(odd == [run % 14] for run, odd in enumerate(found)) >= 90


def test_too_little_for_a_curve_is_refused_with_what_to_add() -> None:
    x, zeros = np.log(RATIOS[:3]), np.zeros(3, dtype=np.int64)
    with pytest.raises(TooFewShapes, match="add shapes, or a seed of each"):
        fit_valley(Shaped(x, np.arange(3), zeros, np.arange(3)), np.zeros(3))
    with pytest.raises(TooFewShapes, match="three ratios"):
        fit_valley(Shaped(np.log([3.0, 3, 9, 9]), np.array([0, 0, 1, 1]), np.zeros(4, int), np.arange(4)), np.zeros(4))


def test_what_is_expected_is_what_studies_scatter_by() -> None:
    """The sd of 200 numbers is known to 5%; the first order that the expectation is made in costs some percent more."""
    planted = Planted(bend=0.02, best=float(np.exp(np.log(RATIOS[[0, -1]]).mean())))
    sd, end, freedom = valley_sd(planted.design, planted.noise, planted.shared, planted.bend)
    studies = planted.studies()
    assert freedom == studies[0].freedom == 10
    assert sd == pytest.approx(np.std([valley.best.value for valley in studies if valley.best]), rel=0.2)
    gaps = [float(np.diff(valley.curve(np.array([valley.centre, valley.ends[1]])))[0]) for valley in studies]
    assert end == pytest.approx(np.std(gaps), rel=0.15)
