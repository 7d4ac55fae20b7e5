"""The names of a point, for `{...}`, for the program's environment and for its point.json."""

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaling.model.counting import count_parameters, count_training_flops
from scaling.specs import RunSpec
from scaling.trainers.expressions import home

ON_PATH = Path(__file__).parent / "on_path"  # one file of the standard library, alone
POINT_FILE, POINT_LOG = "point.json", "point.jsonl"

# Ours, of torchrun's or of the cluster: they would turn the program into a part of something else.
_NOT_OURS = re.compile(
    r"(LOCAL_|GROUP_|ROLE_)?(RANK|WORLD_SIZE|LOCAL_WORLD_SIZE|NAME)|MASTER_(ADDR|PORT)|NODE_RANK|ROLE_\w+|"
    r"(TORCHELASTIC|TORCH_NCCL|SLURM|SLURMD|SBATCH|SRUN|SALLOC|PMI|PMIX|PMI2|OMPI|PRTE|PALS|HYDI|SCALING)_\w+"
)


def point_names(spec: RunSpec, *, gpus: int, out: Path) -> dict[str, Any]:
    """Numbers of a run's last budget. A size's own keys are size.*, those of the recipe recipe.*."""
    external, program = spec.model.external, spec.program
    assert external is not None
    assert program is not None
    tokens = spec.budgets[-1]
    steps = spec.steps(tokens)
    flops_per_token = count_training_flops(spec.model).total
    return {
        "size": {**external.size, "name": spec.size},
        "recipe": dict(program.recipe),
        "id": f"{spec.id}-{tokens}",
        "out": str(out),
        "seed": spec.init_seed,
        "gpus": gpus,
        "params": count_parameters(spec.model).total,
        "tokens": tokens,
        "steps": steps,
        "batch_tokens": spec.optimizer.batch_tokens,
        "warmup_steps": spec.schedule.warmup_steps,
        "cooldown_steps": math.ceil(spec.schedule.cooldown_share * steps),
        "flops": tokens * flops_per_token,
        "flops_per_token": flops_per_token,
        "peak_lr": spec.optimizer.matrix_lr,
    }


def variables(names: Mapping[str, Any]) -> dict[str, str]:
    """SCALING_DEPTH of size.depth, SCALING_RECIPE_X of recipe.x, SCALING_TOKENS and so on."""
    plain = {name: value for name, value in names.items() if not isinstance(value, Mapping)}
    mine = {f"RECIPE_{key}": value for key, value in names["recipe"].items()}
    sized = {("SIZE" if key == "name" else key): value for key, value in names["size"].items()}
    return {f"SCALING_{key.upper()}": str(value) for key, value in {**sized, **mine, **plain}.items()}


def environment(inherited: Mapping[str, str], own: Mapping[str, str], path: Path = ON_PATH) -> dict[str, str]:
    """Of the program: what this process has, without what would make it a part of another job, and `own`."""
    kept = {name: value for name, value in inherited.items() if not _NOT_OURS.fullmatch(name)}
    mine = {name: home(value) for name, value in own.items()}
    before = mine.get("PYTHONPATH", kept.get("PYTHONPATH"))
    return {**kept, **mine, "PYTHONPATH": os.pathsep.join([str(path), *([before] if before else [])])}
