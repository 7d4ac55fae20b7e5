"""The edge: what Hydra composed becomes frozen dataclasses, validated before anything runs or is written."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from scaling.analysis.config import AskOptions, FitOptions, TableOptions
from scaling.bounds import require_within
from scaling.config_folder import config_folder
from scaling.data.config import DataConfig
from scaling.keys import ANYWHERE, ONLY, reads, typed_keys
from scaling.launching.config import LaunchConfig
from scaling.names import nearest, nearest_path
from scaling.planning.config import GridConfig, ModelOptions, RecipeConfig, TimeModel
from scaling.planning.external import require_no_trainer, require_trainable, with_own_keys
from scaling.planning.power import PowerConfig
from scaling.sinks.config import require_known as require_known_sinks
from scaling.specs import Plan, read_plan
from scaling.trainers.config import TrainerConfig
from scaling.training.config import Runtime
from scaling.tuning.config import TuneOptions
from scaling.values import (
    ValueMismatch,
    from_file,
    from_plain,
    read_plain,
    require_name,
    shown,
    to_plain,
)

if TYPE_CHECKING:
    from scaling.analysis.compare import CompareOptions
    from scaling.analysis.recommend import RecommendOptions

T = TypeVar("T")
Forcing = TypeVar("Forcing", "CompareOptions", "RecommendOptions")

PLAN_FILE, CONFIG_FILE = "plan.json", "config.json"
OF_ONE_COMMAND = (
    "columns",
    *("dry_run", "json", "debug", "point", "next", "flops", "until", "max_flops", "overwrite"),
    *("gpu_hours", "gpus", "sizes"),
)


class ConfigError(ValueError):
    """A config that cannot be run; the message gives the value, the constraint and the remedy."""


@dataclass(frozen=True)
class StudyConfig:
    """A study from question to report: the root of `configs/sweep.yaml`."""

    study: str
    question: str | None
    runs: str
    cache: str
    data: DataConfig
    model: ModelOptions
    recipe: RecipeConfig
    grid: GridConfig
    runtime: Runtime
    time_model: TimeModel
    power: PowerConfig
    launch: LaunchConfig
    fit: FitOptions
    dry_run: bool = False
    columns: Literal["all"] | None = None
    json: bool = False
    debug: bool = False
    point: int | None = None
    force: tuple[str, ...] = ()
    run: str | None = None
    fail_fast: bool = False
    retry: int = 1
    calibrate: bool = False
    next: str | None = None
    flops: float | None = None
    until: str | None = None
    max_flops: float | None = None
    gpu_hours: float | None = None
    gpus: int = 1
    sizes: tuple[float, float] | None = None
    sinks: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()
    overwrite: bool = False
    trainer: TrainerConfig | None = None

    def __post_init__(self) -> None:
        require_name("study", self.study)
        if not all(letter.isalnum() or letter in "_-." for letter in self.study):
            raise ValueError(f"study is {shown(self.study)}; it names a folder: use letters, digits, '_', '-' and '.'")
        require_known_sinks(self.sinks)
        context, batch = self.model.context, self.recipe.batch_tokens
        if self.trainer is not None:
            require_trainable(self.grid, self.trainer, self.fit.convention)
        else:
            require_no_trainer(self.grid, self.recipe)
        if self.trainer is None and batch < context:
            raise ValueError(
                f"recipe.batch_tokens is {batch}, less than one context of {context} tokens: raise it to a multiple of "
                f"{context}, or lower model.context"
            )

        tokenizer, vocabularies = self.data.tokenizer, self.grid.vocab_sizes
        if vocabularies and (tokenizer.kind != "bpe" or tokenizer.vocab_size not in vocabularies):
            raise ValueError(
                f"grid.vocab_sizes is {list(vocabularies)} and the corpus' tokenizer is {tokenizer.kind} of "
                f"{tokenizer.vocab_size} entries: take a BPE whose data.tokenizer.vocab_size is one of them, as "
                f"data=aws_docs_bpe data.tokenizer.vocab_size={vocabularies[0]} does; the report is about that one, "
                "and holds the others against it"
            )

    @property
    def folder(self) -> Path:
        """Where the study lives."""
        return Path(self.runs) / self.study

    @property
    def cache_folder(self) -> Path:
        return Path(self.cache)


def shipped_time_model(name: str) -> TimeModel:
    """As `time_model=name` has it."""
    plain = OmegaConf.to_container(OmegaConf.load(config_folder() / "time_model" / f"{name}.yaml"))
    return from_plain(TimeModel, plain, f"time_model={name}")


KEYS = frozenset(f.name for f in fields(StudyConfig))


def study_config(composed: DictConfig) -> StudyConfig:
    """Raises ConfigError: an unknown key, a wrong type, an impossible value."""
    return _root(StudyConfig, composed)


def table_options(composed: DictConfig) -> TableOptions:
    """Raises ConfigError, as `study_config`."""
    for key, example in (("source", "points.csv"), ("out", "laws")):
        if OmegaConf.is_missing(composed, key):
            raise ConfigError(f"{key} is not given: add {key}={example} to the command")
    return _root(TableOptions, composed)


def ask_options(composed: DictConfig, typed: Sequence[str]) -> AskOptions:
    """Raises ConfigError, as `study_config`; also where one of the overrides `typed` has no meaning without a fit."""
    own = {f.name for f in fields(AskOptions)}
    for override in typed:
        key = override.partition("=")[0].lstrip("+~")
        if key.partition(".")[0] not in own:
            raise ConfigError(
                f"{key} says how a table is read or fitted, and {composed.source} is fitted already: leave it out (the "
                f"keys are {', '.join(sorted(own))}), or name the table"
            )
    return _root(AskOptions, _with(composed, own))


def compare_options(composed: DictConfig) -> "CompareOptions":
    """Raises ConfigError, as `study_config`."""
    # Imported late, here and below: they bring all laws along, which a sweep need not wait for.
    from scaling.analysis.compare import CompareOptions

    for key, example in (("a", "runs/default"), ("b", "runs/mine")):
        if OmegaConf.is_missing(composed, key):
            raise ConfigError(f"{key} is not given: add {key}={example} to the command")
    return _known_force(_root(CompareOptions, composed))


def recommend_options(composed: DictConfig) -> "RecommendOptions":
    """Raises ConfigError, as `study_config`."""
    from scaling.analysis.recommend import RecommendOptions

    return _known_force(_root(RecommendOptions, composed))


def _known_force(options: Forcing) -> Forcing:
    """Raises ConfigError where `force` has a name that no check has."""
    from scaling.checks.catalogue import require_known

    with _as_config_error():
        require_known(options.force)
    return options


def tune_config(composed: DictConfig) -> tuple[StudyConfig, TuneOptions]:
    """Raises ConfigError, as `study_config`. The root of a search is that of a study and its own keys."""
    own = {f.name for f in fields(TuneOptions)}
    theirs = {str(key) for key in composed} - own
    return _root(StudyConfig, _with(composed, theirs)), _root(TuneOptions, _with(composed, own))


def _with(composed: DictConfig, keys: set[str]) -> DictConfig:
    return OmegaConf.masked_copy(composed, sorted(keys & {str(key) for key in composed}))


def stored_plan(config: StudyConfig) -> Plan:
    """The plan that the study's last sweep wrote. Raises ConfigError where there is none."""
    return read_plan(of_study(config.folder, PLAN_FILE))


