"""A recommendation on a terminal."""

import math

from rich.table import Table

from scaling.laws.agreement import Answer
from scaling.laws.decide import Goal
from scaling.results import Ranged, Recommendation
from scaling.terminal import PlainConsole


def print_recommendation(answer: Recommendation, console: PlainConsole, *, refused: bool) -> None:
    """What was asked, the answer with its intervals, how it moves, and what to doubt."""
    goal = asked(answer.goal)
    if answer.line is not None:
        goal = f"Along {answer.line}: {goal.replace('Best for', 'for')}"
    say(console, f"{goal}, by the law of {answer.source} (intervals {answer.level:.0%}).")
    for finding in answer.findings:
        say(console, f"{finding.level_words} {finding.name}: {finding.numbers} {finding.remedy}")
    if refused:
        return
    along = "" if answer.line is None else f" along {answer.line}"
    if not answer.reachable:
        say(
            console,
            f"Unreachable{along}: the floor of the law is {ranged(answer.floor, '.4f')}, so no model on any number of "
            "tokens gets there.",
        )
        return
    assert answer.params is not None
    assert answer.tokens is not None
    assert answer.flops is not None
    assert answer.expected_loss is not None
    table = Table()
    for heading in ("", "best" if answer.line is None else f"at {answer.line}", "interval"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, value in (("N parameters", answer.params), ("D tokens", answer.tokens), ("training FLOPs", answer.flops)):
        table.add_row(name, f"{value.value:.4g}", ends(value, ".3g"))
    table.add_row("loss, nats/token", f"{answer.expected_loss.value:.4f}", ends(answer.expected_loss, ".4f"))
    table.add_row("perplexity", f"{math.exp(answer.expected_loss.value):.2f}", "")
    if answer.inference_flops is not None:
        table.add_row("serving FLOPs", f"{answer.inference_flops:.4g}", "")
    console.print(table)
    if answer.band is None:
        say(
            console,
            f"All rows lie at {answer.line}, and so does this answer: whether another N is better for the same compute "
            f"no row says. {distance(answer.decades_beyond)}",
        )
        return
    (low, low_tokens), (high, high_tokens) = answer.band
    say(
        console,
        f"Within {answer.share:.2%} of the compute: N {low:.3g} on {low_tokens:.3g} tokens to N {high:.3g} on "
        f"{high_tokens:.3g}. {distance(answer.decades_beyond)} The loss is the selected forecast ({answer.method}); "
        f"Chinchilla's law alone says {answer.law_loss:.4f}.",
    )
    if answer.least_params is not None and answer.least_tokens is not None:
        say(
            console,
            f"At the least, with the other unlimited: N {answer.least_params:.3g}, D {answer.least_tokens:.3g}.",
        )
    for title, answers in (
        ("estimator", answer.estimators),
        ("convention (each N in its own count)", answer.conventions),
    ):
        if answers:
            console.print(ways(title, answers))


def ways(title: str, answers: tuple[Answer, ...]) -> Table:
    """The same question asked otherwise."""
    table = Table()
    for heading in (title, "best N", "ratio", "N* grows as C^"):
        table.add_column(heading, justify="left" if heading == title else "right")
    for way in answers:
        if way.params is None:
            table.add_row(way.source, way.status, "", "")
        else:
            exponent = "" if way.params_exponent is None else f"{way.params_exponent:.3f}"
            table.add_row(way.source, f"{way.params:.3g}", "" if way.ratio is None else f"{way.ratio:.2f}", exponent)
    return table


def asked(goal: Goal) -> str:
    """The goal in words."""
    serving = f" and {goal.inference_tokens:.3g} tokens served" if goal.inference_tokens else ""
    if goal.flops is not None:
        return f"Best for {goal.flops:.4g} FLOPs of training{serving}"
    if goal.loss is not None:
        return f"Cheapest for a loss of {goal.loss:.4g} (perplexity {math.exp(goal.loss):.4g}){serving}"
    if goal.params is not None:
        return f"Best for {goal.params:.4g} parameters"
    return f"Best for {goal.tokens:.4g} tokens"


def distance(decades: float) -> str:
    if decades <= 0:
        return "That is within the measured compute."
    return f"That is {10**decades:,.3g} times the largest measured compute."


def ends(value: Ranged, digits: str) -> str:
    if value.low is None or value.high is None:
        return "none: a step within its error makes this unreachable"
    return f"{value.low:{digits}} to {value.high:{digits}}"


def ranged(value: Ranged, digits: str) -> str:
    return f"{value.value:{digits}} ({ends(value, digits)})"


def say(console: PlainConsole, text: str) -> None:
    console.print(text, soft_wrap=True)
