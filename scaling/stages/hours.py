"""`python -m scaling.plan gpu_hours=8`: hours become a grid, and the grid an experiment that runs."""

from dataclasses import replace

from scaling.config import ConfigError, StudyConfig
from scaling.experiments import write_experiment
from scaling.launching.gpus import visible_gpus
from scaling.numbers import plural, scientific
from scaling.planning.corpus_facts import corpus_facts
from scaling.planning.hours import Asked, HourPlan, Study, plan_hours, shape_words
from scaling.stages.calibrate import calibrate
from scaling.stages.checkup import prepared_manifest
from scaling.stages.outlook import belief_of
from scaling.stages.study import AUTO, here, study_cost
from scaling.terminal import PlainConsole
from scaling.values import finite_or_null, to_plain

# What a study's own validation text takes is not known before it is prepared: the cap on what is evaluated.
VALIDATION_TOKENS = 4_000_000
FOLDER = "hours"


def plan_by_hours(config: StudyConfig) -> int:
    """Print the study that tells most of N* in `gpu_hours` on `gpus`, and write it as an experiment. Steps are measured
    on this machine where it has a GPU and no time model is named, else they are the named one's."""
    assert config.gpu_hours is not None
    console = PlainConsole()
    found = chosen(config)
    if config.time_model.name == AUTO and visible_gpus():
        calibrate(config, found.plan, PlainConsole(stderr=True))
        found = chosen(config)
    power = replace(config.power, target=found.power.target_flops)
    wider = replace(config, study=f"{config.study}-{config.gpu_hours:g}h", grid=found.grid, power=power)
    about = words(config, found)
    name = f"hours-{config.gpu_hours:g}"
    command = write_experiment(config.folder / FOLDER, name, wider, about, in_study=True)
    if config.json:
        plain = {"power": to_plain(found.power), "wall_seconds": found.wall_seconds, "grid": to_plain(found.grid)}
        plain |= {"flops": found.plan.total_flops, "memory_bytes": found.memory_bytes, "joules": found.joules}
        console.print_json(data=finite_or_null(plain | {"experiment": command}))
        return 0
    console.print(about, soft_wrap=True)
    print(f"Train it: {command}")
    return 0


def chosen(config: StudyConfig) -> HourPlan:
    """Raises ConfigError."""
    manifest, cost = prepared_manifest(config), study_cost(config)
    cost = replace(cost, time_model=here(config), validation_tokens=cost.validation_tokens or VALIDATION_TOKENS)
    facts = corpus_facts(config.data, manifest)
    study = Study(config.model, config.recipe, facts, cost, belief_of(config), config.grid.seed)
    assert config.gpu_hours is not None
    try:
        asked = Asked(config.gpu_hours, config.gpus, config.sizes or Asked.sizes)
        return plan_hours(study, asked)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def words(config: StudyConfig, found: HourPlan) -> str:
    most = max(point.tokens for point in found.plan.points)
    named = config.time_model.name or "its own numbers"
    energy = "" if found.joules is None else f", at most {found.joules / 3.6e6:.1f} kWh"
    return (
        f"{plural(len(found.plan.points), 'point')} on {plural(len(found.plan.runs), 'trajectory', 'trajectories')}, "
        f"{scientific(found.plan.total_flops)} FLOPs: "
        f"{found.wall_seconds / 3600:.2f} h on {found.workers} GPU{'s' if found.workers > 1 else ''} by time_model "
        f"{named}, at least {found.memory_bytes / 2**30:.1f} GiB of memory{energy}.\n"
        f"Sizes: {shape_words(found.grid.sizes)}; up to {most:,} tokens.\n"
        f"Expected: sd of ln N* {found.sd:.2f} at {scientific(found.power.target_flops)} FLOPs, ten times all of it, "
        "by "
        f"{found.power.source}."
    )