def of_study(folder: Path, name: str) -> Path:
    """The path of a file that a study's sweep writes. Raises ConfigError where it is not there."""
    if (folder / name).exists():
        return folder / name
    if folder.is_dir() and name == PLAN_FILE:
        raise ConfigError(
            f"{folder} is no study, for it holds no {name}: `python -m scaling.sweep study={folder.absolute().name}` "
            "makes it one"
        )
    if folder.is_dir():
        raise ConfigError(
            f"{folder} holds no {name}: run `python -m scaling.sweep study={folder.absolute().name}`, which trains "
            "nothing anew"
        )
    studies = (each.parent.name for each in folder.parent.glob(f"*/{PLAN_FILE}"))
    there = f"in {folder.parent} {nearest(folder.name, studies)}" if folder.parent.is_dir() else nearest_path(folder)
    raise ConfigError(
        f"{folder} is no folder of a study (`python -m scaling.sweep study={folder.name}` makes one); {there}"
    )


def stored_config(folder: Path) -> StudyConfig:
    """The config that the study's last sweep ran with. Raises ConfigError where there is none."""
    path = of_study(folder, CONFIG_FILE)
    plain = read_plain(path)
    try:
        require_within(plain)
    except ValueMismatch as error:
        raise ValueMismatch(f"{path} holds what cannot be: {error}") from None
    return from_file(StudyConfig, plain, path)


