"""The next points: greedily those that tell most of a quantity for each FLOP, and some that try the law's form.

In an isoFLOP study they are points of its profiles, which are kept centred on the way (`planning.profiles`).
"""

from collections.abc import Sequence
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
from scaling.planning.profiles import Member, Profile, profiles
from scaling.specs import Plan, PlannedPoint

Purpose = Literal["answer", "centre", "form"]
FORM_SHARE = 0.2  # of the FLOPs, for points that try the form
CENTRE_SHARE = 0.4  # of the FLOPs at most, for points that bring profiles back to their best N
MAX_POINTS = 24
WORTH = 0.002  # a point that lowers the sd by less than this share is not proposed


@dataclass(frozen=True)
class Proposal:
    """One point to add. `flops` is what it computes beyond what is there; `nominal_flops` its isoFLOP budget, if any.

    `sd_after` is that of the quantity with it; for a point that tries the form, that of the form's deviation.
    """

    size: SizeConfig
    new_size: bool
    params: int
    tokens: int
    flops: float
    purpose: Purpose
    sd_after: float
    nominal_flops: float | None = None


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


@dataclass(frozen=True)
class Candidate:
    """A point that could be added: the site's place in the list, its tokens, its isoFLOP budget if it has one."""

    site: int
    tokens: int
    nominal_flops: float | None = None


