"""When a run is given up, and when not."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from scaling.records import read_record, record_path
from scaling.specs import DivergenceRule
from scaling.training.divergence import MAX_SKIPPED_IN_A_ROW, Diverged, DivergenceWatch
from scaling.training.trajectory import Interrupted, Trajectory
from tests.tiny_run import BATCH, make_run, make_spec
from tests.training.test_trajectory import stop_after

RULE = DivergenceRule(margin_nats=1.0, steps=20)


def look(
    losses: list[float], norms: list[float] | None = None, *, rule: DivergenceRule = RULE, at_once: int = 7
) -> int:
    """Judge in chunks, as training does; returns the skipped steps."""
    watch, skipped = DivergenceWatch(), 0
    norms = norms or [1.0] * len(losses)
    for start in range(0, len(losses), at_once):
        rows = slice(start, start + at_once)
        skipped += watch.look(rule, losses[rows], norms[rows], first_step=start, scaled=rule is not RULE)
    return skipped


FALLING = [5.0 - 0.02 * step for step in range(150)]  # to 2.0


def test_a_loss_that_stays_above_ends_the_run_at_the_stated_step() -> None:
    with pytest.raises(
        Diverged, match=r"at step 169 the loss is 4 .* for 20 steps .* more than 1 nats above"
    ) as caught:
        look(FALLING + [4.0] * 100)
    what = caught.value.what
    assert (what.step, what.loss_nats, what.grad_norm) == (169, 4.0, 1.0)
    assert what.lowest_mean_nats == pytest.approx(2.02 + 0.02 * 4, abs=1e-3)  # a mean over 5 steps lags by 4


@pytest.mark.parametrize(
    "after", [[4.0] * 19 + [2.0] * 50, [2.9] * 100, [4.0, 2.0] * 50], ids=["spike", "within", "flicker"]
)
def test_a_spike_a_plateau_and_noise_do_not(after: list[float]) -> None:
    assert look(FALLING + after) == 0


def test_the_rule_can_be_switched_off() -> None:
    watch = DivergenceWatch()
    watch.look(DivergenceRule(steps=0), FALLING + [9.0] * 500, [1.0] * 650, first_step=0, scaled=False)
    with pytest.raises(Diverged, match="at step 650 the loss is inf"):
        watch.look(DivergenceRule(steps=0), [math.inf], [1.0], first_step=650, scaled=False)


def test_where_the_readings_fall_changes_nothing() -> None:
    steps = []
    for at_once in (1, 7, 50):
        with pytest.raises(Diverged) as caught:
            look(FALLING + [4.0] * 100, at_once=at_once)
        steps.append(caught.value.what)
    assert steps[0] == steps[1] == steps[2]


def test_overflows_are_counted_under_a_scaler_until_they_do_not_end() -> None:
    scaled = replace(RULE)
    norms = [math.inf if step % 10 == 0 else 1.0 for step in range(150)]
    assert look(FALLING, norms, rule=scaled) == 15
    with pytest.raises(Diverged, match="the gradient overflowed 100 times in a row") as caught:
        look(FALLING, [1.0] * 30 + [math.inf] * 120, rule=scaled)
    assert caught.value.what.step == 30 + MAX_SKIPPED_IN_A_ROW - 1
    with pytest.raises(Diverged, match=r"at step 30 the loss is 4\.4 and the gradient norm inf"):
        look(FALLING, [1.0] * 30 + [math.inf] * 120)


def test_a_run_that_is_blown_up_is_a_record_and_the_same_after_a_resume(tmp_path: Path, corpus_folder: Path) -> None:
    spec = make_spec(steps=(60,))
    spec = replace(
        spec,
        optimizer=replace(spec.optimizer, matrix_lr=30.0, embedding_lr=30.0, vector_lr=30.0),
        divergence=DivergenceRule(margin_nats=0.5, steps=10),
    )
    found = []
    for name, calls in (("straight", None), ("stopped", 9)):
        job, folder = make_run(tmp_path / name, spec, corpus_folder)
        if calls is not None:
            with pytest.raises(Interrupted):
                Trajectory(job, folder, should_stop=stop_after(calls)).run()
        Trajectory(job, folder).run()
        found.append(read_record(record_path(folder, 60 * BATCH)))
    straight, stopped = found
    assert straight.status == "diverged"
    assert straight.divergence is not None
    assert straight.divergence == stopped.divergence
    assert straight.steps == straight.divergence.step + 1 < 60
    assert straight.reason is not None
    assert "nats above its lowest running mean" in straight.reason
