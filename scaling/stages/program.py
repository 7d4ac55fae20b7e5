"""What a study asks of somebody else's program before any point: its preparation, and what it says of its sizes."""

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scaling.config import ConfigError, StudyConfig
from scaling.folders import take
from scaling.planning.config import SizeConfig
from scaling.planning.corpus_facts import CorpusFacts
from scaling.planning.external import as_external, as_told, external_model
from scaling.planning.plan import make_runs
from scaling.records import LOG_FILE
from scaling.specs import RunSpec
from scaling.terminal import PlainConsole
from scaling.trainers.config import DESCRIBED, TrainerConfig
from scaling.trainers.expressions import ExpressionError, fill, home
from scaling.trainers.files import FileMismatch, content_of
from scaling.trainers.names import POINT_FILE, POINT_LOG, environment, point_names, variables
from scaling.trainers.places import PlaceError, check_place
from scaling.trainers.reading import last, lines_of, read_all
from scaling.training.external.child import CannotStart, Child, command_line
from scaling.training.external.together import PrepareFailed, prepare_once
from scaling.values import ValueMismatch, read_json, to_plain, write_json

SECONDS_TO_DESCRIBE = 600.0
SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class Said:
    """What a program said of one size."""

    numbers: dict[str, float]


def prepare_program(config: StudyConfig, trainer: TrainerConfig, console: PlainConsole) -> None:
    """Raises ConfigError where the program's own preparation fails."""
    if trainer.prepare not in (None, "alone"):
        console.print("prepare: by trainer.prepare, unless that was done")
    take(config.folder, "study", key="study", overwrite=config.overwrite)
    try:
        prepare_once(trainer, config.folder)
    except PrepareFailed as error:
        raise ConfigError(str(error)) from None


def require_our_decoders(config: StudyConfig, what: str) -> None:
    """Raise ConfigError for what makes up shapes, or steps, that only our own trainer has."""
    if config.trainer is not None:
        raise ConfigError(
            f"{what} is for the decoder that comes along, and the study has a trainer of its own: add sizes, budgets "
            "or settings to its grid and recipe instead, and sweep again, which trains what is new"
        )


def check_program(config: StudyConfig, plan_runs: tuple[RunSpec, ...]) -> None:
    """Raise ConfigError for words of the trainer that no point could be started with: seen before anything is."""
    trainer = config.trainer
    if trainer is None:
        return
    try:
        for name, place in trainer.read.items():
            check_place(name, place)
        for run in plan_runs:
            names = point_names(run, gpus=trainer.gpus, out=config.folder.absolute() / run.id / "out")
            for template in (*(trainer.command or ()), *trainer.env.values(), trainer.cwd, *trainer.remove):
                fill(template, names)
            for name, options in trainer.files.items():
                content_of(name, options, names)
            if not (where := Path(home(fill(trainer.cwd, names)))).is_dir() and "{" not in trainer.cwd:
                raise ConfigError(f"trainer.cwd is {where}, which is no folder: name the one where the program lives")
    except (PlaceError, ExpressionError, FileMismatch) as error:
        raise ConfigError(str(error)) from None
    except OSError as error:
        raise ConfigError(f"trainer.files: {error}") from None


def described(config: StudyConfig, trainer: TrainerConfig) -> dict[str, dict[str, float]]:
    """By size, what its program has said of it before."""
    if isinstance(trainer.describe, dict):
        return {}
    found = {}
    for size in config.grid.sizes:
        try:
            found[size.name] = read_json(Said, _said_path(config, trainer, size)).numbers
        except (FileNotFoundError, ValueMismatch):
            continue
    return found