class _Search:
    """Everything known so far and every candidate, in the coordinates of one linearised law.

    `open` candidates may be added one by one; those of a new profile only once it is there.
    """

    def __init__(
        self, belief: Belief, known: list[PlannedPoint], pool: Sequence[Candidate], there: Sequence[Site]
    ) -> None:
        names = [point.run_id for point in known]
        self.there, self.pool = list(there), list(pool)
        N = [float(p.params) for p in known] + [float(there[c.site].params) for c in pool]
        D = [float(p.tokens) for p in known] + [float(c.tokens) for c in pool]
        C = [float(p.flops) for p in known] + [float(c.tokens * there[c.site].flops_per_token) for c in pool]
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
        self.added: list[int] = []
        self.costs = np.array([there[c.site].cost(c.tokens) for c in pool])

    def trajectories(self) -> IntArray:
        return np.array([self.trajectory.get(c.site, -1) for c in self.pool], dtype=np.int64)

    def add(self, i: int) -> None:
        s, tokens = self.pool[i].site, self.pool[i].tokens
        number = self.trajectory.get(s, -1)
        if number < 0 and self.there[s].run.branching:
            self.trajectory[s] = len(self.known.sums)
        self.known = self.known.plus(self.slopes[i], number)
        self.there[s] = self.there[s].with_budget(tokens)
        self.open[i] = False
        self.added.append(i)
        for j, other in enumerate(self.pool):
            if other.site == s and j not in self.added:
                self.costs[j] = self.there[s].cost(other.tokens)

    def with_all(self, members: Sequence[int]) -> Knowledge:
        """What is known with several candidates, each of another site."""
        known = self.known
        for i in members:
            known = known.plus(self.slopes[i], self.trajectory.get(self.pool[i].site, -1))
        return known

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
    than a share of the budget, so that the answer is not a crowd of tiny runs. With `max_flops` the profiles of an
    isoFLOP study are centred first.
    """
    there = sites(plan, room, max_point_flops)
    grown = profiles(plan, there, room, belief, max_point_flops) if room.grid.kind == "isoflop" else []
    if grown:
        members = list(dict.fromkeys((profile.budget, m) for profile in grown for m in _all_members(profile)))
        pool = [Candidate(m.site, m.tokens, budget) for budget, m in members]
    else:
        pool = [
            Candidate(s, t) for s, site in enumerate(there) for t in token_choices(site, plan, room, max_point_flops)
        ]
    asked = quantity(name, belief.law, target)
    search = _Search(belief, known, pool, there)
    slope = search.local.slope(asked.function)
    before = search.sd(slope)
    if not pool:
        return Proposals(name, target, before, before, ())
    budget = plan.total_flops if max_flops is None else max_flops
    greedy = _Greedy(search, slope, least=budget / MAX_POINTS)
    if grown:
        place = {(c.nominal_flops, c.site): i for i, c in enumerate(pool)}
        greedy.profiles = [[place[p.budget, m.site] for m in p.opening] for p in grown if p.opening]
        allowed = {place[p.budget, m.site] for p in grown if not p.opening for m in p.inside}
        search.open = np.array([i in allowed for i in range(len(pool))])
        if max_flops is not None:
            mirrors = [place[p.budget, p.mirror.site] for p in reversed(grown) if p.mirror is not None]
            greedy.centre(mirrors, CENTRE_SHARE * max_flops)
    form = form_share * budget if max_flops is not None else 0.0
    greedy.run(None if max_flops is None else budget - form - greedy.spent, until_sd, "answer")
    chosen = greedy.chosen
    if form:
        chosen += _form_points(search, belief, known, form, budget / MAX_POINTS)
    return Proposals(name, target, before, search.sd(slope), tuple(chosen))


def _all_members(profile: Profile) -> tuple[Member, ...]:
    return (*profile.inside, *(() if profile.mirror is None else (profile.mirror,)))


class _Greedy:
    """Takes the best point, or the best new profile, one after the other. No point counts for less than `least`."""

    def __init__(self, search: _Search, slope: FloatArray, *, least: float) -> None:
        self.search, self.slope, self.least = search, slope, least
        self.profiles: list[list[int]] = []
        self.chosen: list[Proposal] = []
        self.spent = 0.0

    def centre(self, mirrors: Sequence[int], flops: float) -> None:
        """Points that bring profiles back to their best N, those of most compute first."""
        for i in mirrors:
            if self.spent + self._counted(i) <= flops:
                self._take(i, "centre")

    def run(self, flops: float | None, until_sd: float, purpose: Purpose) -> None:
        """Until the quantity is known so well, or the FLOPs (None: any) are spent, or no point is worth its own."""
        search, limit = self.search, np.inf if flops is None else self.spent + flops * 1.0001
        while len(self.chosen) < MAX_POINTS and search.sd(self.slope) > until_sd:
            now = float(self.slope @ _covariance(search.known) @ self.slope)
            after = search.known.variances_with(search.slopes, search.trajectories(), self.slope)
            counted = np.maximum(search.costs, self.least)
            affordable = search.open & (self.spent + counted <= limit)
            gain = np.where(affordable, np.log(now / np.maximum(after, 1e-300)) / counted, -np.inf)
            best, taken = (float(gain.max()), [int(np.argmax(gain))]) if len(gain) else (-np.inf, [])
            for members in self.profiles:
                cost = sum(self._counted(i) for i in members)
                then = float(self.slope @ _covariance(search.with_all(members)) @ self.slope)
                if self.spent + cost <= limit and np.log(now / then) / cost > best:
                    best, taken = float(np.log(now / then) / cost), members
            if best * sum(self._counted(i) for i in taken) < 2 * WORTH * len(taken):
                break
            for i in taken:
                self._take(i, purpose)
            if taken in self.profiles:
                self._open(taken)

    def _open(self, members: list[int]) -> None:
        self.profiles.remove(members)
        budget = self.search.pool[members[0]].nominal_flops
        for i, candidate in enumerate(self.search.pool):
            if candidate.nominal_flops == budget and i not in self.search.added:
                self.search.open[i] = True

    def _counted(self, i: int) -> float:
        return max(float(self.search.costs[i]), self.least)

    def _take(self, i: int, purpose: Purpose) -> None:
        candidate, cost = self.search.pool[i], float(self.search.costs[i])
        site = self.search.there[candidate.site]
        self.spent += self._counted(i)
        self.search.add(i)
        self.chosen.append(
            Proposal(
                site.size, not site.budgets, site.params, candidate.tokens, cost, purpose, self.search.sd(self.slope),
                candidate.nominal_flops,
            )
        )  # fmt: skip


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
    for i in search.added:
        trial.add(i)
    trial.open = search.open.copy()
    at = CROSS.parameter_names.index("gamma")
    greedy = _Greedy(trial, trial.local.slope(lambda theta: np.asarray(theta[..., at])), least=least)
    greedy.run(flops, 0.0, "form")
    return greedy.chosen
