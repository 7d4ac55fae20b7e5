"""A study of shapes: which sizes are compared, what comes back of a planted valley, what report and plan say."""

import csv
import math
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from scaling.analysis.observations import CONVENTIONS, observations
from scaling.analysis.shapes import study_shapes
from scaling.config import CONFIG_FILE, PLAN_FILE, StudyConfig
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.records import RunRecord, write_record
from scaling.shapes import Shapes, shape_groups
from scaling.specs import Plan
from scaling.stages.checkup import check_plan
from scaling.stages.finish import finish_study
from scaling.stages.study import plan_study
from scaling.values import write_json
from tests.analysis.conftest import make_record, planted_loss
from tests.test_configs import load

BEST, BEND, ALPHA, BETA = 12.0, 0.02, 0.2, 0.12
TWICE = ",".join(
    f"{{name: {layers}x{width}, num_layers: {layers}, d_model: {width}, num_heads: 2}}"
    for layers, width in ((1, 124), (2, 88), (4, 64), (6, 52), (11, 40))
)  # of about 210k parameters
LADDER = (
    "{name: small, num_layers: 2, d_model: 32, num_heads: 2}, {name: large, num_layers: 4, d_model: 96, num_heads: 4}"
)


def shapes_study(folder: Path, *overrides: str, more: str = "") -> tuple[StudyConfig, Plan]:
    """The shipped study, or a variant; `more` sizes beside its own."""
    config = load("experiment=shapes", f"runs={folder}", f"cache={folder}", *overrides)
    if more:
        own = ",".join(
            f"{{name: {s.name}, num_layers: {s.num_layers}, d_model: {s.d_model}, num_heads: {s.num_heads}}}"
            for s in config.grid.sizes
        )
        config = load(
            "experiment=shapes", f"runs={folder}", f"cache={folder}", f"grid.sizes=[{own},{more}]", *overrides
        )
    return config, plan_study(config)


def product_law(params: float, tokens: float) -> float:
    return 9 * (1e5 / params) ** ALPHA * (1e5 / tokens) ** BETA


def planted(
    plan: Plan, noise: float = 0.0, bend: float = BEND, law: Callable[[float, float], float] = product_law
) -> list[RunRecord]:
    """The law times the valley, with a scatter that a run's points share in part."""
    rows = []
    for point in plan.points:
        model = plan.by_id[point.run_id].model
        valley = bend * math.log(model.d_model / model.num_layers / BEST) ** 2
        of_run, own = (random.Random(f"{point.run_id} {end}").gauss(0, noise) for end in ("", point.tokens))
        rows.append(
            make_record(plan, point, law(point.params, point.tokens) * math.exp(valley + 0.8 * of_run + 0.6 * own))
        )
    return rows


def found(config: StudyConfig, plan: Plan, records: list[RunRecord]) -> Shapes:
    law = fit_law(CHINCHILLA, observations(plan, records, CONVENTIONS["total"]))
    shapes = study_shapes(plan, records, law, config.fit, config.power.belief, asked=False)
    assert shapes is not None
    return shapes


def test_shapes_are_told_from_sizes_of_a_ladder(tmp_path: Path) -> None:
    (group,) = shape_groups(shapes_study(tmp_path)[1])
    assert (len(group.params), group.counted) == (7, "parameters")
    assert group.spread < 0.06
    for ladder in ("grid=default", "grid=isoflop", "experiment=truth"):
        assert shape_groups(plan_study(load(ladder, f"cache={tmp_path}"))) == ()
    larger, twice = shape_groups(shapes_study(tmp_path, more=TWICE)[1])
    assert (len(larger.params), len(twice.params)) == (7, 5)


def test_what_a_shape_costs_is_read_off_the_budgets(tmp_path: Path) -> None:
    """Without noise, and with N's own part taken out by a second N, all is exact."""
    config, plan = shapes_study(tmp_path, "grid.replicates=[]", more=TWICE)
    shapes = found(config, plan, planted(plan))
    assert shapes.best is not None
    assert shapes.best.value == pytest.approx(BEST, rel=1e-6)
    assert [slope.value for slope in shapes.slopes] == pytest.approx([BETA, BETA], rel=1e-6)
    assert (shapes.taken_out, shapes.slope_from) == ("the losses at several N", "the losses at several budgets")
    for shape in shapes.shapes:
        assert shape.loss_cost is not None
        assert shape.compute_cost is not None
        cost = BEND * math.log(shape.aspect / BEST) ** 2
        assert shape.loss_cost.value == pytest.approx(math.expm1(cost), rel=1e-3, abs=1e-6)
        assert shape.compute_cost.value == pytest.approx(math.expm1(cost / BETA), rel=1e-3, abs=1e-5)
    assert shapes.band is not None
    reach = math.exp(math.sqrt(BETA * math.log(1.01) / BEND))
    assert shapes.band == pytest.approx((BEST / reach, BEST * reach), rel=2e-3)


