"""`python -m scaling.tune`: a better recipe at a proxy size, or the learning rates at the corners of a study's grid.

What was measured is in the study's folder, so the same command goes on wherever an earlier one stopped. The keys and
groups of `scaling.sweep` are here as well: the recipe that they choose is the one to be beaten; with corners=true the
study is the one to be checked.

Example: python -m scaling.tune study=lr space=rates size=55k tokens=524288 trials=12
"""

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from scaling.command import run_hydra
from scaling.config import ConfigError, StudyConfig, tune_config
from scaling.data.fingerprint import fingerprint
from scaling.exits import EXIT_INTERRUPTED, EXIT_SOME_FAILED
from scaling.folders import below, require_no_link, study_lock
from scaling.launching.runner import SlotRunner
from scaling.names import nearest
from scaling.numbers import plural
from scaling.planning.config import RecipeConfig
from scaling.records import JOB_FILE
from scaling.specs import RunSpec
from scaling.stages.local import make_workers, study_slots
from scaling.stages.study import plan_study, prepare_study, study_cost, take_folder
from scaling.stages.vocabularies import require_one_vocabulary
from scaling.terminal import PlainConsole
from scaling.training.config import Job
from scaling.tuning import answer, space
from scaling.tuning.config import TuneOptions
from scaling.tuning.runs import Run, train_all
from scaling.tuning.verdict import Contender, Verdict, judge
from scaling.values import to_plain, write_atomically, write_json

if TYPE_CHECKING:
    import optuna


def task(composed: DictConfig) -> int:
    config, options = tune_config(composed)
    require_one_vocabulary(config, "tuning")
    if options.corners:
        from scaling.tune_corners import check_corners

        return check_corners(config, options)
    return search_recipe(config, options)


def search_recipe(config: StudyConfig, options: TuneOptions) -> int:
    """Search, then hold the best against the default recipe on new seeds, and write the answer."""
    console = PlainConsole(stderr=True)
    default = proxy_spec(config, options, config.recipe, config.grid.seed)
    try:
        space.require_known(config.recipe, options.space)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    own_point = space.default_values(config.recipe, options.space)
    if config.dry_run:
        return show(config, options, default)
    try:
        from scaling.tuning import search
    except ModuleNotFoundError:
        raise ConfigError("a search needs optuna: pip install 'optuna>=5.0', or scaling-sweep[tune]") from None
    corpus = prepare_study(config, console)[fingerprint(config.data)]
    take_folder(config)
    require_no_link(config.folder / "tune.db")
    recipe_path(config)

    def make_run(values: Mapping[str, float], seed: int = config.grid.seed, *, watched: bool = True) -> Run:
        recipe = space.with_values(config.recipe, values)
        if watched and options.pruner != "none":
            every = round(options.tokens / (options.evaluations + 1))
            recipe = replace(recipe, evaluate_every_tokens=every)
        return write_job(config, proxy_spec(config, options, recipe, seed), corpus)

    with slot_runner(config) as runner, stop_on_signals() as should_stop, search.told_by_the_database():
        question = {"proxy": to_plain(default), "space": to_plain(options.space)}
        try:
            study = search.open_study(config.folder / "tune.db", config.study, options, question)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        num_trials = search.queue(study, options, own_point)
        failed = search.search(
            study,
            options=options,
            num_trials=num_trials,
            runner=runner,
            make_run=make_run,
            should_stop=should_stop,
            on_change=lambda s: console.print(progress(s, num_trials), soft_wrap=True),
        )
        points = search.best_points(study, options.finalists, own_point)
        contenders = [None, *points]
        runs = {
            (index, seed): make_run(values or {}, seed, watched=False)
            for index, values in enumerate(contenders)
            for seed in options.seeds
        }
        if not should_stop() and points:
            console.print(
                f"{plural(len(points), 'finalist')} and the default recipe on {len(options.seeds)} new seeds each"
            )
            failed |= train_all(list(runs.values()), runner, should_stop=should_stop)
    for name, reason in failed.items():
        console.print(f"failed: {name}: {reason}", style="red", soft_wrap=True)
    if should_stop():
        console.print("interrupted: every run is saved, and the same command goes on from here")
        return EXIT_INTERRUPTED
    measured = {i: seed_losses(runs, i, options.seeds) for i in range(len(contenders))}
    finalists = [Contender(contenders[i], losses) for i, losses in measured.items() if i and losses is not None]
    own_losses = measured[0]
    if own_losses is None or not finalists:
        lacking = "the default recipe" if own_losses is None else "any finalist"
        console.print(f"no answer: there is no loss of {lacking} for every seed", style="red", soft_wrap=True)
        return EXIT_SOME_FAILED
    write_answer(config, options, study, judge(Contender(None, own_losses), finalists), default)
    return EXIT_SOME_FAILED if failed else 0


def seed_losses(runs: Mapping[tuple[int, int], Run], index: int, seeds: Sequence[int]) -> tuple[float, ...] | None:
    """A recipe's losses by seed; None where a seed has none, as a recipe that diverges for one is no answer."""
    losses = []
    for seed in seeds:
        run = runs[index, seed]
        record = run.record(run.budgets[0])
        if record is None or record.status != "done" or record.final_loss_nats is None:
            return None
        losses.append(record.final_loss_nats)
    return tuple(losses)


