"""Profiles of equal compute that a study can grow by: each is centred on the best N that the law so far sees there.

The sizes of a budget were chosen before its losses were known. Once a law is fitted, an old profile that lies to one
side of its best N gets a size on the other, and a new budget comes as a whole profile about it: the middle of its sizes
is the best N that earlier budgets tell (Hoffmann et al. 2022, approach 2; off-centre and drifting grids put the best D
off by up to 35%: Open-Athena, scaling-law-analysis, 2026).
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaling.laws.design import Belief
from scaling.laws.isoflop import MIN_SIZES
from scaling.laws.observations import points
from scaling.planning.candidates import NEAR, Room, Site, token_limits
from scaling.specs import Plan

GROWTH = 2.0  # from the largest budget to the next new one
OFF_CENTRE = 1 / 3  # of half a width; the check `off_centre` warns from 0.6, on average or as a drift
LEAST_HALF_WIDTH = math.log(2.0)
LANES = 2001


@dataclass(frozen=True)
class Member:
    """A point of a profile: the site's place in the list, its tokens in whole batches."""

    site: int
    tokens: int
    log_params: float


@dataclass(frozen=True)
class Profile:
    """One nominal budget. `inside` are points that may be added within its width about the centre (log N).

    Of a profile that is there, `mirror` is the point that brings the middle of its sizes to the centre, where that is
    off; of a new one, `opening` are the points that it begins with.
    """

    budget: float
    centre: float
    inside: tuple[Member, ...]
    mirror: Member | None = None
    opening: tuple[Member, ...] = ()


def profiles(plan: Plan, there: Sequence[Site], room: Room, belief: Belief, max_flops: float) -> list[Profile]:
    """Those of an isoFLOP plan, and new ones up to `max_flops`."""
    planned: dict[float, set[float]] = defaultdict(set)
    for point in plan.points:
        if not point.replicate and point.nominal_flops is not None:
            planned[point.nominal_flops].add(math.log(point.params))
    half = max(LEAST_HALF_WIDTH, float(np.median([(max(x) - min(x)) / 2 for x in planned.values()])))
    count = max(MIN_SIZES, round(float(np.median([len(x) for x in planned.values()]))))
    made = []
    for budget, sizes in sorted(planned.items()):
        centre, members = _centre(there, belief, budget), _members(there, plan, room, budget)
        # As far as the farther end of what is there, whose reflection belongs to a centred profile.
        reach = max(half, centre - min(sizes), max(sizes) - centre)
        inside = tuple(member for member in members if abs(member.log_params - centre) <= reach)
        made.append(Profile(budget, centre, inside, mirror=_mirror(members, sorted(sizes), centre)))
    budget = GROWTH * max(planned)
    while budget <= max_flops * 1.0001:
        centre = _centre(there, belief, budget)
        members = _members(there, plan, room, budget)
        inside = tuple(member for member in members if abs(member.log_params - centre) <= half)
        opening = _spread(inside, (centre + half * np.linspace(-1, 1, count)).tolist())
        if len(opening) >= MIN_SIZES:
            made.append(Profile(budget, centre, inside, opening=opening))
        budget *= GROWTH
    return made


def _members(there: Sequence[Site], plan: Plan, room: Room, budget: float) -> list[Member]:
    """Points of this budget that are long enough, have text, and are not there."""
    found = []
    for s, site in enumerate(there):
        batch = site.run.optimizer.batch_tokens
        tokens = round(budget / site.flops_per_token / batch) * batch
        low, high = token_limits(site, plan, room)
        if low <= tokens <= high and tokens not in site.budgets:
            found.append(Member(s, tokens, math.log(site.params)))
    return found


def _centre(there: Sequence[Site], belief: Belief, budget: float) -> float:
    """Log of the N of least loss among decoders like these that cost this budget, FLOPs as they are counted."""
    log_params = np.log([site.params for site in there])
    # Shapes of about one N differ in what a token costs: a smooth curve, or the best N would jump with the shapes.
    cost = np.polynomial.Polynomial.fit(log_params, np.log([site.flops_per_token for site in there]), 2)
    at = np.linspace(log_params.min(), log_params.max(), LANES)
    tokens = budget / np.exp(cost(at))
    losses = belief.law.predict(belief.theta, points(np.exp(at), tokens))
    return float(at[int(np.argmin(losses))])


def _mirror(members: Sequence[Member], sizes: Sequence[float], centre: float) -> Member | None:
    """The nearest to the other end's reflection in the centre that lies beyond this end; None where it is centred."""
    low, high = sizes[0], sizes[-1]
    off = centre - (low + high) / 2
    if abs(off) <= OFF_CENTRE * max(high - low, 2 * LEAST_HALF_WIDTH) / 2:
        return None
    end, wanted = (high, 2 * centre - low) if off > 0 else (low, 2 * centre - high)
    beyond = [member for member in members if (member.log_params - end) * off > math.log(NEAR) * abs(off)]
    return min(beyond, key=lambda member: abs(member.log_params - wanted), default=None)


def _spread(members: Sequence[Member], wanted: Sequence[float]) -> tuple[Member, ...]:
    chosen: dict[int, Member] = {}
    for x in wanted:
        nearest = min(members, key=lambda member: abs(member.log_params - x), default=None)
        if nearest is not None:
            chosen[nearest.site] = nearest
    return tuple(chosen.values())