def test_one_budget_takes_the_slope_from_the_belief_and_says_so(tmp_path: Path) -> None:
    config, plan = shapes_study(tmp_path, "grid.budgets=[524288]")
    shapes = found(config, plan, planted(plan))
    assert shapes.slope_from == shapes.taken_out == f"{config.power.source}, believed beforehand"
    assert 0 < shapes.slopes[0].value < 0.5
    assert 0 < shapes.moved < 0.02


def test_a_ladder_beside_the_shapes_gives_the_law_and_its_slopes(tmp_path: Path) -> None:
    config, plan = shapes_study(tmp_path, "grid.budgets=[131072,524288,2097152]", "grid.replicates=[]", more=LADDER)
    shapes = found(config, plan, planted(plan, bend=0.002, law=planted_loss))
    assert not shapes.asked
    assert shapes.taken_out == shapes.slope_from == "the fitted law"


def test_flat_losses_are_called_flat(tmp_path: Path) -> None:
    config, plan = shapes_study(tmp_path)
    shapes = found(config, plan, planted(plan, noise=0.01, bend=0.0))
    assert shapes.valley is not None
    assert shapes.valley.kind == "flat"


def test_a_broken_run_is_left_out_and_named(tmp_path: Path) -> None:
    config, plan = shapes_study(tmp_path)
    records = planted(plan, noise=0.005)
    broken = records[11].run_id
    bad = [
        make_record(plan, point, (r.final_loss_nats or 0.0) * (1.2 if r.run_id == broken else 1.0))
        for point, r in zip(plan.points, records, strict=True)
    ]
    shapes = found(config, plan, bad)
    assert [run.run_id for run in shapes.odd] == [broken]
    assert shapes.odd[0].above == pytest.approx(0.2, abs=0.03)
    assert shapes.best is not None
    assert shapes.best_with_odd is not None
    without = found(config, plan, [r for r in records if r.run_id != broken])
    assert shapes.best == without.best != shapes.best_with_odd


def test_the_study_is_finished_with_an_answer(tmp_path: Path) -> None:
    config, plan = shapes_study(tmp_path, "fit.figures=true")
    for record in planted(plan, noise=0.003):
        (config.folder / record.run_id).mkdir(parents=True, exist_ok=True)
        write_record(config.folder / record.run_id, record)
    write_json(config.folder / CONFIG_FILE, config)
    write_json(config.folder / PLAN_FILE, plan)
    before = check_plan(config, plan)
    assert [(f.name, f.level) for f in before if f.level != "info"] == []
    finished = finish_study(config, plan, before)
    assert not finished.withheld
    assert finished.verdict.startswith("Best d_model / num_layers: 1")
    shapes = finished.fits_json["shapes"]
    assert shapes["status"] == "inside"
    assert shapes["best"]["low"] < BEST < shapes["best"]["high"]
    assert (config.folder / "report/figures/loss-against-shape.png").exists()
    page = finished.page.read_text()
    assert "What a shape costs" in page
    assert "Losses by shape" in page
    with (config.folder / "points.csv").open(newline="") as file:
        rows = {(r["size"], r["num_layers"], r["d_model"], r["num_heads"]) for r in csv.DictReader(file)}
    assert ("12x26", "12", "26", "1") in rows
    with closing(sqlite3.connect(config.folder / "store.sqlite")) as store:
        assert ("1x84", 1, 84, 6) in set(store.execute("select size, num_layers, d_model, num_heads from points"))


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["power.quantity=ln aspect"], "the grid has no three shapes of one N"),
        (
            [
                "experiment=shapes",
                "grid.budgets=[524288]",
                "grid.replicates=[]",
                "grid.sizes=[" + TWICE[: TWICE.index(",{name: 6x52")] + "]",
            ],
            "add shapes, or a seed of each",
        ),
    ],
    ids=["a ladder", "three shapes once"],
)
def test_a_plan_that_cannot_tell_the_best_shape_is_refused(overrides: list[str], reason: str, tmp_path: Path) -> None:
    config = load(f"cache={tmp_path}", *overrides)
    (finding,) = [f for f in check_plan(config, plan_study(config)) if f.name == "unanswerable"]
    assert finding.level == "refuse"
    assert reason in finding.numbers
