"""A recommendation on a terminal."""

import math
from collections.abc import Callable

from rich.table import Table

from scaling.decisions import Ranged, Recommendation
from scaling.laws.agreement import Answer
from scaling.laws.decide import Goal
from scaling.report.numbers import amount, between, level_text, nats, percent, scientific, significant
from scaling.terminal import PlainConsole

Form = Callable[[float], str]


def print_recommendation(answer: Recommendation, console: PlainConsole, *, refused: bool) -> None:
    """What was asked, the answer with its intervals, how it moves, and what to doubt."""
    goal = asked(answer.goal)
    if answer.line is not None:
        goal = f"Along {answer.line}: {goal.replace('Best for', 'for')}"
    say(console, f"{goal}, by the law of {answer.source} ({level_text(answer.level)} intervals).")
    for finding in answer.findings:
        say(console, f"{finding.level_words} {finding.name}: {finding.numbers} {finding.remedy}")
    if refused:
        return
    along = "" if answer.line is None else f" along {answer.line}"
    if not answer.reachable:
        floor = f"the floor of the law is {nats(answer.floor.value)} ({ends(answer.floor, nats)})"
        words = f"Unreachable{along}: {floor}, and no model on any number of tokens falls below it."
        if answer.reachable is None:
            words = f"Not told: {floor}, whose interval holds the loss that is asked for."
        say(console, words)
        return
    assert answer.params is not None
    assert answer.tokens is not None
    assert answer.flops is not None
    assert answer.expected_loss is not None
    table = Table()
    for heading in ("", "best" if answer.line is None else f"at {answer.line}", "interval"):
        table.add_column(heading, justify="left" if not heading else "right")
    rows: list[tuple[str, Ranged, Form]] = [
        ("N parameters", answer.params, amount), ("D tokens", answer.tokens, amount),
        ("training FLOPs", answer.flops, scientific), ("loss, nats/token", answer.expected_loss, nats),
    ]  # fmt: skip
    for name, value, form in rows:
        table.add_row(name, form(value.value), ends(value, form))
    table.add_row("perplexity", significant(math.exp(answer.expected_loss.value)), "")
    if answer.inference_flops is not None:
        table.add_row("serving FLOPs", scientific(answer.inference_flops), "")
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
        f"Any N from {amount(low)} on {amount(low_tokens)} tokens to {amount(high)} on {amount(high_tokens)} loses at "
        f"most {percent(answer.share)} of the compute. {distance(answer.decades_beyond)} The loss is the selected "
        f"forecast's ({answer.method}); Chinchilla's law alone says {nats(answer.law_loss)}.",
    )
    if answer.least_params is not None and answer.least_tokens is not None:
        say(
            console,
            f"At the least, with the other unlimited: N {amount(answer.least_params)}, D "
            f"{amount(answer.least_tokens)}.",
        )
    for title, answers in (("Best N otherwise", answer.estimators), ("Counted otherwise", answer.conventions)):
        if len(answers) > 1:
            say(console, f"{title}: {'; '.join(map(in_words, answers))}.")


def in_words(way: Answer) -> str:
    """One more way of asking."""
    if way.params is None:
        return f"{way.source} {way.status.replace('_', ' ')}"
    ratio = "" if way.ratio in (None, 1.0) else f" ({significant(way.ratio, 2)} times)"
    return f"{way.source} {amount(way.params)}{ratio}"


def asked(goal: Goal) -> str:
    """The goal in words."""
    serving = f" and {amount(goal.inference_tokens)} tokens served" if goal.inference_tokens else ""
    if goal.flops is not None:
        return f"Best for {scientific(goal.flops)} FLOPs of training{serving}"
    if goal.loss is not None:
        return f"Cheapest for a loss of {nats(goal.loss)} (perplexity {significant(math.exp(goal.loss))}){serving}"
    if goal.params is not None:
        return f"Best for {amount(goal.params)} parameters"
    return f"Best for {amount(goal.tokens)} tokens"


def distance(decades: float) -> str:
    if decades <= 0:
        return "That is within the measured compute."
    return f"That is {10**decades:,.3g} times the largest measured compute."


def ends(value: Ranged, form: Form) -> str:
    if value.low is None or value.high is None:
        return "none: a step within its error makes this unreachable"
    return between(value.low, value.high, form)


def say(console: PlainConsole, text: str) -> None:
    console.print(text, soft_wrap=True)
