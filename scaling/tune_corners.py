"""`python -m scaling.tune corners=true study=...`: is the study's learning rate right where its grid ends?

The smallest and the largest size, each on its smallest and largest budget, under the rule's rates and under multiples
of them; the smallest size also under further seeds, for the noise. What the study has measured is not trained again.
"""

from dataclasses import replace
from pathlib import Path

from scaling.analysis.noise import seed_noise
from scaling.config import ConfigError, StudyConfig
from scaling.corners import CORNERS_FILE, Corner, Corners, write_corners
from scaling.data.fingerprint import fingerprint
from scaling.exits import EXIT_INTERRUPTED, EXIT_SOME_FAILED
from scaling.model.counting import count_parameters
from scaling.numbers import plural
from scaling.records import RunRecord, read_records
from scaling.specs import RunSpec
from scaling.stages.local import study_slots
from scaling.stages.study import plan_study, prepare_study, study_cost, take_folder
from scaling.terminal import PlainConsole
from scaling.tune import slot_runner, stop_on_signals, write_job
from scaling.tuning import space
from scaling.tuning.config import TuneOptions
from scaling.tuning.corners import conclude
from scaling.tuning.runs import Run, train_all
from scaling.values import to_plain

FOLDER = "corners"


def check_corners(config: StudyConfig, options: TuneOptions) -> int:
    console, out = PlainConsole(stderr=True), PlainConsole()
    multiples = tuple(sorted({1.0, *options.multiples}))
    specs = {multiple: corner_specs(config, multiple) for multiple in multiples}
    seeds = tuple(seed for seed in options.seeds if seed != config.grid.seed)
    replicates = [
        spec for seed in seeds for spec in corner_specs(config, 1.0, seed=seed) if is_smallest(spec, specs[1.0])
    ]
    everything = [*replicates, *(spec for group in specs.values() for spec in group)]
    if config.dry_run:
        seconds = sum(study_cost(config).run_seconds(spec, spec.budgets) for spec in everything)
        sizes = ", ".join(dict.fromkeys(spec.size for spec in specs[1.0]))
        workers = len(study_slots(config.runtime, config.launch, config.cache_folder).free)
        out.print(
            f"{plural(len(everything), 'run')} at the sizes {sizes}, rates times "
            f"{', '.join(f'{m:g}' for m in multiples)}: some "
            f"{seconds / workers:.0f} s less what the study has already",
            soft_wrap=True,
        )
        return 0
    corpus = prepare_study(config, console)[fingerprint(config.data)]
    take_folder(config)
    runs = {spec.id: corner_run(config, spec, corpus) for spec in everything}
    with slot_runner(config) as runner, stop_on_signals() as should_stop:
        failed = train_all(
            list(runs.values()),
            runner,
            should_stop=should_stop,
            on_change=lambda done, total: console.print(f"{done} of {total} runs"),
        )
        if should_stop():
            console.print("interrupted: every run is saved, and the same command goes on from here")
            return EXIT_INTERRUPTED
    if failed:
        for name, reason in failed.items():
            console.print(f"failed: {name}: {reason}", style="red", soft_wrap=True)
        return EXIT_SOME_FAILED
    corners = conclude(
        [
            Corner(
                run_id=own.id,
                size=own.size,
                params=count_parameters(own.model).total,
                tokens=tokens,
                multiples=multiples,
                losses=tuple(loss_of(runs, group[index], tokens) for group in specs.values()),
            )
            for index, own in enumerate(specs[1.0])
            for tokens in own.budgets
        ],
        {rate: getattr(config.recipe, rate) for rate in space.LEARNING_RATES},
        reference_params=config.recipe.reference_params,
        lr_exponent=config.recipe.lr_exponent,
        noise=noise_of(config, [*replicates, *specs[1.0]], runs),
    )
    write_corners(config.folder, corners)
    if config.json:
        out.print_json(data=to_plain(corners))
    else:
        for line in as_table(corners):
            out.print(line, soft_wrap=True)
        out.print(f"{config.folder / CORNERS_FILE}: the study's checks read it", soft_wrap=True)
    return 0


def corner_specs(config: StudyConfig, multiple: float, seed: int | None = None) -> list[RunSpec]:
    """Of the smallest and the largest size, on the smallest and largest budget of each; in the plan's order of sizes.

    A schedule without branches has a run for each budget.
    """
    recipe = config.recipe if multiple == 1.0 else space.with_values(config.recipe, {space.LR_MULTIPLE: multiple})
    grid = replace(config.grid, replicates=(), holdout_share=0.0, seed=config.grid.seed if seed is None else seed)
    plan = plan_study(replace(config, recipe=recipe, grid=grid))
    by_params = sorted(plan.points, key=lambda point: (point.params, point.tokens))
    chosen: dict[tuple[str, int], None] = {}
    for size in (by_params[0].size, by_params[-1].size):
        of_size = [point for point in by_params if point.size == size]
        for point in (of_size[0], of_size[-1]):
            chosen[point.run_id, point.tokens] = None
    return [
        replace(run, budgets=budgets)
        for run in plan.runs
        if (budgets := tuple(tokens for tokens in run.budgets if (run.id, tokens) in chosen))
    ]


def is_smallest(spec: RunSpec, corners: list[RunSpec]) -> bool:
    return count_parameters(spec.model).total == min(count_parameters(other.model).total for other in corners)


def corner_run(config: StudyConfig, spec: RunSpec, corpus: Path) -> Run:
    """In the study itself where that has measured it, else beside it."""
    measured = Run(config.folder / spec.id, spec.budgets)
    return measured if measured.is_done else write_job(config, spec, corpus, FOLDER)


def loss_of(runs: dict[str, Run], spec: RunSpec, tokens: int) -> float | None:
    record = runs[spec.id].record(tokens)
    return record.final_loss_nats if record is not None and record.status == "done" else None


def noise_of(config: StudyConfig, specs: list[RunSpec], runs: dict[str, Run]) -> tuple[float, int]:
    """Relative sd of a seed with its degrees of freedom, from these runs and all replicates of the study's own."""
    own = {run.id for run in plan_study(config).runs}
    records: dict[tuple[str, int], RunRecord] = {
        (r.run_id, r.tokens): r for r in read_records(config.folder) if r.run_id in own and r.status == "done"
    }
    for spec in specs:
        for tokens in spec.budgets:
            record = runs[spec.id].record(tokens)
            if record is not None and record.status == "done":
                records[spec.id, tokens] = record
    noise = seed_noise(list(records.values()))
    if noise is None:
        raise ConfigError(
            "no cell has two seeds with a loss, so nothing says what a difference means: give more seeds (seeds=[...])"
        )
    return noise.relative_sd, noise.num_points - noise.num_cells


def as_table(corners: Corners) -> list[str]:
    header = " | ".join(f"x{multiple:g}" for multiple in corners.corners[0].multiples)
    lines = [f"| corner | {header} | best |", "| --- " * (len(corners.corners[0].multiples) + 2) + "|"]
    for corner, best in zip(corners.corners, corners.best_multiples, strict=True):
        losses = " | ".join("–" if loss is None else f"{loss:.4f}" for loss in corner.losses)
        lines.append(f"| {corner.size} at {corner.tokens:,} | {losses} | x{best:.2f} |")
    lines.append(
        f"A gain has a noise of {corners.gain_sd:.2%} ({corners.noise_freedom} degrees of freedom). The rule through "
        f"the corners' optima: {corners.remedy}"
    )
    return lines
