"""A law and a goal become a recommendation: N, D, the loss to expect, and how far each of them may be trusted."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from scaling.analysis.recommend_line import recommend_along
from scaling.decisions import Ranged, Recommendation
from scaling.findings import Finding
from scaling.laws.agreement import compare_conventions, compare_estimators
from scaling.laws.analysis import sample_rows
from scaling.laws.backtest import Best, Forecaster, forecaster
from scaling.laws.decide import Choice, Goal, band, decide, least_params, tokens_for_loss
from scaling.laws.fit import Fit, fit_law
from scaling.laws.forms import CHINCHILLA
from scaling.laws.intervals import Interval, Prediction, delta_interval, parameter_intervals
from scaling.laws.line import line_of, under_six
from scaling.laws.observations import FloatArray, Observations, points
from scaling.tables.options import ReadingOptions
from scaling.values import require_name

DECADES_WARN, DECADES_REFUSE = 1.5, 3.0
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class RecommendOptions(ReadingOptions):
    """The root of `configs/recommend.yaml`. One of study and source, and one of flops, gpu_hours, tokens, params, loss
    and perplexity.

    study, runs       a study's name and the folder of studies
    source, columns   a table of losses instead, as `scaling.fit` reads it, by the keys of `ReadingOptions`
    flops             training FLOPs to spend, with those of serving where inference_tokens are given
    gpu_hours         the same in hours of one accelerator at `flops_per_second`; null: as fast as the study's largest
                      runs were on theirs
    tokens, params    a corpus or a model that is given: the other is chosen as the law would at its budget
    loss, perplexity  to be reached with the fewest FLOPs, in nats for each token
    inference_tokens  that the model will serve: 6 N D + 2 N x inference_tokens is what is spent
    share             of compute that may be lost within the band of N and D
    level             of the intervals
    out               folder for the experiment; null: runs/<study>/recommend, or recommend for a table
    force             names of refusals that are overruled
    """

    study: str | None
    runs: str
    source: str | None
    flops: float | None
    gpu_hours: float | None
    flops_per_second: float | None
    tokens: float | None
    params: float | None
    loss: float | None
    perplexity: float | None
    inference_tokens: float
    share: float
    level: float
    out: str | None
    force: tuple[str, ...]
    json: bool
    debug: bool

    def __post_init__(self) -> None:
        self.check_reading()
        if (self.study is None) == (self.source is None):
            raise ValueError("give one of study=NAME and source=points.csv")
        if self.study is not None:
            require_name("study", self.study)
        given = [name for name in self.goals if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"{len(given)} goals are given ({', '.join(given) or 'none'}): give exactly one of "
                f"{', '.join(self.goals)}, for example flops=1e20"
            )

    @property
    def goals(self) -> tuple[str, ...]:
        return ("flops", "gpu_hours", "tokens", "params", "loss", "perplexity")


class NoRecommendation(ValueError):
    """The rows carry no law that may be used; the message says why and what to add."""


def recommend(
    rows: Observations,
    goal: Goal,
    *,
    source: str,
    forecast: "SelectedForecast",
    counts: Mapping[str, Observations] | None = None,
    share: float = 0.005,
    level: float = 0.9,
    force: Sequence[str] = (),
) -> Recommendation:
    """Answer a goal from measured rows.

    A budget that is all for training is spent as the selected forecast of the rows, `forecast`, holds best; any other
    goal asks Chinchilla's law. `counts` are the same rows under each convention, the first being that of `rows`. Raises
    NoRecommendation.
    """
    line = line_of(rows)
    if line is not None:
        along, asked = fit_law(line.forms[0], under_six(rows)), forecast.along()
        if asked is not None:
            return recommend_along(
                line, along, rows, goal, asked, source=source, level=level, far=lambda beyond: _too_far(beyond, force)
            )
    fit = fit_law(CHINCHILLA, rows)
    if not fit.usable:
        raise NoRecommendation(
            f"no law of {source} may be used, for it is {fit.status.replace('_', ' ')}: {fit.message}"
        )
    choice = decide(fit.theta, goal)
    floor = parameter_intervals(fit, rows, level=level)["E"]
    base = Recommendation(
        source=source,
        line=None,
        num_points=len(rows),
        goal=goal,
        level=level,
        reachable=False,
        floor=Ranged(fit.parameters["E"], max(floor.low, 0.0), floor.high),
        params=None,
        tokens=None,
        flops=None,
        inference_flops=None,
        law_loss=None,
        expected_loss=None,
        method="",
        share=share,
        band=None,
        least_params=None,
        least_tokens=None,
        decades_beyond=0.0,
        estimators=(),
        conventions=(),
        findings=(),
    )
    params, tokens, flops = (float(x[0]) for x in (choice.params, choice.tokens, choice.training_flops))
    best = forecast.best(goal.flops, level) if goal.flops is not None and not goal.inference_tokens else None
    if best is not None:
        params, tokens, flops = best.params, best.tokens, best.flops
    if not (math.isfinite(params) and math.isfinite(flops) and params > 0 and tokens > 0):
        told = goal.loss is None or base.floor.low is None or goal.loss < base.floor.low
        near = _floor_is_near(goal, base.floor, level)
        return replace(base, reachable=False if told else None, findings=() if told else near)
    beyond = math.log10(flops / float(np.max(6.0 * rows.params * rows.tokens)))
    far = _too_far(beyond, force)
    law_loss = float(choice.loss[0])
    prediction = forecast.predict(params, tokens, level)
    low, high = band(fit.theta, law_loss, goal.inference_tokens, share)
    ends = tokens_for_loss(np.repeat(fit.theta[None], 2, axis=0), np.array([low, high]), np.full(2, law_loss))
    ends_of_band = (low, float(ends[0])), (high, float(ends[1]))
    spent = None if best is None else forecast.band(best.flops, share)
    if spent is not None:
        ends_of_band = (spent[0], flops / 6 / spent[0]), (spent[1], flops / 6 / spent[1])
    asked_loss = goal.loss is not None
    return replace(
        base,
        reachable=True,
        params=_ranged(fit, rows, goal, lambda c: c.params, params, level) if best is None else _of(best, "params"),
        tokens=_ranged(fit, rows, goal, lambda c: c.tokens, tokens, level) if best is None else _of(best, "tokens"),
        flops=_ranged(fit, rows, goal, lambda c: c.training_flops, flops, level),
        inference_flops=float(choice.inference_flops[0]) if goal.inference_tokens else None,
        law_loss=law_loss,
        expected_loss=Ranged(float(prediction.loss[0]), float(prediction.low[0]), float(prediction.high[0])),
        method=prediction.method,
        band=ends_of_band,
        least_params=float(least_params(fit.theta[None], np.array([law_loss]))[0]) if asked_loss else None,
        least_tokens=_least_tokens(fit.theta, law_loss) if asked_loss else None,
        decades_beyond=beyond,
        # They ask for the best N of a training budget, which is another question where serving counts.
        estimators=() if goal.inference_tokens else compare_estimators(fit, rows, flops),
        conventions=()
        if goal.inference_tokens or counts is None or len(counts) < 2
        else compare_conventions(counts, flops),
        findings=(*far, *_floor_is_near(goal, base.floor, level)),
    )


def _ranged(
    fit: Fit, rows: Observations, goal: Goal, part: Callable[[Choice], FloatArray], value: float, level: float
) -> Ranged:
    """The delta method, symmetric in the logarithm; without ends where a step makes the goal unreachable."""

    def function(theta: FloatArray) -> FloatArray:
        lanes = np.asarray(theta).reshape(-1, np.shape(theta)[-1])
        return part(decide(lanes, goal)).reshape(np.shape(theta)[:-1])

    with np.errstate(all="ignore"):
        found: Interval = delta_interval(fit, rows, function, level=level, log=True)
    whole = math.isfinite(found.low) and math.isfinite(found.high)
    return Ranged(value, found.low, found.high) if whole else Ranged(value, None, None)


def _of(best: Best, what: Literal["params", "tokens"]) -> Ranged:
    interval = best.params_interval if what == "params" else best.tokens_interval
    return Ranged(getattr(best, what), interval.low, interval.high)


def _least_tokens(theta: FloatArray, loss: float) -> float:
    return float(tokens_for_loss(theta[None], np.array([np.inf]), np.array([loss]))[0])


def _too_far(beyond: float, force: Sequence[str]) -> tuple[Finding, ...]:
    if beyond <= DECADES_WARN:
        return ()
    refuse = beyond > DECADES_REFUSE
    return (
        Finding(
            "extrapolation",
            "refuse" if refuse else "warn",
            f"The answer has {10**beyond:,.3g} times the largest measured compute (warn above {10**DECADES_WARN:.0f} "
            f"times, refuse above {10**DECADES_REFUSE:,.0f}).",
            "Measure losses nearer to the goal (`python -m scaling.plan next=...` names them), or overrule this with "
            "force=[extrapolation].",
            "17 public sets of losses, of which none reaches farther: docs/laws.md",
            forced=refuse and "extrapolation" in force,
        ),
    )


def _floor_is_near(goal: Goal, floor: Ranged, level: float) -> tuple[Finding, ...]:
    if goal.loss is None or floor.high is None or goal.loss > floor.high:
        return ()
    return (
        Finding(
            "floor",
            "warn",
            f"The loss of {goal.loss:.4g} lies within the {level:.0%} interval of the floor, {floor.low:.4g} to "
            f"{floor.high:.4g}: it may be out of reach of any model.",
            "Add points of lower loss, which tell the floor better.",
            "delta method on the fitted law",
        ),
    )


def goal_of(options: RecommendOptions, flops_per_second: float | None) -> Goal:
    """Raises ValueError: an impossible value, or hours without a speed."""
    flops, loss = options.flops, options.loss
    if options.gpu_hours is not None:
        if flops_per_second is None:
            raise ValueError("gpu_hours needs a speed here: give flops_per_second, for example 2e14 for half an H100")
        flops = options.gpu_hours * SECONDS_PER_HOUR * flops_per_second
    if options.perplexity is not None:
        loss = math.log(options.perplexity)
    return Goal(flops, options.params, options.tokens, loss, options.inference_tokens)


class SelectedForecast:
    """The selected average over forms of rows, tested on them; selected when first asked."""

    def __init__(self, rows: Observations) -> None:
        """Keep the rows, or of very many a sample."""
        self._rows = sample_rows(rows)

    @cached_property
    def _selected(self) -> Forecaster:
        return forecaster(self._rows)

    def along(self) -> Forecaster | None:
        """The forecast, None where the rows carry none."""
        try:
            return self._selected
        except ValueError:
            return None

    def predict(self, params: float, tokens: float, level: float) -> Prediction:
        """The loss of a new run at (N, D)."""
        return self._selected.predict(points(params, tokens), level)

    def best(self, flops: float, level: float) -> Best | None:
        """N and D for a budget, None where no N is best."""
        return self._selected.best(flops, level)

    def band(self, flops: float, share: float) -> tuple[float, float] | None:
        """The least and the largest N that lose at most a share of a budget."""
        return self._selected.average.band(flops, share)
