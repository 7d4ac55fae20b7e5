"""`calibrate=true` of the sweep and of the plan: measure what a step of each planned shape takes on this machine."""

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from scaling.config import ConfigError, StudyConfig
from scaling.launching.gpus import gpu_names, visible_gpus
from scaling.launching.probes import ProbeError, probe_on
from scaling.specs import Plan, RunSpec
from scaling.speeds import Calibration, ShapeSpeed, calibration_path, conditions, read_calibration, shape_of
from scaling.stages.local import study_slots
from scaling.terminal import PlainConsole
from scaling.values import read_json, to_plain, write_json


def study_calibration(config: StudyConfig) -> Calibration:
    """What is known of the machine under the study's runtime; nothing is measured."""
    return read_calibration(config.cache_folder, study_conditions(config))


def study_conditions(config: StudyConfig) -> dict[str, str]:
    runtime = config.runtime
    slots = study_slots(runtime, config.launch, config.cache_folder)
    return conditions(
        gpus=",".join(gpu_names() or visible_gpus()) if slots.on_gpus else "",
        device=runtime.device,
        precision=runtime.precision,
        compile=runtime.compile,
        micro_batch_tokens=runtime.micro_batch_tokens,
        threads=runtime.threads,
        workers=len(slots.free),
    )


def calibrate(config: StudyConfig, plan: Plan, console: PlainConsole) -> None:
    """Probe the shapes of the plan that were not probed yet, on all slots at once, and keep the medians.

    Raises ConfigError where a probe fails.
    """
    if config.trainer is not None:
        raise ConfigError("calibrate=true measures steps of our own decoders, and the trainer is another: leave it out")
    known = study_calibration(config)
    missing: dict[str, RunSpec] = {shape_of(run): run for run in plan.runs if shape_of(run) not in known.by_shape}
    if not missing:
        return
    console.print(f"calibrate: {len(missing)} shapes, some seconds each")
    slots = study_slots(config.runtime, config.launch, config.cache_folder).free
    with TemporaryDirectory() as name:
        folder = Path(name)
        request = {
            "runs": to_plain(list(missing.values())),
            "runtime": to_plain(config.runtime),
            "cache": str(config.cache_folder.absolute()),
        }
        write_json(folder / "request.json", request)
        try:
            answers = probe_on(slots, folder / "request.json", folder)
        except ProbeError as error:
            raise ConfigError(f"calibrate=true: {error}. Leave it out to plan by time_model instead") from None
        measured = [read_json(Calibration, answer).speeds for answer in answers]
    speeds = tuple(_median(list(of_slots)) for of_slots in zip(*measured, strict=True))
    path = calibration_path(config.cache_folder, known.conditions)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        there = study_calibration(config)  # with what another command has measured meanwhile
        new = tuple(speed for speed in speeds if speed.shape not in there.by_shape)
        write_json(path, Calibration(known.conditions, (*there.speeds, *new)))


def _median(speeds: list[ShapeSpeed]) -> ShapeSpeed:
    return ShapeSpeed(
        speeds[0].shape,
        statistics.median(speed.seconds_per_step for speed in speeds),
        statistics.median(speed.seconds_per_validation_token for speed in speeds),
        max((speed.peak_reserved_bytes for speed in speeds if speed.peak_reserved_bytes is not None), default=None),
    )
