"""What a study measured becomes the belief of the next: its law, its noise, and what trajectories share of it."""

import math
import random

import pytest

from scaling.analysis.prior import NoBelief, measured_belief
from scaling.planning.config import ReplicateConfig
from tests.analysis.conftest import ALPHA, BETA, E, make_record, make_records, planted_loss
from tests.planning.conftest import plan

SEEDS = (ReplicateConfig("14k", tuple(range(1, 13))), ReplicateConfig("38k", tuple(range(1, 13))))


@pytest.mark.parametrize("shared", [0.0, 0.8])
def test_law_and_noise_come_back(shared: float) -> None:
    planned = plan(grid={"replicates": SEEDS})
    generator = random.Random(3)
    of_run = {run.id: generator.gauss(0, 1) for run in planned.runs}
    records = []
    for point in planned.points:
        noise = math.sqrt(shared) * of_run[point.run_id] + math.sqrt(1 - shared) * generator.gauss(0, 1)
        records.append(make_record(planned, point, planted_loss(point.params, point.tokens) * math.exp(0.002 * noise)))
    belief = measured_belief(planned, records)
    assert belief.noise.relative_sd == pytest.approx(0.002, rel=0.3)  # 24 seeds
    assert belief.noise.shared == pytest.approx(shared, abs=0.2)
    law = dict(zip(belief.law.parameter_names, belief.theta, strict=True))
    assert {name: law[name] for name in ("E", "alpha", "beta")} == pytest.approx(
        {"E": E, "alpha": ALPHA, "beta": BETA}, rel=0.2
    )


def test_without_seeds_the_residuals_speak() -> None:
    planned = plan()
    belief = measured_belief(planned, make_records(planned, noise=0.003))
    assert belief.noise.relative_sd == pytest.approx(0.003, rel=0.5)
    assert "residuals" in belief.source


def test_a_study_without_a_law_is_no_belief() -> None:
    planned = plan()
    with pytest.raises(NoBelief, match="no measured point"):
        measured_belief(planned, [])
    with pytest.raises(NoBelief, match="refused"):
        measured_belief(planned, make_records(planned)[:4])
