"""The search: Optuna asks for recipes, run folders answer. All that is known is in the database and in the folders, so
a search that was killed goes on: finished trials are kept, those under way go on from their runs' checkpoints.
"""

import errno
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import StorageInternalError
from optuna.trial import Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from scaling.tuning import space
from scaling.tuning.config import Dimension, TuneOptions
from scaling.tuning.runs import Run, Runner

ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
QUESTION = "question"
# Before half of a run a high learning rate looks worse than it will end: its loss falls in the cooldown.
SHARE_BEFORE_PRUNING = 0.5


@contextmanager
def told_by_the_database() -> Iterator[None]:
    """Raise OSError where the database is locked, broken or on a full disk, which Optuna and its libraries tell in
    errors of their own."""
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        said = str(error.__cause__ or error).splitlines()[0]
        number = errno.ENOSPC if "full" in said else errno.EBUSY if "locked" in said else errno.EIO
        raise OSError(number, said, "the database of the search") from error


def open_study(database: Path, name: str, options: TuneOptions, question: Mapping[str, object]) -> optuna.Study:
    """Create or take up the search. Raises ValueError where the database holds an answer to another question."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    database.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{database.absolute()}", study_name=name, load_if_exists=True, pruner=make_pruner(options)
    )
    # A sampler starts anew with the process: with the same seed it would ask for the same recipes again.
    study.sampler = make_sampler(options, already=len(study.trials))
    asked = json.dumps(question, sort_keys=True)
    if study.user_attrs.setdefault(QUESTION, asked) != asked:
        raise ValueError(
            f"{database} belongs to a search with another proxy, recipe, space or corpus: give this one a name of its "
            "own (study=...), or delete that folder"
        )
    study.set_user_attr(QUESTION, asked)
    return study


def make_sampler(options: TuneOptions, already: int) -> optuna.samplers.BaseSampler:
    seed = options.sampler_seed + already
    if options.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)  # the points of a grid are queued, not sampled


def make_pruner(options: TuneOptions) -> optuna.pruners.BasePruner:
    before = max(1, round(SHARE_BEFORE_PRUNING * options.evaluations))
    if options.pruner == "median":
        return optuna.pruners.MedianPruner(n_warmup_steps=before)
    if options.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=before, max_resource=options.evaluations + 1)
    return optuna.pruners.NopPruner()


def distribution(dimension: Dimension) -> BaseDistribution:
    if dimension.choices is not None:
        return CategoricalDistribution(dimension.choices)
    assert dimension.low is not None
    assert dimension.high is not None
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def queue(study: optuna.Study, options: TuneOptions, default: Mapping[str, float] | None) -> int:
    """Put the default recipe, or the points of the grid, before what the sampler will ask; returns the trials to come
    to. A trial that is there already is not queued twice."""
    points = list(space.grid(options.space)) if options.sampler == "grid" else []
    if default is not None and options.sampler != "grid":
        points = [dict(default)]
    for point in points:
        study.enqueue_trial(point, skip_if_exists=True)
    return len(points) if options.sampler == "grid" else options.trials


def search(
    study: optuna.Study,
    *,
    options: TuneOptions,
    num_trials: int,
    runner: Runner,
    make_run: Callable[[Mapping[str, float]], Run],
    should_stop: Callable[[], bool],
    on_change: Callable[[optuna.Study], None],
) -> dict[str, str]:
    """Until `num_trials` trials have ended, or `should_stop`. Returns failures: folder and reason.

    `make_run` freezes the job of a point of the space into its folder; it raises ValueError for a recipe that the proxy
    cannot have, which ends its trial as pruned. Two trials of one recipe share one run.
    """
    asked = {name: distribution(dimension) for name, dimension in options.space.items()}
    # The handle of a trial that an earlier process asked for.
    left_over = [Trial(study, t._trial_id) for t in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))]
    running: dict[Path, tuple[Run, list[Trial]]] = {}
    given_up: set[Path] = set()
    failed: dict[str, str] = {}

    def num_begun() -> int:
        ended = len(study.get_trials(deepcopy=False, states=ENDED))
        return ended + sum(len(trials) for _, trials in running.values())

    while True:
        while runner.has_room and not should_stop() and (left_over or num_begun() + len(failed) < num_trials):
            trial = left_over.pop(0) if left_over else study.ask(asked)
            try:
                run = make_run(trial.params)
            except ValueError as error:
                _tell(study, trial, None, str(error))
                continue
            if run.folder in running:
                running[run.folder][1].append(trial)
            elif run.is_done:
                _settle(study, [trial], run, None, failed)
            else:
                running[run.folder] = (run, [trial])
                runner.start(run.folder)
        if should_stop():
            for folder in running.keys() - given_up:
                given_up.add(folder)
                runner.stop(folder)
        for folder, (run, trials) in running.items():
            if options.pruner != "none" and folder not in given_up and _is_hopeless(run, trials):
                given_up.add(folder)
                runner.stop(folder)
        if not running:
            return failed
        for folder, reason in runner.ended(timeout=0.5):
            run, trials = running.pop(folder)
            if folder in given_up and not run.is_done:
                if not should_stop():
                    for trial in trials:
                        _tell(study, trial, None, "pruned: worse than the others at the same evaluation")
                continue  # a search that was told to stop leaves its trials running, for the next to take up
            _settle(study, trials, run, reason, failed)
            on_change(study)


def _is_hopeless(run: Run, trials: list[Trial]) -> bool:
    losses = run.evaluations()
    for trial in trials:
        for number, loss in enumerate(losses, start=1):
            trial.report(loss, number)  # a number that is reported already is passed over
    return bool(losses) and all(trial.should_prune() for trial in trials)


def _settle(study: optuna.Study, trials: list[Trial], run: Run, reason: str | None, failed: dict[str, str]) -> None:
    (budget,) = run.budgets
    record = run.record(budget)
    for trial in trials:
        trial.set_user_attr("run_id", run.folder.name)
        if record is None:
            failed[run.folder.name] = reason or "it ended without a record"
            study.tell(trial, state=TrialState.FAIL)
        elif record.status == "done":
            _tell(study, trial, record.final_loss_nats, "")
        else:
            _tell(study, trial, None, f"{record.status}: {record.reason}")


def _tell(study: optuna.Study, trial: Trial, loss: float | None, reason: str) -> None:
    if loss is not None:
        study.tell(trial, loss)
        return
    trial.set_user_attr("reason", reason)
    study.tell(trial, state=TrialState.PRUNED)


def best_points(study: optuna.Study, count: int, without: Mapping[str, float] | None) -> list[dict[str, float]]:
    """The distinct points of lowest loss, the default's own left out."""
    found: list[dict[str, float]] = []
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    for trial in sorted(done, key=lambda trial: float(trial.value or 0.0)):
        if trial.params not in found and trial.params != (without or {}):
            found.append(dict(trial.params))
    return found[:count]
