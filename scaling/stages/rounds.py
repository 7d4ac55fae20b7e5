"""A sweep in rounds: measure, ask what is still unknown, add the points that tell most of it for each FLOP, again.

Each round is on disk before it is trained, so that the same command goes on in the round where it stopped.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from scaling.analysis.prior import NoBelief, measured_belief, measured_sd
from scaling.config import ConfigError, StudyConfig
from scaling.exits import EXIT_NO_ANSWER
from scaling.experiments import write_experiment
from scaling.folders import below, study_lock
from scaling.laws.design import Belief
from scaling.laws.quantities import NAMES
from scaling.numbers import plural, scientific
from scaling.planning.config import GridConfig
from scaling.planning.extension import additions, extended_grid
from scaling.planning.power import default_target
from scaling.planning.proposals import Proposal, Proposals, propose
from scaling.planning.table import print_proposals
from scaling.records import read_records
from scaling.specs import Plan, read_plan
from scaling.stages.checkup import prepared_manifest
from scaling.stages.outlook import belief_of_study, room_of
from scaling.stages.program import require_our_decoders
from scaling.stages.study import plan_study
from scaling.stages.vocabularies import require_one_vocabulary
from scaling.terminal import PlainConsole, warn
from scaling.values import finite_or_null, read_json, to_plain, write_json

ROUNDS, NEXT = "rounds", "next"
UNTIL = re.compile(r"sd\(\s*(?P<name>.+?)\s*\)\s*<\s*(?P<sd>[0-9.eE+-]+)")
ROUND_SHARE = 0.5  # of what is spent so far, for the next round: the law that it is planned with gets better on the way
NEXT_SHARE = 0.25
REACH = 2.0  # a new point costs at most this many times the largest that is there


@dataclass(frozen=True)
class Until:
    """What ends the rounds: the standard deviation of a quantity."""

    quantity: str
    sd: float


@dataclass(frozen=True)
class Round:
    """What one round adds and why. Losses of the points that try the form are predicted before they are trained.

    `sd_before` is measured (None: not known yet), `sd_expected` is foretold for when the points are there. `before`
    is the grid that the study began with.
    """

    number: int
    until: str
    target_flops: float
    spent_flops: float
    sd_before: float | None
    sd_expected: float | None
    source: str
    points: tuple[Proposal, ...]
    before: GridConfig
    grid: GridConfig


def parse_until(text: str) -> Until:
    """Raises ConfigError."""
    found = UNTIL.fullmatch(text.strip())
    try:
        sd = float(found["sd"]) if found else 0.0
    except ValueError:
        sd = 0.0
    if found is None or found["name"] not in NAMES or not sd > 0:
        raise ConfigError(
            f'until is {text!r}; it must be "sd(QUANTITY) < NUMBER" with a quantity of {", ".join(NAMES)} and a '
            'positive number, for example until="sd(ln N_opt) < 0.1"'
        )
    return Until(found["name"], sd)


def in_rounds(config: StudyConfig, sweep: Callable[[StudyConfig], int]) -> int:
    """Sweep, and sweep again with more points, until the question is answered or `max_flops` are spent.

    Without `until` it is one sweep. Raises ConfigError.
    """
    if config.until is None:
        return sweep(config)
    goal = parse_until(config.until)
    require_one_vocabulary(config, "until=")
    require_our_decoders(config, "until=")
    if config.max_flops is None:
        raise ConfigError("until is given without max_flops: say what it may cost in all, for example max_flops=1e15")
    console = PlainConsole(stderr=True)
    # A study in rounds starts small: that its first plan does not answer is no reason to refuse it.
    base = replace(config, power=replace(config.power, quantity=None, target=target_of(config)))
    current, number = resumed(base)
    if config.dry_run:
        return sweep(current)
    while True:
        plan = plan_study(current)
        if plan.total_flops > config.max_flops:
            raise ConfigError(
                f"the plan of round {number} costs {scientific(plan.total_flops)} FLOPs, above max_flops = "
                f"{config.max_flops:.3g}: raise max_flops, or start from a smaller grid"
            )
        code = sweep(current)
        if code not in (0, EXIT_NO_ANSWER):  # a first round that answers nothing is what more rounds are for
            return code
        done = assess(current, plan, goal)
        say(
            console,
            f"round {number}: sd({goal.quantity}) = {done.sd:.3g} after {scientific(plan.total_flops)} FLOPs; "
            f"{done.words}",
        )
        if done.sd < goal.sd:
            at = f"{config.until} at {scientific(base.power.target)} FLOPs"
            if code:
                say(console, f"not answered: {at} holds, but the report withholds its answer, and says why")
                return code
            say(console, f"answered: {at}")
            return 0
        left = config.max_flops - plan.total_flops
        found = next_points(current, plan, done.belief, goal, min(left, ROUND_SHARE * plan.total_flops))
        if not found.points:
            say(console, f"not answered: no point that {scientific(left)} more FLOPs buy tells enough; raise max_flops")
            return EXIT_NO_ANSWER
        number += 1
        made = write_round(base.folder, Round(
            number, config.until, found.target_flops, float(plan.total_flops), done.finite_sd,
            None if found.sd_after == float("inf") else found.sd_after, done.belief.source, found.points, base.grid,
            grid_with(current, plan, found),
        ))  # fmt: skip
        current = replace(current, grid=made.grid)
        print_proposals(found, console)


@dataclass(frozen=True)
class Assessment:
    """What the points so far say of the quantity: infinite where the law may not be used yet."""

    sd: float
    belief: Belief
    words: str

    @property
    def finite_sd(self) -> float | None:
        return None if self.sd == float("inf") else self.sd


def assess(config: StudyConfig, plan: Plan, goal: Until) -> Assessment:
    records = list(read_records(config.folder, warn))
    try:
        belief = measured_belief(plan, records)
    except NoBelief as error:
        return Assessment(float("inf"), config.power.belief, f"{error}; the next points follow {config.power.source}")
    assert config.power.target is not None
    return Assessment(measured_sd(plan, records, goal.quantity, config.power.target), belief, belief.source)


def next_points(config: StudyConfig, plan: Plan, belief: Belief, goal: Until, flops: float) -> Proposals:
    target = config.power.target or default_target(plan)
    return propose(
        plan,
        room_of(config, prepared_manifest(config)),
        belief,
        list(plan.points),
        name=goal.quantity,
        target=target,
        max_flops=flops,
        until_sd=0.9 * goal.sd,
        max_point_flops=REACH * max(point.flops for point in plan.points),
    )


def grid_with(config: StudyConfig, plan: Plan, found: Proposals) -> GridConfig:
    try:
        return extended_grid(room_of(config, prepared_manifest(config)), plan, additions(found), release=True)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def target_of(config: StudyConfig) -> float:
    """The question stays the same while the plan grows: ten times the first plan's largest point, if not named."""
    return config.power.target or default_target(plan_study(config))


