"""Each check of a plan on a plan that commits its sin, and on one that does not."""

import pytest

from scaling.checks.plan import check_plan
from scaling.planning.config import ReplicateConfig
from tests.planning.conftest import plan

REPLICATED = {"replicates": (ReplicateConfig("14k", (1,), (3e5,)),)}


def test_a_clean_plan_raises_nothing() -> None:
    assert check_plan(plan(grid=REPLICATED)) == ()


@pytest.mark.parametrize(
    ("name", "level", "changes"),
    [
        ("warmup_share", "warn", {"recipe": {"warmup_min_steps": 80}}),
        ("warmup_share", "refuse", {"recipe": {"warmup_min_steps": 200}}),
        ("few_steps", "warn", {"recipe": {"batch_tokens": 1024}}),
        ("few_steps", "refuse", {"recipe": {"batch_tokens": 4096, "warmup_min_steps": 2}}),
        ("batch_rounding", "warn", {"recipe": {"batch_tokens": 65536, "warmup_min_steps": 1}}),
        ("repeated_data", "info", {"grid": {"budgets": (6e6, 1.2e7, 2.4e7)}}),
        ("repeated_data", "warn", {"grid": {"budgets": (1e7, 2e7, 5e7)}}),
        ("unidentifiable_design", "warn", {"grid": {"budgets": (3e5, 6e5)}}),
        (
            "unidentifiable_design",
            "refuse",
            {"grid": {"kind": "tokens_per_param", "budgets": (20.0,), "holdout_min": 1}},
        ),
        ("no_replicates", "info", {}),
    ],
)
def test_each_sin_is_caught(name: str, level: str, changes: dict[str, dict[str, object]]) -> None:
    found = {finding.name: finding for finding in check_plan(plan(**changes))}
    assert name in found, sorted(found)
    assert found[name].level == level
    assert found[name].remedy
    assert found[name].source


def test_the_gravest_come_first() -> None:
    levels = [finding.level for finding in check_plan(plan(recipe={"warmup_min_steps": 200}))]
    assert levels == sorted(levels, key=["refuse", "warn", "info"].index)
