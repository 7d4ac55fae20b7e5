"""The next points: greedily those that tell most of a quantity for each FLOP, and some that try the law's form."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from scaling.laws.design import Belief, Knowledge, Linear, knowledge, linear, weak_prior
from scaling.laws.forms import CROSS
from scaling.laws.observations import FloatArray, IntArray, points
from scaling.laws.quantities import quantity
from scaling.planning.candidates import Room, Site, sites, token_choices
from scaling.planning.config import SizeConfig
from scaling.planning.power import numbered
from scaling.specs import Plan, PlannedPoint

Purpose = Literal["answer", "form"]
FORM_SHARE = 0.2  # of the FLOPs, for points that try the form
MAX_POINTS = 24
WORTH = 0.002  # a point that lowers the sd by less than this share is not proposed


@dataclass(frozen=True)
class Proposal:
    """One point to add. `flops` is what it computes beyond what is there.

    `sd_after` is that of the quantity with it; for a point that tries the form, that of the form's deviation.
    """

    size: SizeConfig
    new_size: bool
    params: int
    tokens: int
    flops: float
    purpose: Purpose
    sd_after: float


@dataclass(frozen=True)
class Proposals:
    """Points to add, in the order in which they were found. `sd_before` is infinite where nothing can be told yet."""

    quantity: str
    target_flops: float
    sd_before: float
    sd_after: float
    points: tuple[Proposal, ...]

    @property
    def flops(self) -> float:
        return sum(point.flops for point in self.points)


class _Search:
    """Everything known so far and every candidate, in the coordinates of one linearised law."""

    def __init__(self, belief: Belief, known: list[PlannedPoint], pool: list[tuple[int, int]], there: list[Site]):
        names = [point.run_id for point in known]
        self.there, self.pool = list(there), list(pool)
        N = [float(p.params) for p in known] + [float(there[s].params) for s, _ in pool]
        D = [float(p.tokens) for p in known] + [float(t) for _, t in pool]
        C = [float(p.flops) for p in known] + [float(t * there[s].flops_per_token) for s, t in pool]
        self.local: Linear = linear(belief.law, belief.theta, points(N, D, C))
        self.slopes: FloatArray = self.local.slopes[len(known) :]
        numbers = numbered(names)
        prior = weak_prior(belief.law)
        self.known: Knowledge = knowledge(self.local.slopes[: len(known)], numbers, belief.noise, prior=prior)
        by_name = dict(zip(names, numbers.tolist(), strict=True))
        self.trajectory = {
            s: by_name[site.run.id] for s, site in enumerate(there) if site.run.branching and site.run.id in by_name
        }
        self.open = np.ones(len(pool), dtype=np.bool_)
        self.costs = np.array([there[s].cost(t) for s, t in pool])

    def trajectories(self) -> IntArray:
        return np.array([self.trajectory.get(s, -1) for s, _ in self.pool], dtype=np.int64)

    def add(self, i: int) -> None:
        s, tokens = self.pool[i]
        number = self.trajectory.get(s, -1)
        if number < 0 and self.there[s].run.branching:
            self.trajectory[s] = len(self.known.sums)
        self.known = self.known.plus(self.slopes[i], number)
        self.there[s] = self.there[s].with_budget(tokens)
        self.open[i] = False
        for j, (other, t) in enumerate(self.pool):
            if other == s and self.open[j]:
                self.costs[j] = self.there[s].cost(t)

    def sd(self, slope: FloatArray) -> float:
        """Without the prior that guides the search."""
        return replace(self.known, prior=np.zeros_like(self.known.prior)).sd(slope)


def propose(
    plan: Plan,
    room: Room,
    belief: Belief,
    known: list[PlannedPoint],
    *,
    name: str = "ln N_opt",
    target: float,
    max_flops: float | None = None,
    until_sd: float = 0.0,
    max_point_flops: float,
    form_share: float = FORM_SHARE,
) -> Proposals:
    """Points for a quantity until its standard deviation is `until_sd`, or `max_flops` are spent.

    `known` are the points that will be fitted anyway; a candidate costs at most `max_point_flops` as a point. Each
    step takes the candidate with the largest fall of the log variance for its cost; a point is counted at no less
    than a share of the budget, so that the answer is not a crowd of tiny runs.
    """
    there = sites(plan, room, max_point_flops)
    pool = [(s, t) for s, site in enumerate(there) for t in token_choices(site, plan, room, max_point_flops)]
    asked = quantity(name, belief.law, target)
    search = _Search(belief, known, pool, there)
    slope = search.local.slope(asked.function)
    before = search.sd(slope)
    if not pool:
        return Proposals(name, target, before, before, ())
    budget = plan.total_flops if max_flops is None else max_flops
    form = form_share * budget if max_flops is not None else 0.0
    chosen = _greedy(search, slope, budget - form, budget / MAX_POINTS, until_sd, "answer", max_flops is None)
    if form:
        chosen += _form_points(search, belief, known, form, budget / MAX_POINTS)
    return Proposals(name, target, before, search.sd(slope), tuple(chosen))


def _greedy(
    search: _Search, slope: FloatArray, flops: float, least: float, until_sd: float, purpose: Purpose, unbounded: bool
) -> list[Proposal]:
    chosen: list[Proposal] = []
    spent = 0.0
    while len(chosen) < MAX_POINTS and search.sd(slope) > until_sd:
        affordable = search.open & (unbounded | (np.maximum(search.costs, least) <= (flops - spent) * 1.0001))
        if not affordable.any():
            break
        now = float(slope @ _covariance(search.known) @ slope)
        after = search.known.variances_with(search.slopes, search.trajectories(), slope)
        gain = np.where(affordable, np.log(now / np.maximum(after, 1e-300)) / np.maximum(search.costs, least), -np.inf)
        best = int(np.argmax(gain))
        if gain[best] * max(float(search.costs[best]), least) < 2 * WORTH:
            break
        s, tokens = search.pool[best]
        site, cost = search.there[s], float(search.costs[best])
        search.add(best)
        spent += max(cost, least) if not unbounded else cost
        chosen.append(Proposal(site.size, not site.budgets, site.params, tokens, cost, purpose, search.sd(slope)))
    return chosen


def _covariance(known: Knowledge) -> FloatArray:
    covariance = known.covariance()
    assert covariance is not None, "the prior of the search makes everything known"
    return covariance


def _form_points(
    search: _Search, belief: Belief, known: list[PlannedPoint], flops: float, least: float
) -> list[Proposal]:
    """Points that tell most of gamma in B N^gamma / D^beta, which the additive law holds to be zero."""
    value = dict(zip(belief.law.parameter_names, belief.theta.tolist(), strict=True)) | {"gamma": 0.0}
    wider = Belief(CROSS, np.array([value[name] for name in CROSS.parameter_names]), belief.noise, belief.source)
    trial = _Search(wider, known, search.pool, search.there)
    for i in np.flatnonzero(~search.open):
        trial.add(int(i))
    at = CROSS.parameter_names.index("gamma")
    return _greedy(trial, trial.local.slope(lambda theta: np.asarray(theta[..., at])), flops, least, 0.0, "form", False)
