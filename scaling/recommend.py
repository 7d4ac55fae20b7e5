"""`python -m scaling.recommend`: from a study, or anyone's losses, to the model and the tokens that a goal is worth.

Example: python -m scaling.recommend study=default flops=1e14

It prints N, D and the loss to expect, each with its interval, and writes the nearest real shape as an experiment that
runs as it is. The forecast of a study's goes into its ledger, and is scored if that point is ever trained.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hydra import compose
from omegaconf import DictConfig

from scaling.analysis.forecasts import new_forecasts
from scaling.analysis.observations import CONVENTIONS, observations, points_at, usable
from scaling.analysis.recommend import (
    NoRecommendation,
    RecommendOptions,
    SelectedForecast,
    goal_of,
    recommend,
)
from scaling.command import EXIT_NO_ANSWER, run_hydra
from scaling.config import (
    PLAN_FILE,
    ConfigError,
    config_here,
    recommend_options,
    study_config,
    write_experiment,
)
from scaling.findings import refusals
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.observations import Observations
from scaling.planning.candidates import Room
from scaling.planning.choose import Chosen, choose_shape
from scaling.planning.extension import Addition, extended_grid
from scaling.records import RunRecord, read_records
from scaling.report.recommendation import print_recommendation
from scaling.results import Recommendation
from scaling.specs import Plan, read_plan
from scaling.stages.checkup import prepared_manifest
from scaling.stages.outlook import room_of
from scaling.stages.study import plan_study
from scaling.stages.tables import open_table, tell
from scaling.stages.vocabularies import require_one_vocabulary
from scaling.store import SELECTED, read_forecasts, save_forecasts
from scaling.terminal import PlainConsole, warn
from scaling.values import finite_or_null, to_plain


def task(composed: DictConfig) -> int:
    options = recommend_options(composed)
    try:
        return from_study(options) if options.study is not None else from_table(options)
    except NoRecommendation as error:
        raise ConfigError(str(error)) from None


def from_study(options: RecommendOptions) -> int:
    folder = Path(options.runs) / str(options.study)
    config = config_here(folder)
    require_one_vocabulary(config, "a recommendation")
    plan = read_plan(folder / PLAN_FILE)
    records, _ = usable(plan, list(read_records(folder, warn)))
    if not records:
        raise ConfigError(f"{folder} has no measured point that a law could be fitted to: run its sweep first")
    counts = {c.text: observations(plan, records, c) for c in CONVENTIONS.values()}
    rows = counts[CONVENTIONS["total"].text]
    speed = options.flops_per_second or measured_speed(records)
    forecast = SelectedForecast(rows)
    answer = answer_for(options, rows, f"{len(rows)} points of {plan.study}", speed, forecast, counts)
    if not answer.reachable or answer.line is not None or refusals(answer.findings):  # no shape without a best N
        return show(options, answer, None, "", speed)
    room = room_of(config, prepared_manifest(config))
    chosen = shape_for(room, rows, answer)
    try:
        grid = extended_grid(room, plan, [Addition(chosen.site.size, chosen.tokens, True)])
    except ValueError as error:
        raise ConfigError(str(error)) from None
    wider = replace(config, grid=grid)
    point = find_point(plan_study(wider), chosen)
    with answered_anyway(options, answer, chosen, speed):
        out = Path(options.out or folder / "recommend")
        name, words = experiment_name(options), about(options, chosen)
        command = write_experiment(out, name, wider, words, in_study=options.out is None)
        known = {(f.run_id, f.tokens) for f in read_forecasts(folder, warn)}
        if point not in known | {(r.run_id, r.budget_tokens) for r in records}:
            planned = plan_study(wider)
            at = points_at(planned, [point], CONVENTIONS["total"])
            prediction = forecast.predict(float(at.params[0]), float(at.tokens[0]), config.fit.level)
            save_forecasts(folder, new_forecasts(prediction, planned, [point], records, SELECTED))
    return show(options, answer, chosen, command, speed)


def from_table(options: RecommendOptions) -> int:
    table, findings = open_table(str(options.source), options, options.force)
    tell(table, findings)
    rows = table.observations
    speed = options.flops_per_second
    answer = answer_for(options, rows, f"{len(rows)} rows of {options.source}", speed, SelectedForecast(rows))
    if not answer.reachable or answer.line is not None or refusals(answer.findings):  # no shape without a best N
        return show(options, answer, None, "", speed)
    config = study_config(compose("sweep"))
    name = experiment_name(options)
    chosen = shape_for(room_of(config), rows, answer)
    alone = replace(chosen.site.size, budgets=(float(chosen.tokens),))
    grid = replace(config.grid, kind="tokens", sizes=(alone,), replicates=(), max_flops=None, holdout_share=0.0)
    power = replace(config.power, quantity=None)
    config = replace(config, study=name, question=about(options, chosen), grid=grid, power=power)
    with answered_anyway(options, answer, chosen, speed):
        out = Path(options.out or "recommend")
        command = write_experiment(out, name, config, about(options, chosen), in_study=False)
    return show(options, answer, chosen, command, speed)


@contextmanager
def answered_anyway(
    options: RecommendOptions, answer: Recommendation, chosen: Chosen, speed: float | None
) -> Iterator[None]:
    """Print the answer also where it cannot be written down."""
    try:
        yield
    except (OSError, ConfigError):
        show(options, answer, chosen, "", speed)
        raise


def answer_for(
    options: RecommendOptions,
    rows: Observations,
    source: str,
    flops_per_second: float | None,
    forecast: SelectedForecast,
    counts: dict[str, Observations] | None = None,
) -> Recommendation:
    try:
        goal = goal_of(options, flops_per_second)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return recommend(
        rows,
        goal,
        source=source,
        forecast=forecast,
        counts=counts,
        share=options.share,
        level=options.level,
        force=options.force,
    )


def shape_for(room: Room, rows: Observations, answer: Recommendation) -> Chosen:
    assert answer.params is not None, "only what is reachable has a shape"
    assert answer.tokens is not None
    theta = fit_law(CHINCHILLA, rows).theta
    try:
        return choose_shape(room, theta, answer.goal, answer.params.value, answer.tokens.value)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def find_point(plan: Plan, chosen: Chosen) -> tuple[str, int]:
    """The planned point of the shape: the grid's own seed comes first."""
    return next(
        (p.run_id, p.tokens) for p in plan.points if (p.size, p.tokens) == (chosen.site.size.name, chosen.tokens)
    )


