"""Points to add: what they are worth is what a plan with them is worth, and nothing that was planned moves."""

from dataclasses import replace

import pytest

from scaling.laws.power import Power
from scaling.model.counting import count_parameters
from scaling.planning.candidates import Room, make_site, sites
from scaling.planning.config import GridConfig, ReplicateConfig, SizeConfig
from scaling.planning.extension import Addition, additions, extended_grid
from scaling.planning.plan import make_plan
from scaling.planning.power import PowerConfig, PriorLaw, default_target, plan_power
from scaling.planning.proposals import propose
from scaling.planning.shapes import shape_near
from scaling.specs import Plan
from tests.planning.conftest import CORPUS, COST, GRID, OPTIONS, RECIPE, plan

BELIEF = PowerConfig(
    quantity="ln N_opt",
    target=None,
    prior=None,
    law=PriorLaw(E=0.92, A=117.0, B=1700.0, alpha=0.58, beta=0.65),
    relative_sd=0.01,
    shared=0.7,
    source="a planted law",
).belief


def planned(grid: GridConfig, **recipe: object) -> Plan:
    return make_plan(
        "study",
        grid=grid,
        options=OPTIONS,
        recipe=replace(RECIPE, **recipe),
        corpus=CORPUS,
        cost=COST,  # type: ignore[arg-type]
    )


def room(grid: GridConfig, **recipe: object) -> Room:
    return Room(grid, OPTIONS, replace(RECIPE, **recipe), CORPUS)  # type: ignore[arg-type]


def power_of(made: Plan, target: float) -> Power:
    power = plan_power(made, BELIEF, target)
    assert power is not None
    return power


@pytest.mark.parametrize(("kind", "budgets"), [("tokens", (3e5, 9e5)), ("isoflop", (2e11, 8e11))])
@pytest.mark.parametrize("schedule", ["wsd", "cosine"])
def test_a_plan_with_the_proposals_is_worth_what_they_promise(
    kind: str, budgets: tuple[float, ...], schedule: str
) -> None:
    grid = replace(GRID, kind=kind, budgets=budgets, holdout_share=0.0)  # type: ignore[arg-type]
    made = planned(grid, schedule=schedule)
    target = default_target(made)
    found = propose(
        made, room(grid, schedule=schedule), BELIEF, list(made.points), target=target, until_sd=0.2,
        max_point_flops=4 * max(p.flops for p in made.points),
    )  # fmt: skip
    assert found.sd_before == pytest.approx(power_of(made, target)["ln N_opt"].sd, rel=1e-6)
    assert found.sd_after <= 0.2 < found.sd_before
    wider = planned(extended_grid(room(grid, schedule=schedule), made, additions(found)), schedule=schedule)
    assert power_of(wider, target)["ln N_opt"].sd == pytest.approx(found.sd_after, rel=1e-6)
    assert wider.total_flops - made.total_flops == pytest.approx(found.flops, rel=1e-9)
    assert {(p.run_id, p.tokens) for p in made.points} <= {(p.run_id, p.tokens) for p in wider.points}


def test_a_budget_is_kept_and_shared_with_the_form() -> None:
    made = planned(GRID)
    found = propose(
        made, room(GRID), BELIEF, list(made.points), target=default_target(made), max_flops=made.total_flops / 3,
        max_point_flops=2 * max(p.flops for p in made.points),
    )  # fmt: skip
    assert {point.purpose for point in found.points} == {"answer", "form"}
    assert found.flops <= made.total_flops / 3 * 1.001
    assert sum(p.flops for p in found.points if p.purpose == "form") <= 0.2 * made.total_flops / 3 * 1.001


def test_points_that_try_the_form_are_held_out_and_the_scored_ones_released() -> None:
    made = planned(GRID)
    extra = SizeConfig("55k", 2, 48, 3)
    added = [Addition(extra, 614_400, True), Addition(GRID.sizes[0], 3_000_320, False)]
    wider = planned(extended_grid(room(GRID), made, added, release=True))
    assert [(p.size, p.tokens) for p in wider.points if p.held_out] == [("55k", 614_400)]
    kept = planned(extended_grid(room(GRID), made, added))
    held = {(p.size, p.tokens) for p in made.points if p.held_out}
    assert {(p.size, p.tokens) for p in kept.points if p.held_out} == held | {("55k", 614_400)}


def test_replicates_gain_no_budgets() -> None:
    grid = replace(GRID, replicates=(ReplicateConfig("14k", (1, 2)),))
    made = planned(grid)
    wider = planned(extended_grid(room(grid), made, [Addition(grid.sizes[0], 3_000_320, False)]))
    assert sum(p.replicate for p in wider.points) == sum(p.replicate for p in made.points)


def test_a_branch_costs_what_the_plan_says() -> None:
    site = make_site(GRID.sizes[1], room(GRID), [307_200, 614_400])
    before = planned(replace(GRID, sizes=(replace(GRID.sizes[1], budgets=(307_200, 614_400)),), holdout_share=0.0))
    after = planned(
        replace(GRID, sizes=(replace(GRID.sizes[1], budgets=(307_200, 614_400, 1_228_800)),), holdout_share=0.0)
    )
    assert site.cost(1_228_800) == after.total_flops - before.total_flops


def test_candidates_are_new_sizes_that_train_long_enough() -> None:
    made = planned(GRID)
    found = sites(made, room(GRID), 4e12)
    names = [site.size.name for site in found]
    assert len(names) == len(set(names)) > len(GRID.sizes)
    assert max(site.params for site in found) > max(p.params for p in made.points)


@pytest.mark.parametrize("wanted", [1e4, 7e4, 1e6, 3e7, 1e9, 4e11])
def test_a_shape_is_regular_and_near_what_was_wanted(wanted: float) -> None:
    shape = shape_near(wanted)
    assert 12 * shape.num_layers * shape.d_model**2 == pytest.approx(wanted, rel=0.2)  # whole layers
    assert shape.d_model % shape.num_heads == 0
    assert 8 <= shape.d_model / shape.num_layers <= 160 or shape.d_model == 16
    model = make_site(shape, room(GRID)).run.model
    assert count_parameters(model).matrices == 12 * shape.num_layers * shape.d_model**2


def test_a_size_can_hold_out_its_own_budgets() -> None:
    sizes = (replace(GRID.sizes[0], held_out=(3e5,)), *GRID.sizes[1:])
    made = plan(grid={"sizes": sizes, "holdout_share": 0.0})
    assert [(p.size, p.nominal_tokens) for p in made.points if p.held_out] == [("14k", 3e5)]
    beside = plan(grid={"sizes": sizes})
    assert sum(p.held_out for p in beside.points) == 1 + 4  # and holdout_min of the others
    with pytest.raises(ValueError, match="none of its budgets"):
        plan(grid={"sizes": (replace(GRID.sizes[0], held_out=(1e5,)), *GRID.sizes[1:])})
