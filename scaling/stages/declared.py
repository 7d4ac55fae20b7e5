"""The best of the sizes that a study of somebody else's trainer declares: nobody can make up a shape of theirs."""

import math
import shlex
from dataclasses import replace

from scaling.config import StudyConfig
from scaling.decisions import Recommendation
from scaling.specs import Plan
from scaling.stages.study import plan_study
from scaling.trainers.expressions import fill, home
from scaling.trainers.names import point_names


def command_of_the_best(config: StudyConfig, plan: Plan, answer: Recommendation) -> tuple[str, str]:
    """The size nearest to what is best, on the tokens that the goal leaves it, in words; and the program's command for
    it."""
    trainer = config.trainer
    assert trainer is not None
    assert answer.params is not None
    assert answer.tokens is not None
    best = answer.params.value
    size = min({p.size: p.params for p in plan.points}.items(), key=lambda item: abs(math.log(item[1] / best)))
    flops_per_token = next(p.flops / p.tokens for p in plan.points if p.size == size[0])
    tokens = answer.tokens.value
    if answer.goal.flops is not None:
        tokens = answer.goal.flops / flops_per_token
    (own,) = (one for one in config.grid.sizes if one.name == size[0])
    alone = replace(own, budgets=(tokens,), held_out=())
    grid = replace(config.grid, kind="tokens", sizes=(alone,), replicates=(), max_flops=None, holdout_share=0.0)
    (run,) = plan_study(replace(config, grid=grid)).runs
    out = config.folder / "recommend" / run.id
    names = point_names(run, gpus=trainer.gpus, out=out)
    if trainer.command is None:
        command = f"{trainer.call} at point.json of {run.id}"
    else:
        command = shlex.join(home(fill(part, names)) for part in trainer.command)
    factor = size[1] / best
    near = f"The declared size nearest to it is {size[0]}, {size[1]:,} parameters ({factor:.2g} times the best), on "
    words = f"{near}{names['tokens']:,} tokens in {names['steps']:,} steps."
    if not 0.5 <= factor <= 2.0:
        words += " Declare sizes nearer to the best before you spend much on it."
    return words, command