def describe_sizes(config: StudyConfig, console: PlainConsole) -> None:
    """Ask the program of each size that it was not asked of yet; what it says stays in the cache. Raises
    ConfigError."""
    trainer = config.trainer
    if trainer is None or isinstance(trainer.describe, dict):
        return
    known = described(config, trainer)
    missing = [size for size in config.grid.sizes if size.name not in known]
    if missing:
        prepare_program(config, trainer, console)
    for size in missing:
        console.print(
            f"describe: {size.name}, by {'its first seconds' if trainer.describe == 'start' else 'a command'}"
        )
        try:
            said = _ask(config, trainer, size)
        except (ExpressionError, PlaceError, FileMismatch, CannotStart, OSError, ValueError) as error:
            raise ConfigError(f"size {size.name}: {error}") from None
        path = _said_path(config, trainer, size)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, Said(said))


def _said_path(config: StudyConfig, trainer: TrainerConfig, size: SizeConfig) -> Path:
    asked = repr((to_plain(size), to_plain(trainer), to_plain(config.recipe)))
    return config.cache_folder / "described" / f"{hashlib.sha256(asked.encode()).hexdigest()[:16]}.json"


def _ask(config: StudyConfig, trainer: TrainerConfig, size: SizeConfig) -> dict[str, float]:
    """Raises ValueError where it ends, or time does, without N."""
    # N is what is asked for: until it is known, one parameter stands in for it.
    model = external_model(size, trainer, config.recipe, {size.name: {"params": 1, "flops_per_token": 1}})
    recipe = as_told(config.recipe, trainer)
    budget = _stand_in_budget(config, size)
    batch = max(1, round(recipe.batch_tokens / model.context)) * model.context
    tokens = max(1, round(budget / batch)) * batch
    (spec,) = make_runs(
        size, model, replace(recipe, batch_exponent=0.0, warmup_min_steps=0, warmup_params_share=0.0),
        CorpusFacts("", 1, None, None), config.grid.seed, [tokens],
    )  # fmt: skip
    spec = as_external(spec, trainer, recipe)
    with TemporaryDirectory() as name:
        folder = Path(name)
        out = folder / "out"
        out.mkdir()
        names = point_names(spec, gpus=trainer.gpus, out=out)
        write_json(folder / POINT_FILE, names)
        for file, options in trainer.files.items():
            (out / file).parent.mkdir(parents=True, exist_ok=True)
            (out / file).write_text(content_of(file, options, names))
        own = {key: fill(value, names) for key, value in trainer.env.items()}
        ours = {"SCALING_POINT": str(folder / POINT_FILE), "SCALING_POINT_LOG": str(folder / POINT_LOG)}
        variables_ = {**variables(names), **ours, "PYTHONUNBUFFERED": "1", **own}
        command = trainer.command if trainer.describe == "start" else trainer.describe
        assert command is not None
        assert not isinstance(command, str | dict)
        child = Child(
            command_line([home(fill(part, names)) for part in command]),
            Path(home(fill(trainer.cwd, names))),
            environment(os.environ, variables_),
            folder,
            None,
        )
        code = None
        try:
            while True:
                code = child.ended(SECONDS_BETWEEN_LOOKS)
                lines = lines_of(folder / LOG_FILE)
                said = _numbers(read_all(trainer, lines, folder, names))
                if said is not None and _all_there(trainer, said, ended=code is not None):
                    return said
                if code is not None or child.seconds > SECONDS_TO_DESCRIBE:
                    words = next((line for line in reversed(lines) if line.strip()), "nothing")
                    raise ValueError(
                        f"its program {'runs on' if code is None else f'ended with exit code {code}'} and trainer.read "
                        f"has found no params; its last line: {words}"
                    )
        finally:
            if code is None:
                child.kill()
                child.ended(10.0)


def _all_there(trainer: TrainerConfig, said: dict[str, float], *, ended: bool) -> bool:
    wanted = [name for name in DESCRIBED if name in trainer.read]
    return ended or all(name in said for name in wanted)


def _numbers(found: Any) -> dict[str, float] | None:
    said = {name: value for name in DESCRIBED if (value := last(found, name)) is not None}
    return said if "params" in said else None


def _stand_in_budget(config: StudyConfig, size: SizeConfig) -> float:
    """Tokens to ask with: nothing is trained on them."""
    budgets = size.budgets or config.grid.budgets
    return max(budgets) if config.grid.kind == "tokens" else 1e9
