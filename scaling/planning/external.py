"""A grid of somebody else's trainer: its sizes with the N and FLOPs that were described, the numbers it is told."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from scaling.model.config import ModelConfig
from scaling.model.external import ExternalModel, Scalar
from scaling.planning.config import GridConfig, RecipeConfig, SizeConfig
from scaling.specs import DivergenceRule, Evaluations, Optimizer, RunSpec
from scaling.trainers.config import TrainerConfig
from scaling.trainers.expressions import ExpressionError, home, value_of
from scaling.trainers.program import Program
from scaling.values import shown

ALL = "all"
NO_CORPUS = "the program's own"
MOST_READ = 1_000_000  # bytes of a script

Described = Mapping[str, Mapping[str, float]]  # by size: what a program said of itself


def external_model(size: SizeConfig, trainer: TrainerConfig, recipe: RecipeConfig, described: Described) -> ModelConfig:
    """Raises ValueError, naming the size: nobody has said its N, or what was said is no number."""
    names: dict[str, Any] = {"size": {**size.keys, "name": size.name}, "recipe": _numbers(recipe), "gpus": trainer.gpus}
    said: dict[str, Any] = dict(described.get(size.name, {}))
    try:
        if isinstance(trainer.describe, dict):
            for name in sorted(trainer.describe, key=lambda name: name != "params"):
                said[name] = value_of(trainer.describe[name], {**names, **said})
        multiples = {
            name: _whole(name, value_of(value, {**names, **said})) for name, value in trainer.multiples.items()
        }
        if "params" not in said:
            raise ValueError(
                "its N is not known yet: trainer.describe asks the program itself, which the sweep and its dry run do"
            )
        counts = {name: _whole(name, value) for name, value in said.items()}
        external = ExternalModel(
            size=dict(size.keys),
            params=counts["params"],
            flops_per_token=counts.get("flops_per_token", 6 * counts["params"]),
            non_embedding_params=counts.get("non_embedding_params"),
            steps_multiple=multiples.get("steps", 1),
        )
    except ValueError as error:
        raise ValueError(f"size {size.name}: {error}") from None
    return ModelConfig(
        num_layers=1,
        d_model=1,
        num_heads=1,
        vocab_size=1,
        context=multiples.get("batch_tokens", 1),
        d_ff=1,
        positions="learned",
        external=external,
    )


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < 1e36:
        raise ExpressionError(f"{name} is {shown(value)}; it must be a whole number of at least 1")
    return round(value)


def _numbers(recipe: RecipeConfig) -> dict[str, Scalar]:
    known = {f.name: getattr(recipe, f.name) for f in fields(recipe) if f.name != "keys"}
    return {**{name: value for name, value in known.items() if value is not None}, **recipe.keys}


def program_of(trainer: TrainerConfig, recipe: RecipeConfig) -> Program:
    """What of a trainer and a recipe decides the numbers of its runs."""
    named = {name.removeprefix("recipe.") for name in trainer.names_used() if name.startswith("recipe.")}
    known = _numbers(recipe)
    told = {name: value for name, value in known.items() if name in named or name in recipe.keys}
    if missing := sorted(named - known.keys()):
        raise ValueError(
            f"trainer names recipe.{missing[0]}, which the recipe has not: give recipe.{missing[0]} a value; it has "
            f"{', '.join(sorted(known))}"
        )
    command = tuple(map(str, trainer.command or ("call", trainer.call)))
    env = {name: str(value) for name, value in trainer.env.items()}
    return Program(command, env, dict(trainer.files), told, trainer.unit)


def as_told(recipe: RecipeConfig, trainer: TrainerConfig) -> RecipeConfig:
    """The recipe with a schedule of the program's own, and a warmup only where it hears of one."""
    recipe = replace(recipe, schedule="own", final_lr_share=0.0)
    seen = names_seen(trainer)
    if seen is None or "warmup_steps" in seen:
        return recipe
    return replace(recipe, warmup_params_share=0.0, warmup_min_steps=0)


def as_external(run: RunSpec, trainer: TrainerConfig, recipe: RecipeConfig) -> RunSpec:
    """A run with the numbers alone that the program is told: what it never hears of enters no id."""
    seen = names_seen(trainer)
    optimizer = Optimizer(
        batch_tokens=run.optimizer.batch_tokens,
        matrix_lr=run.optimizer.matrix_lr if seen is None or "peak_lr" in seen else 0.0,
        embedding_lr=0.0, vector_lr=0.0, beta1=0.0, beta2=0.0, epsilon=0.0, weight_decay=0.0, grad_clip=0.0,
    )  # fmt: skip
    cooldown = recipe.cooldown_share if seen is None or "cooldown_steps" in seen else 0.0
    return replace(
        run,
        optimizer=optimizer,
        schedule=replace(run.schedule, cooldown_share=cooldown),
        divergence=DivergenceRule(),
        evaluations=Evaluations(),
        program=program_of(trainer, recipe),
    )


