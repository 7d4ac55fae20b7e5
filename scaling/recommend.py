"""`python -m scaling.recommend`: from a study, or anyone's losses, to the model and the tokens that a goal is worth.

Example: python -m scaling.recommend study=default flops=1e14

It prints N, D and the loss to expect, each with its interval, and writes the nearest real shape as an experiment that
runs as it is. Nothing goes into the study's ledger: its sweep predicts that point before it trains it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hydra import compose
from omegaconf import DictConfig

from scaling.analysis.observations import CONVENTIONS, conventions_of, observations, usable
from scaling.analysis.recommend import (
    NoRecommendation,
    RecommendOptions,
    SelectedForecast,
    goal_of,
    recommend,
)
from scaling.command import run_hydra
from scaling.config import (
    PLAN_FILE,
    ConfigError,
    StudyConfig,
    config_here,
    recommend_options,
    study_config,
)
from scaling.decisions import Recommendation
from scaling.exits import EXIT_NO_ANSWER
from scaling.experiments import write_experiment
from scaling.findings import refusals
from scaling.laws.fit import fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.observations import Observations
from scaling.numbers import plural, scientific
from scaling.planning.candidates import Room
from scaling.planning.choose import Chosen, choose_shape
from scaling.planning.extension import Addition, extended_grid
from scaling.records import RunRecord, read_records
from scaling.report.recommendation import print_recommendation
from scaling.specs import Plan, read_plan
from scaling.stages.checkup import prepared_manifest
from scaling.stages.declared import command_of_the_best
from scaling.stages.outlook import room_of
from scaling.stages.study import plan_study
from scaling.stages.tables import open_table, tell
from scaling.stages.vocabularies import require_one_vocabulary
from scaling.tables.read import Table
from scaling.terminal import PlainConsole, warn
from scaling.values import finite_or_null, to_plain


def task(composed: DictConfig) -> int:
    options = recommend_options(composed)
    try:
        return from_study(options) if options.study is not None else from_table(options)
    except NoRecommendation as error:
        raise ConfigError(str(error)) from None


@dataclass(frozen=True)
class Asked:
    """An answer with the rows and the speed (FLOPs a second, None where not known) that it is from."""

    rows: Observations
    speed: float | None
    answer: Recommendation


def recommended(options: RecommendOptions) -> Recommendation:
    """The answer alone. Raises NoRecommendation, ConfigError."""
    if options.study is None:
        return ask_table(options, open_table(str(options.source), options, options.force)[0]).answer
    return ask_study(options, *measured_study(options)).answer


def measured_study(options: RecommendOptions) -> tuple[StudyConfig, Plan, list[RunRecord]]:
    """The study and the records that its law is fitted to. Raises ConfigError."""
    folder = Path(options.runs) / str(options.study)
    config = config_here(folder)
    require_one_vocabulary(config, "a recommendation")
    plan = read_plan(folder / PLAN_FILE)
    records, _ = usable(plan, list(read_records(folder, warn)))
    if not records:
        raise ConfigError(f"{folder} has no measured point that a law could be fitted to: run its sweep first")
    return config, plan, records


def ask_study(options: RecommendOptions, config: StudyConfig, plan: Plan, records: list[RunRecord]) -> Asked:
    counts = {c.text: observations(plan, records, c) for c in conventions_of(plan)}
    rows = counts[CONVENTIONS["total"].text]
    speed = options.flops_per_second or measured_speed(records)
    forecast = SelectedForecast(rows)
    answer = answer_for(options, rows, f"{plural(len(rows), 'point')} of {plan.study}", speed, forecast, counts)
    return Asked(rows, speed, answer)


def ask_table(options: RecommendOptions, table: Table) -> Asked:
    rows, speed = table.observations, options.flops_per_second
    source = f"{plural(len(rows), 'row')} of {options.source}"
    return Asked(rows, speed, answer_for(options, rows, source, speed, SelectedForecast(rows)))


def from_study(options: RecommendOptions) -> int:
    config, plan, records = measured_study(options)
    folder = Path(options.runs) / str(options.study)
    asked = ask_study(options, config, plan, records)
    rows, speed, answer = asked.rows, asked.speed, asked.answer
    if not answer.reachable or answer.line is not None or refusals(answer.findings):
        return show(options, answer, None, "", speed)
    if config.trainer is not None:
        code = show(options, answer, None, "", speed)
        words, command = command_of_the_best(config, plan, answer)
        if not options.json:
            print(f"{words}\nTrain it: {command}")
        return code
    room = room_of(config, prepared_manifest(config))
    chosen = shape_for(room, rows, answer)
    try:
        grid = extended_grid(room, plan, [Addition(chosen.site.size, chosen.tokens, True)])
    except ValueError as error:
        raise ConfigError(str(error)) from None
    wider = replace(config, grid=grid)
    plan_study(wider)  # whatever speaks against it is told before anything is written
    with answered_anyway(options, answer, chosen, speed):
        out = Path(options.out or folder / "recommend")
        name, words = experiment_name(options), about(options, chosen)
        command = write_experiment(out, name, wider, words, in_study=options.out is None)
    return show(options, answer, chosen, command, speed)


def from_table(options: RecommendOptions) -> int:
    table, findings = open_table(str(options.source), options, options.force)
    tell(table, findings)
    asked = ask_table(options, table)
    rows, speed, answer = asked.rows, asked.speed, asked.answer
    if not answer.reachable or answer.line is not None or refusals(answer.findings):
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
        words = f"{about(options, chosen)}\n{other_text(config)}"
        command = write_experiment(out, name, config, words, in_study=False)
    return show(options, answer, chosen, command, speed, other_text(config))


def other_text(config: StudyConfig) -> str:
    """Of an experiment that a table recommends."""
    return (
        f"It trains on data={config.data.name}, this program's default text, with model and recipe of its defaults: no "
        "table says what its losses were measured on. Add data=... and recipe=... of your own."
    )


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
    assert answer.band is not None
    theta, ((low, _), (high, _)) = fit_law(CHINCHILLA, rows).theta, answer.band
    try:
        return choose_shape(room, theta, answer.goal, answer.params.value, answer.tokens.value, (low, high))
    except ValueError as error:
        raise ConfigError(str(error)) from None


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
        f"{scientific(chosen.flops)} training FLOPs."
    )


def show(
    options: RecommendOptions, answer: Recommendation, chosen: Chosen | None, command: str, speed: float | None,
    note: str = "",
) -> int:  # fmt: skip
    refused = bool(refusals(answer.findings))
    if options.json:
        shape = (
            None
            if chosen is None
            else {**to_plain(chosen.site.size), "params": chosen.params, "tokens": chosen.tokens, "flops": chosen.flops}
        )
        plain = to_plain(answer) if not refused else {"findings": to_plain(answer.findings), "reachable": None}
        PlainConsole().print_json(
            data=finite_or_null(plain | {"shape": shape, "experiment": command or None, "note": note or None})
        )
    else:
        print_recommendation(answer, PlainConsole(), refused=refused)
        if chosen is not None:
            size = chosen.site.size
            hours = (
                "" if speed is None else f", {chosen.flops / speed / 3600:.3g} h at {scientific(speed)} FLOPs a second"
            )
            print(
                f"Nearest shape: {size.num_layers} layers of {size.d_model} with {size.num_heads} heads, "
                f"{chosen.params:,} parameters, on {chosen.tokens:,} tokens: {scientific(chosen.flops)} counted "
                f"FLOPs{hours}; "
                f"by the law a loss of {chosen.law_loss:.4f}."
            )
            if command:
                print(f"Train it: {command}")
            if note:
                print(note)
    return EXIT_NO_ANSWER if refused or answer.reachable is None else 0


def main(argv: Sequence[str] | None = None) -> None:
    run_hydra(task, "recommend", command="recommend", about=__doc__, argv=argv)


if __name__ == "__main__":
    main()