def measured_speed(records: Sequence[RunRecord]) -> float | None:
    """FLOPs a second of the study's largest runs on the machine that trained them."""
    timed = sorted((r for r in records if r.seconds > 0), key=lambda r: r.flops)
    return timed[-1].flops / timed[-1].seconds if timed else None


def experiment_name(options: RecommendOptions) -> str:
    goal = next(name for name in options.goals if getattr(options, name) is not None)
    text = f"{goal}-{getattr(options, goal):g}" + (
        f"-serving-{options.inference_tokens:g}" if options.inference_tokens else ""
    )
    return text.replace("+", "")


def about(options: RecommendOptions, chosen: Chosen) -> str:
    source = options.study if options.source is None else options.source
    return (
        f"{experiment_name(options)}, recommended from {source}: {chosen.site.size.name}, {chosen.tokens:,} tokens, "
        f"{chosen.flops:.3g} training FLOPs."
    )


def show(
    options: RecommendOptions, answer: Recommendation, chosen: Chosen | None, command: str, speed: float | None
) -> int:
    refused = bool(refusals(answer.findings))
    if options.json:
        shape = (
            None
            if chosen is None
            else {**to_plain(chosen.site.size), "params": chosen.params, "tokens": chosen.tokens, "flops": chosen.flops}
        )
        plain = to_plain(answer) if not refused else {"findings": to_plain(answer.findings), "reachable": None}
        PlainConsole().print_json(data=finite_or_null(plain | {"shape": shape, "experiment": command or None}))
    else:
        print_recommendation(answer, PlainConsole(), refused=refused)
        if chosen is not None:
            size = chosen.site.size
            hours = "" if speed is None else f", {chosen.flops / speed / 3600:.3g} h at {speed:.3g} FLOPs a second"
            print(
                f"Nearest shape: {size.num_layers} layers of {size.d_model} with {size.num_heads} heads, "
                f"{chosen.params:,} parameters, on {chosen.tokens:,} tokens: {chosen.flops:.3g} counted FLOPs{hours}; "
                f"by the law a loss of {chosen.law_loss:.4f}."
            )
            if command:
                print(f"Train it: {command}")
    return EXIT_NO_ANSWER if refused else 0


def main() -> None:
    run_hydra(task, "recommend", about=__doc__)


if __name__ == "__main__":
    main()