def resumed(base: StudyConfig) -> tuple[StudyConfig, int]:
    """The study as its last round has it. Raises ConfigError where its rounds began from another grid."""
    paths = sorted((base.folder / ROUNDS).glob("round-*.json"))
    if not paths:
        return base, 0
    last = read_json(Round, paths[-1])
    if last.before != base.grid:
        raise ConfigError(
            f"the rounds in {base.folder / ROUNDS} began from another grid: give the same grid, or another study=NAME"
        )
    return replace(base, grid=last.grid), last.number


def write_round(folder: Path, made: Round) -> Round:
    """The round as it is on disk: another command's, where that has begun the round of this number."""
    path = below(folder, f"{ROUNDS}/round-{made.number:03d}.json")
    with study_lock(folder):
        if path.exists():
            return read_json(Round, path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, made)
    return made


def plan_next(config: StudyConfig, stored: StudyConfig, folder: Path) -> int:
    """Print the points that tell most of `power.quantity` for `flops` more, and write them as an experiment."""
    require_one_vocabulary(stored, "next=")
    require_our_decoders(stored, "next=")
    plan = read_plan(folder / "plan.json")
    asked = config.power.quantity or NAMES[0]
    if asked not in NAMES:
        raise ConfigError(
            f"power.quantity is {asked!r}, and next= proposes points for a law in N and D: ask for one of "
            f"{', '.join(NAMES)}, or plan more seeds and shapes by hand"
        )
    stored = replace(stored, power=replace(stored.power, target=config.power.target or stored.power.target))
    belief = belief_of_study(folder)
    budget = config.flops or NEXT_SHARE * plan.total_flops
    found = next_points(stored, plan, belief, Until(asked, 1e-9), budget)
    if not found.points:
        raise ConfigError(f"no point that {scientific(budget)} FLOPs buy tells more of {asked}: raise flops")
    wider = replace(stored, grid=grid_with(stored, plan, found))
    name = f"next-{budget:g}".replace("+", "")
    about = f"{plural(len(found.points), 'point')} that tell most of {asked}, by {belief.source}."
    if config.json:
        command = write_experiment(folder / NEXT, name, wider, about, in_study=True)
        PlainConsole().print_json(data=finite_or_null(to_plain(found) | {"experiment": command}))
        return 0
    print_proposals(found, PlainConsole())
    print(f"Train them: {write_experiment(folder / NEXT, name, wider, about, in_study=True)}")
    return 0


def say(console: PlainConsole, text: str) -> None:
    console.print(text, soft_wrap=True)
