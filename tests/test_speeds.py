"""What is measured of a machine: by shape, under conditions, kept, and used by the plan."""

from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from rich.console import Console

from scaling.config import StudyConfig, study_config
from scaling.config_folder import config_folder
from scaling.planning.cost import Cost
from scaling.speeds import Calibration, ShapeSpeed, calibration_path, read_calibration, shape_of
from scaling.stages import calibrate as calibration
from scaling.stages.study import plan_study, study_cost
from scaling.training.config import Runtime
from scaling.training.probe import ProbeRequest, probe
from scaling.values import read_json, write_json
from tests.planning.conftest import COST
from tests.tiny_run import BATCH, make_spec


def tiny_study(tmp_path: Path) -> StudyConfig:
    with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
        composed = compose("sweep", ["experiment=tiny", f"runs={tmp_path}/runs", f"cache={tmp_path}/cache"])
    return study_config(composed)


def test_a_shape_is_what_decides_the_time_of_a_step() -> None:
    spec = make_spec()
    same = replace(spec, init_seed=7, corpus="other", optimizer=replace(spec.optimizer, matrix_lr=0.5))
    assert shape_of(same) == shape_of(spec)
    assert shape_of(make_spec(qk_norm=False)) != shape_of(spec)
    assert shape_of(replace(spec, optimizer=replace(spec.optimizer, batch_tokens=64))) != shape_of(spec)


def test_a_probe_measures_steps_and_evaluations() -> None:
    speed = probe(make_spec(), Runtime(device="cpu"))
    assert speed.shape == shape_of(make_spec())
    # A step of a thousand parameters: more than the clock's grain, less than a busy machine could take.
    assert 1e-4 < speed.seconds_per_step < 5.0
    # A forward pass of a token costs less than a step of 128.
    assert 0.0 < speed.seconds_per_validation_token < speed.seconds_per_step


def test_a_measured_shape_costs_what_was_measured_and_others_what_the_model_says() -> None:
    spec = make_spec(steps=(20,))
    measured = Calibration({}, (ShapeSpeed(shape_of(spec), 0.5, 0.01),))
    cost = Cost(COST.time_model, validation_tokens=100, calibration=measured)
    # 20 steps, an evaluation of 100 tokens, one process; and one where the branch leaves a trunk that repeats its text.
    assert cost.run_seconds(spec, spec.budgets) == pytest.approx(20 * 0.5 + 100 * 0.01 + 2.0)
    again = replace(spec, unique_tokens=10 * BATCH)
    assert cost.run_seconds(again, again.budgets) == pytest.approx(20 * 0.5 + 2 * 100 * 0.01 + 2.0)
    other = make_spec(steps=(20,), qk_norm=False)
    assert cost.seconds_per_step(other) == COST.seconds_per_step(other)


def test_calibration_probes_each_shape_once_and_takes_the_median_of_the_slots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_study(tmp_path)
    plan = plan_study(config)
    asked: list[int] = []

    def pretend(slots: list[object], request: Path, folder: Path) -> list[Path]:
        specs = {shape_of(run): run for run in plan.runs}
        asked.append(len(read_json(ProbeRequest, request).runs))
        answers = []
        for i, seconds in enumerate((1.0, 2.0, 9.0)):
            answers.append(folder / f"{i}.json")
            write_json(answers[-1], Calibration({}, tuple(ShapeSpeed(s, seconds, seconds / 1e3) for s in specs)))
        return answers

    monkeypatch.setattr(calibration, "probe_on", pretend)
    for _ in range(2):
        calibration.calibrate(config, plan, Console(quiet=True))
    assert asked == [4]
    cost = study_cost(config)
    assert all(cost.is_measured(run) for run in plan.runs)
    assert cost.seconds_per_step(plan.runs[0]) == 2.0
    other_threads = replace(config, runtime=replace(config.runtime, threads=2))
    assert not any(study_cost(other_threads).is_measured(run) for run in plan.runs)


def test_a_torn_calibration_is_none(tmp_path: Path) -> None:
    path = calibration_path(tmp_path, {"processor": "x"})
    path.parent.mkdir(parents=True)
    path.write_text('{"conditions": {}, "speeds": [{"sha')
    assert read_calibration(tmp_path, {"processor": "x"}).speeds == ()
