"""isoFLOP studies grow by centred profiles: old ones are mended, new ones begin about the best N that the law sees."""

import math
from collections import defaultdict
from dataclasses import replace

import pytest

from scaling.laws.isoflop import MIN_SIZES
from scaling.planning.candidates import sites
from scaling.planning.config import GridConfig, SizeConfig
from scaling.planning.extension import additions, extended_grid
from scaling.planning.power import default_target
from scaling.planning.profiles import OFF_CENTRE, profiles
from scaling.planning.proposals import Proposals, propose
from scaling.specs import Plan
from tests.planning.conftest import GRID
from tests.planning.test_proposals import BELIEF, planned, room

SMALL = (  # far below the best N of these budgets, some 60 to 120 thousand
    SizeConfig("7k", 2, 16, 2),
    SizeConfig("14k", 2, 24, 2),
    SizeConfig("25k", 2, 32, 2),
    SizeConfig("38k", 2, 40, 4),
)
BUDGETS = (5e11, 1e12, 2e12)
CENTRED = tuple(
    replace(shape, budgets=tuple(b * 1e12 for b in budgets))
    for shape, budgets in (
        (SizeConfig("14k", 2, 24, 2), (0.5,)),
        (SizeConfig("25k", 2, 32, 2), (0.5, 1)),
        (SizeConfig("38k", 2, 40, 4), (0.5, 1, 2)),
        (SizeConfig("55k", 2, 48, 4), (0.5, 1, 2)),
        (SizeConfig("98k", 2, 64, 4), (0.5, 1, 2)),
        (SizeConfig("200k", 4, 64, 4), (1, 2)),
        (SizeConfig("230k", 3, 80, 5), (2,)),
    )
)


def grid(sizes: tuple[SizeConfig, ...]) -> GridConfig:
    return replace(GRID, kind="isoflop", budgets=BUDGETS, sizes=sizes, holdout_share=0.0)


def proposed(made: Plan, asked: GridConfig) -> Proposals:
    largest = max(point.flops for point in made.points)
    return propose(
        made, room(asked), BELIEF, list(made.points), target=default_target(made), max_flops=2 * made.total_flops,
        max_point_flops=2 * largest,
    )  # fmt: skip


def middles(made: Plan) -> dict[float, tuple[float, float, int]]:
    """Of each budget: the middle of its fitted sizes in log N, half their width, how many they are."""
    sizes = defaultdict(set)
    for point in made.points:
        if not point.held_out:
            assert point.nominal_flops is not None
            sizes[point.nominal_flops].add(math.log(point.params))
    return {b: ((max(x) + min(x)) / 2, (max(x) - min(x)) / 2, len(x)) for b, x in sizes.items()}


def off(made: Plan, asked: GridConfig, max_flops: float) -> dict[float, float]:
    """How far the best N of each budget is off its middle, of half its width."""
    there = sites(made, room(asked), max_flops)
    found = {p.budget: p.centre for p in profiles(made, there, room(asked), BELIEF, max_flops)}
    return {b: (found[b] - middle) / half for b, (middle, half, _) in middles(made).items()}


def test_profiles_to_one_side_of_their_best_size_are_centred() -> None:
    asked = grid(SMALL)
    made = planned(asked)
    largest = max(point.flops for point in made.points)
    before = off(made, asked, 2 * largest)
    assert min(before.values()) > 0.6  # what the check `off_centre` warns of
    found = proposed(made, asked)
    mended = [point for point in found.points if point.purpose == "centre"]
    assert {point.nominal_flops for point in mended} == set(BUDGETS)
    wider = extended_grid(room(asked), made, additions(found))
    after = off(planned(wider), wider, 2 * largest)
    for budget in BUDGETS:
        assert abs(after[budget]) < 0.75 * before[budget]
        assert abs(after[budget]) < 0.6


def test_centred_profiles_need_no_mending() -> None:
    asked = grid(CENTRED)
    made = planned(asked)
    assert max(abs(x) for x in off(made, asked, 4e12).values()) < OFF_CENTRE
    assert "centre" not in {point.purpose for point in proposed(made, asked).points}


@pytest.mark.parametrize("sizes", [SMALL, CENTRED])
def test_a_new_budget_comes_as_a_whole_profile(sizes: tuple[SizeConfig, ...]) -> None:
    asked = grid(sizes)
    made = planned(asked)
    found = proposed(made, asked)
    wider = extended_grid(room(asked), made, additions(found))
    then = middles(planned(wider))
    assert set(then) <= {*BUDGETS, 2 * max(BUDGETS)}  # no point has a budget of its own
    assert set(BUDGETS) <= set(then)
    assert min(count for _, _, count in then.values()) >= MIN_SIZES
    distances = off(planned(wider), wider, 4e12)
    assert all(abs(distances[b]) < OFF_CENTRE for b in then if b not in BUDGETS)


def test_a_plan_that_lacks_an_answer_is_offered_a_larger_centred_profile() -> None:
    asked = grid(CENTRED)
    made = planned(asked)
    largest = max(point.flops for point in made.points)
    found = propose(
        made, room(asked), BELIEF, list(made.points), target=default_target(made), until_sd=0.05,
        max_point_flops=8 * largest,
    )  # fmt: skip
    new = {point.nominal_flops for point in found.points} - set(BUDGETS)
    assert new
    assert all(sum(point.nominal_flops == budget for point in found.points) >= MIN_SIZES for budget in new)
