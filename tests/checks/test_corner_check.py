"""The check of the learning rates at a grid's corners: the sin, just below it, and a file of another plan."""

from dataclasses import replace

import pytest

from scaling.checks.catalogue import check_plan
from scaling.corners import Corner, Corners
from scaling.findings import Finding
from tests.checks.planned import planned

CLEAN = planned()
# One comparison's two sigma, of .01 sqrt(2) with so many degrees of freedom that t is normal, shared by two.
LIMIT = 2.278 * 0.01 * 2**0.5


def found(*losses: float | None, run_id: str | None = None) -> list[Finding]:
    corner = Corner(run_id or CLEAN.plan.runs[0].id, "14k", 20_000, 300_000, (0.5, 1.0, 2.0), losses)
    corners = Corners(1, (corner,), 0.01, 10**6, (1.0,), "recipe.matrix_lr=0.006")
    study = replace(CLEAN, corners=corners)
    return [finding for finding in check_plan(study) if finding.name == "learning_rate_corners"]


def test_a_corner_that_is_better_with_another_rate_warns_with_the_corrected_rule() -> None:
    (finding,) = found(1.5, 1.4, 1.4 * (1 - LIMIT - 0.001))
    assert finding.level == "warn"
    assert "14k at 300,000 tokens is lower by 3.3% with x2" in finding.numbers
    assert "recipe.matrix_lr=0.006" in finding.remedy


@pytest.mark.parametrize("losses", [(1.5, 1.4, 1.4 * (1 - LIMIT + 0.001)), (1.5, 1.4, 1.5), (None, 1.4, None)])
def test_seed_noise_does_not(losses: tuple[float | None, ...]) -> None:
    assert found(*losses) == []


def test_a_rule_that_diverges_at_a_corner_warns() -> None:
    (finding,) = found(1.5, None, None)
    assert "has no loss at the rule's own rates" in finding.numbers


def test_a_file_of_other_runs_is_stale() -> None:
    (finding,) = found(1.5, 1.4, 1.0, run_id="another")
    assert (finding.level, "other runs" in finding.numbers) == ("info", True)
