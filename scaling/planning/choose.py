"""From the N and D that a law holds best to a decoder that can be trained, its FLOPs counted and not estimated."""

import math
from dataclasses import dataclass

import numpy as np

from scaling.laws.decide import Goal, loss_at, tokens_for_loss
from scaling.laws.observations import FloatArray
from scaling.model.counting import TRAINING_OVER_FORWARD, count_parameters
from scaling.planning.candidates import Room, Site, make_site
from scaling.planning.config import SizeConfig
from scaling.planning.shapes import shape_near

AROUND = np.geomspace(0.2, 3.0, 61)  # of N*: where a counted FLOP differs most from 6 N D, at small sizes
NEAREST = 3.0  # sizes of the study within this factor of N* are tried too


@dataclass(frozen=True)
class Chosen:
    """A shape with whole batches of tokens. `flops` are counted, `law_loss` is what the law gives it."""

    site: Site
    new: bool
    params: int
    non_embedding: int
    tokens: int
    flops: float
    law_loss: float


def choose_shape(
    room: Room, theta: FloatArray, goal: Goal, params: float, tokens: float, band: tuple[float, float]
) -> Chosen:
    """The best of the regular shapes around N* and of the study's own sizes, within the band of N where any lies there.

    For a budget that is the one of least loss; for a loss the one with the fewest FLOPs, serving included; for a given
    N or D the nearest to N*. Raises ValueError where no shape of these options can be trained on so few tokens.
    """
    own = [make_site(size, room) for size in room.grid.sizes]
    near = [site for site in own if abs(math.log(site.params / params)) < math.log(NEAREST)]
    names = {size.name for size in room.grid.sizes}
    shapes = {shape.name: shape for shape in (shape_near(params * factor) for factor in AROUND)}
    sites = near + [site for name, shape in shapes.items() if name not in names for site in _possible(shape, room)]
    scores = [(_score(site, theta, goal, params, tokens), site) for site in sites]
    good = [(score, site) for score, site in scores if math.isfinite(score)]
    if not good:
        raise ValueError(
            f"no decoder of these model options near {params:.3g} parameters can be trained on {tokens:.3g} tokens: "
            "ask for a larger budget, or lower recipe.batch_tokens and recipe.warmup_min_steps"
        )
    # The law that scores them is not the average whose best N is asked for: the band keeps the one to the other.
    within = [(score, site) for score, site in good if band[0] <= site.params <= band[1]]
    _, site = min(within or good, key=lambda item: item[0])
    whole = _whole(site, _tokens(site, theta, goal, tokens))
    return Chosen(
        site=site,
        new=site.size.name not in names,
        params=site.params,
        non_embedding=count_parameters(site.run.model).non_embedding,
        tokens=whole,
        flops=float(whole * site.flops_per_token),
        law_loss=_loss(theta, site, whole),
    )


def _possible(shape: SizeConfig, room: Room) -> list[Site]:
    try:
        return [make_site(shape, room)]
    except ValueError:
        return []


def _score(site: Site, theta: FloatArray, goal: Goal, params: float, tokens: float) -> float:
    wanted = _tokens(site, theta, goal, tokens)
    batch = site.run.optimizer.batch_tokens
    if not math.isfinite(wanted) or wanted / batch <= site.run.schedule.warmup_steps + 1:
        return math.inf
    whole = _whole(site, wanted)
    if goal.flops is not None:
        return _loss(theta, site, whole)
    if goal.loss is not None:
        return site.flops_per_token * (whole + goal.inference_tokens / TRAINING_OVER_FORWARD)
    return abs(math.log(site.params / params))


def _tokens(site: Site, theta: FloatArray, goal: Goal, tokens: float) -> float:
    if goal.flops is not None:
        return goal.flops / site.flops_per_token - goal.inference_tokens / TRAINING_OVER_FORWARD
    if goal.loss is not None:
        return float(tokens_for_loss(theta[None], np.array([float(site.params)]), np.array([goal.loss]))[0])
    return tokens


def _whole(site: Site, tokens: float) -> int:
    batch = site.run.optimizer.batch_tokens
    return max(1, round(tokens / batch)) * batch


def _loss(theta: FloatArray, site: Site, tokens: int) -> float:
    return float(loss_at(theta[None], np.array([float(site.params)]), np.array([float(tokens)]))[0])
