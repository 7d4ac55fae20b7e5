"""How sharply the rows tell the floor and the exponents: the objective along each, all else fitted anew."""

import numpy as np

from scaling.laws.profile import ParameterProfile, parameter_profile
from scaling.report.figures.chart import Area, Chart, Dots, Line, linear_axis
from scaling.report.figures.marks import column
from scaling.report.figures.plate import FigureGroup, Panel
from scaling.report.figures.style import BAND, BLUE, INK, VERMILION
from scaling.report.numbers import between, greek, level_text, significant
from scaling.report.reading import interval_level
from scaling.results import LawReport

PARAMETERS = ("E", "alpha", "beta")
AXIS = {"E": "E (nats/token)"}
MOST_ROWS = 5_000  # of more, a hundred refits take longer than the report may


def profile_figures(report: LawReport) -> FigureGroup | None:
    law = report.surface
    if not law.fit.usable or len(law.observations) > MOST_ROWS:
        return None
    level = interval_level(report)
    profiles = [
        parameter_profile(law.fit, law.observations, name, level)
        for name in PARAMETERS
        if law.fit.parameters.get(name, 0.0) > 0
    ]
    if not profiles:
        return None
    return FigureGroup(
        "profiles",
        "How sharply the points tell the parameters",
        "The objective of the fit over its least, along one parameter, with all others fitted anew at each value. "
        "Below the orange line, and so in the shaded range, a likelihood ratio allows the value "
        f"({level_text(level)}); the dot is the fit. Look for: a narrow valley that rises on both sides. One that "
        "stays below the line to the end of its range says that the points do not bound the parameter.",
        tuple(Panel(f"profile-{one.name}", _words(one), chart(one), height=3.0) for one in profiles),
    )


def _words(one: ParameterProfile) -> str:
    open_end = "" if one.closed else ", with an end at the limit of its range"
    return (
        f"Profile of {greek(one.name)}: its least at {significant(one.estimate)}, allowed from {significant(one.low)} "
        f"to {significant(one.high)} ({level_text(one.level)}){open_end}."
    )


def chart(one: ParameterProfile) -> Chart:
    low, high = float(one.values.min()), float(one.values.max())
    ends = (low - 0.02 * (high - low), high + 0.02 * (high - low))
    top = 1 + 1.6 * (one.ceiling - 1)
    estimate = column([one.estimate])
    note = f"{greek(one.name)} {significant(one.estimate)}, allowed {between(one.low, one.high)}"
    return Chart(
        linear_axis(AXIS.get(one.name, greek(one.name)), ends, lambda value: f"{value:.3g}", most=6),
        linear_axis("objective over its least", (1 - 0.06 * (top - 1), top), lambda value: f"{value:.4g}", most=6),
        (
            Area(column([one.low, one.high, one.high, one.low]), column([0, 0, 2 * top, 2 * top]), BAND, opacity=0.18),
            Line(column(ends), column([one.ceiling] * 2), VERMILION, dash="dash"),
            Line(one.values, np.minimum(one.ratio, 2 * top), BLUE, width=1.8),
            Dots(estimate, np.ones(1), (INK,), notes=(note,)),
        ),
        legend="none",
    )