def config_here(folder: Path) -> StudyConfig:
    """As `stored_config`, for a command that writes: a study that was renamed, copied or received is where its folder
    is, whatever its file says. Raises ConfigError."""
    stored = stored_config(folder)
    with _as_config_error():
        return replace(stored, runs=str(folder.parent), study=folder.absolute().name)


def require_as_stored(config: StudyConfig, command: str, typed: Sequence[str]) -> None:
    """Raises ConfigError for an override, of those `typed`, that a command on a study would pass over: one that it does
    not read, and that is not what the study was made with either."""
    mine: dict[str, Any] = {}
    for key in typed_keys(typed):
        path = key.split(".")
        if path[0].partition("/")[0] in ANYWHERE | ONLY[command] or path[0] not in KEYS:
            continue
        mine = mine or {"now": to_plain(config), "stored": to_plain(stored_config(config.folder))}
        now, stored = ((reduce(lambda inner, name: inner[name], path, plain)) for plain in mine.values())
        if now != stored:
            raise ConfigError(
                f"{key} is given, and {config.folder} was made with another: `python -m scaling.{command}` takes the "
                f"study as it is ({reads(command)}); leave {key} out, or sweep again"
            )


def refit_config(composed: DictConfig, typed: Sequence[str]) -> StudyConfig:
    """The config that the study's last sweep ran with, under what the command line says: its overrides are `typed`.

    A study that an experiment made would else be judged by the default's question, options and forced checks. Where
    the line names an experiment, or the study has no config yet, it is what was composed. Raises ConfigError.
    """
    config = study_config(composed)
    if not (config.folder / CONFIG_FILE).exists():
        return config
    paths = [key.split(".") for key in typed_keys(typed)]
    paths = [path for path in paths if path[0] != "hydra" and not path[0].startswith("hydra/")]
    if not {path[0] for path in paths} <= KEYS:
        return config
    require_as_stored(config, "fit", typed)
    merged, now = to_plain(stored_config(config.folder)), to_plain(config)
    for path in [["runs"], ["study"], *paths]:
        into, value = merged, now
        key, *deeper = path
        while deeper and isinstance(into[key], dict) and isinstance(value[key], dict):
            into, value = into[key], value[key]
            key, *deeper = deeper
        into[key] = value[key]
    with _as_config_error():
        return from_plain(StudyConfig, merged, "config")


def _root(kind: type[T], composed: DictConfig) -> T:
    with _as_config_error():
        plain = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
        if not isinstance(plain, dict):
            raise ConfigError(f"the config is {plain!r}; it must be a mapping")
        plain.pop("hydra", None)
        plain = with_own_keys({str(key): item for key, item in plain.items()})
        require_within(plain)
        return from_plain(kind, plain, "config")


@contextmanager
def _as_config_error() -> Iterator[None]:
    try:
        yield
    except ConfigError:
        raise
    except ValueMismatch as mismatch:
        # Paths read as they are typed on the command line.
        raise ConfigError(str(mismatch).replace("config.", "")) from None
    except (ValueError, OmegaConfBaseException) as error:
        raise ConfigError(str(error)) from None