def write_answer(
    config: StudyConfig, options: TuneOptions, study: "optuna.Study", verdict: Verdict, default: RunSpec
) -> None:
    recipe = answer.tuned_recipe(config.recipe, verdict)
    path = recipe_path(config)
    about = (
        f"Tuned by `python -m scaling.tune study={config.study}` at {options.size} (width {default.model.d_model}) on "
        f"{default.budgets[0]:,} tokens of {config.data.name}: {len(study.trials)} trials, {options.sampler}.",
        carried(default),
    )
    trials = [
        {"number": t.number, "state": t.state.name.lower(), "loss_nats": t.value, **t.params, **t.user_attrs}
        for t in study.trials
    ]
    found = answer.as_json(recipe, verdict, trials)
    out = PlainConsole()
    # The answer first: a disk that takes no file does not take it back.
    if config.json:
        out.print_json(data=found)
    else:
        for line in (*answer.table(verdict), "", verdict.words):
            out.print(line, soft_wrap=True)
    with study_lock(config.folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, answer.recipe_yaml(recipe, verdict, about).encode())
        write_json(config.folder / "tune.json", found)
    if not config.json:
        out.print(f"recipe: {path}\n{how_to_run(config)}", soft_wrap=True)


def recipe_path(config: StudyConfig) -> Path:
    """Raises FolderError where that is not in the study's folder."""
    return below(config.folder, f"recipe/{config.study}.yaml")


def carried(default: RunSpec) -> str:
    if default.model.mup_base_width is None:
        return "Not under muP: the rates are those of this width alone."
    return f"Rates are at muP's base width, {default.model.mup_base_width}, and muP carries them to every other."


def how_to_run(config: StudyConfig) -> str:
    return (
        f"run it: python -m scaling.sweep 'hydra.searchpath=[file://{config.folder}]' recipe={config.study} study=..."
    )


def show(config: StudyConfig, options: TuneOptions, default: RunSpec) -> int:
    """The dry run: what would be trained and what that costs."""
    trials = len(list(space.grid(options.space))) if options.sampler == "grid" else options.trials
    runs = trials + (options.finalists + 1) * len(options.seeds)
    seconds = study_cost(config).run_seconds(default, default.budgets)
    slots = len(study_slots(config.runtime, config.launch, config.cache_folder).free)
    plan = {
        "proxy": {"size": options.size, "d_model": default.model.d_model, "tokens": default.budgets[0]},
        "space": to_plain(options.space),
        "sampler": options.sampler,
        "trials": trials,
        "runs": runs,
        "seconds_per_run": seconds,
        "seconds": seconds * runs / slots,
        "default": to_plain(config.recipe),
    }
    out = PlainConsole()
    if config.json:
        out.print_json(data=plan)
        return 0
    lines = [
        f"{config.study}: {trials} trials ({options.sampler}), then {options.finalists} finalists and the default "
        f"recipe on {len(options.seeds)} seeds each: {runs} runs",
        f"proxy: {options.size}, width {default.model.d_model}, {default.budgets[0]:,} tokens in "
        f"{default.steps(default.budgets[0]):,} steps; some {seconds:.0f} s a run, {seconds * runs / slots:.0f} s on "
        f"{slots} slots",
        carried(default),
    ]
    for name, dimension in options.space.items():
        held = {key: value for key, value in to_plain(dimension).items() if value is not None}
        lines.append(f"  {name}: {held}")
    for line in lines:
        out.print(line, soft_wrap=True)
    return 0


def proxy_spec(config: StudyConfig, options: TuneOptions, recipe: RecipeConfig, seed: int) -> RunSpec:
    """The proxy's run under a recipe. Raises ConfigError for one that it cannot have."""
    sizes = [size for size in config.grid.sizes if size.name == options.size]
    if not sizes:
        names = [size.name for size in config.grid.sizes]
        raise ConfigError(f"size is {options.size!r}, which the grid does not have: {nearest(options.size, names)}")
    grid = replace(
        config.grid,
        kind="tokens",
        sizes=(replace(sizes[0], budgets=(options.tokens,)),),
        replicates=(),
        max_flops=None,
        holdout_share=0.0,
        seed=seed,
    )
    (run,) = plan_study(replace(config, recipe=recipe, grid=grid)).runs
    return run


def write_job(config: StudyConfig, spec: RunSpec, corpus: Path, under: str = "trials") -> Run:
    """Freeze the run's job into its folder."""
    job = below(config.folder, f"{under}/{spec.id}/{JOB_FILE}")
    folder = job.parent
    folder.mkdir(parents=True, exist_ok=True)
    write_json(job, Job(spec, config.runtime, str(corpus.resolve())))
    return Run(folder, spec.budgets)


@contextmanager
def slot_runner(config: StudyConfig) -> Iterator[SlotRunner]:
    slots = study_slots(config.runtime, config.launch, config.cache_folder)
    runner = SlotRunner(slots, make_workers(slots))
    try:
        yield runner
    finally:
        runner.close()


def progress(study: "optuna.Study", total: int) -> str:
    ended = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    losses = [trial.value for trial in ended if trial.value is not None]
    best = f", lowest loss {min(losses):.4f}" if losses else ""
    return f"{len(ended)} of {total} trials{best}"


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """INT, TERM and HUP are noticed; what is asked for says whether one came."""
    notices: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, lambda n, _: notices.append(n)) for number in numbers}
    try:
        yield lambda: bool(notices)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def main(argv: Sequence[str] | None = None) -> None:
    run_hydra(task, "tune", command="tune", about=__doc__, argv=argv)


if __name__ == "__main__":
    main()