def names_seen(trainer: TrainerConfig) -> set[str] | None:
    """The names that reach the program, by its command and by its environment; None for every one.

    A file that the command names and that speaks of scaling_point or SCALING_POINT may take all; one that speaks of
    SCALING_DEPTH takes that.
    """
    if trainer.call is not None or ALL in trainer.uses:
        return None
    seen = trainer.names_used() | set(trainer.uses)
    for text in _scripts(trainer):
        if re.search(r"\bscaling_point\b|\bSCALING_POINT\b", text):
            return None
        seen |= {word.lower() for word in re.findall(r"\bSCALING_(\w+)\b", text)}
    return seen


def _scripts(trainer: TrainerConfig) -> Iterable[str]:
    where = Path(home(trainer.cwd)) if "{" not in trainer.cwd else Path.cwd()
    command = [str(part) for part in trainer.command or ()]
    named = [home(part) for part in command if "{" not in part]
    named += [f"{part.replace('.', '/')}.py" for at, part in enumerate(command) if at and command[at - 1] == "-m"]
    named += [home(options.source) for options in trainer.files.values() if options.source]
    yield from command
    for part in named:
        path = where / part
        try:
            if path.is_file() and path.stat().st_size <= MOST_READ:
                yield path.read_text(errors="replace")
        except (OSError, ValueError):
            continue


def require_used(trainer: TrainerConfig, grid: GridConfig, runs: Iterable[RunSpec]) -> None:
    """Raise ValueError where two runs would be one run twice: they differ in what the program never hears of."""
    seen = names_seen(trainer)
    if seen is None:
        return
    remedy = (
        "put it into the command, as in --{0}={{{1}}}, let the program read SCALING_{2}, or say trainer.uses=[{1}] "
        "where it does so unseen"
    )
    runs = list(runs)
    varying = [
        (f"grid.sizes has {key}", f"size.{key}", key)
        for key in sorted({key for size in grid.sizes for key in size.keys})
        if len({str(size.keys.get(key)) for size in grid.sizes}) > 1 and not {f"size.{key}", key.lower()} & seen
    ]
    by_size: dict[tuple[str, int], set[int]] = {}
    for run in runs:
        by_size.setdefault((run.size, run.init_seed), set()).add(run.budgets[-1])
    if any(len(budgets) > 1 for budgets in by_size.values()) and not {"tokens", "steps", "flops", "seconds"} & seen:
        varying.append(("the grid has several budgets", "steps", "steps"))
    if len({run.init_seed for run in runs}) > 1 and "seed" not in seen:
        varying.append(("grid.replicates has other seeds", "seed", "seed"))
    if len({run.optimizer.batch_tokens for run in runs}) > 1 and not {"batch_tokens", "steps"} & seen:
        varying.append(("the batch grows with N", "batch_tokens", "batch_tokens"))
    if varying:
        what, name, word = varying[0]
        raise ValueError(
            f"{what}, and nothing of the trainer uses it, so that two points would be one run twice: "
            + remedy.format(word.replace("_", "-"), name, word.upper())
        )


def require_trainable(grid: GridConfig, trainer: TrainerConfig, convention: str) -> None:
    """Raise ValueError for what is of our own decoders alone."""
    if grid.kind == "epochs" or grid.unique_tokens or grid.vocab_sizes:
        raise ValueError(
            "trainer is another program, whose text this one does not know: grid.kind=epochs, grid.unique_tokens and "
            "grid.vocab_sizes are not for it"
        )
    inner = isinstance(trainer.describe, dict) and "non_embedding_params" not in trainer.describe
    if convention in ("non_embedding", "kaplan") and inner:
        raise ValueError(
            f"fit.convention is {convention} and trainer.describe gives no non_embedding_params: give it, or take "
            "fit.convention=total"
        )


SHAPE = {"num_layers": 1, "d_model": 1, "num_heads": 1}  # stands in for what only our decoders have
OF_A_SIZE = frozenset(f.name for f in fields(SizeConfig)) - {*SHAPE, "num_kv_heads"}
OF_A_RECIPE = frozenset(f.name for f in fields(RecipeConfig))


def with_own_keys(plain: dict[str, Any]) -> dict[str, Any]:
    """A config whose sizes and recipe have keys of a trainer's own, as the schemas have it: those lie under `keys`."""
    trainer = plain.get("trainer")
    if not isinstance(trainer, Mapping):
        return plain
    made = dict(plain)
    if isinstance(files := trainer.get("files"), Mapping):
        made["trainer"] = {**trainer, "files": {name: _with_source(options) for name, options in files.items()}}
    if isinstance(recipe := plain.get("recipe"), Mapping):
        made["recipe"] = _apart(recipe, OF_A_RECIPE)
    if isinstance(grid := plain.get("grid"), Mapping) and isinstance(grid.get("sizes"), list | tuple):
        sizes = [{**SHAPE, **_apart(size, OF_A_SIZE)} if isinstance(size, Mapping) else size for size in grid["sizes"]]
        made["grid"] = {**grid, "sizes": sizes}
    return made


def _with_source(options: Any) -> Any:
    if not isinstance(options, Mapping):
        return options
    return {("source" if key == "from" else key): value for key, value in options.items()}


def _apart(plain: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    if "keys" in plain:  # as a study's own file has it
        return dict(plain)
    own = {str(key): value for key, value in plain.items() if key not in known}
    return {**{str(key): value for key, value in plain.items() if key in known}, "keys": own}
