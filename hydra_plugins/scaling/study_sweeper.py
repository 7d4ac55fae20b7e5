"""Hydra's sweeper for a study: the whole plan, or the points named by `point=1,4`, on any launcher."""

import re
import sys
from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.scaling._any_launcher import launch_runs
from hydra_plugins.scaling._study_launcher import StudyLauncher

if TYPE_CHECKING:
    from scaling.config import StudyConfig


class StudySweeper(Sweeper):
    """Drops what is done or in flight, hands over the rest longest first, and reads from disk what became of it. Where
    a key but `point` has several values, each combination is a study of its own, one after the other.

    `finish`: fit and report afterwards.
    """

    def __init__(self, finish: bool) -> None:
        self.finish = finish
        self.config: DictConfig | None = None
        self.hydra_context: HydraContext | None = None
        self.launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        # A launcher that pickles its task wants one that every process can import by name; the command's own is none.
        from scaling.train import run_in_own_process

        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=run_in_own_process, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        # Hydra imports every plugin in every application: what a study needs is imported when there is one.
        from scaling.config import study_config
        from scaling.exits import EXIT_INTERRUPTED
        from scaling.stages.multirun import compared
        from scaling.terminal import PlainConsole

        assert self.config is not None
        assert self.hydra_context is not None
        overrides = OverridesParser.create().parse_overrides(arguments)
        points, axes = _points(overrides), _axes(overrides)
        varied = {override.key_or_group for override in overrides if override.is_sweep_override()} | {"point"}
        fixed = [str(override.input_line) for override in overrides if override.key_or_group not in varied]
        told: list[dict[str, Any]] = []
        configs: list[StudyConfig] = []
        for combination in axes:
            composed = self.config
            if points is not None or combination:
                named = [*fixed, *combination, *named_after(str(self.config.study), combination)]
                composed = self.hydra_context.config_loader.load_sweep_config(self.config, named)
            keys = [str(key) for key in composed if key != "hydra"]
            configs.append(study_config(OmegaConf.masked_copy(composed, keys)))
        for config, combination in zip(configs, axes, strict=True):
            if combination:
                print(f"study {config.study}: {', '.join(combination)}", file=sys.stderr)
            told.append(self._one(config, [*fixed, *combination], points))
            if told[-1]["exit_code"] == EXIT_INTERRUPTED:
                break
        if len(configs) > 1 and self.finish and not configs[0].dry_run:
            lines = list(compared([config.folder for config in configs]))
            told[-1]["compared"] = lines
            for line in lines:
                print(line, file=sys.stderr)
        if configs[0].json and not configs[0].dry_run:
            PlainConsole().print_json(data=told[0] if len(configs) == 1 else {"studies": told})
        if code := max(each["exit_code"] for each in told):
            sys.exit(code)

    def _one(self, config: "StudyConfig", overrides: list[str], points: set[int] | None) -> dict[str, Any]:
        """Sweep one study, on whichever launcher it is."""
        from scaling.exits import EXIT_INTERRUPTED
        from scaling.stages.ending import notify
        from scaling.stages.rounds import in_rounds
        from scaling.stages.sweeping import sweep_study

        assert self.launcher is not None
        submit = parts = None
        if isinstance(self.launcher, StudyLauncher):
            if note := self.launcher.note(config):
                print(note, file=sys.stderr)
            launch = partial(self.launcher.launch_runs, config)
            if self.launcher.takes_parts():
                parts = partial(self.launcher.launch_parts, config)
            if self.launcher.submits(config):
                submit = partial(self.launcher.submit, config)
        else:
            launch = partial(launch_runs, self.launcher, [*overrides, f"study={config.study}"], config)
        told: dict[str, Any] = {}
        code = 1
        try:
            code = in_rounds(
                config,
                lambda study: sweep_study(
                    study, launch, points=points, finish=self.finish, submit=submit, launch_parts=parts, told=told
                ),
            )
        except KeyboardInterrupt:
            code = EXIT_INTERRUPTED
            raise
        finally:
            if not config.dry_run:
                notify(config, code, told)
        return {"study": config.study, "folder": str(config.folder), "exit_code": code, **told}


def _axes(overrides: Sequence[Override]) -> list[list[str]]:
    """Every combination of what varies beside the points, as overrides; one of nothing where nothing does."""
    axes = [
        [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
        for override in overrides
        if override.is_sweep_override() and override.key_or_group != "point"
    ]
    return [list(combination) for combination in product(*axes)]


def named_after(study: str, combination: Sequence[str]) -> list[str]:
    """The override that names a study after what is its own: `default-matrix_lr_0.002-gelu`."""
    quotes = "'\""
    parts = [
        f"{key.rpartition('.')[2]}_{value.strip(quotes)}"
        for key, _, value in (each.partition("=") for each in combination)
    ]
    name = "-".join([study, *(re.sub(r"[^\w.-]+", "_", part).strip("_") for part in parts)])
    return [f"study='{name}'"] if combination else []


def _points(overrides: Sequence[Override]) -> set[int] | None:
    """The indices that `point=` names; None where it is not given."""
    from scaling.config import ConfigError

    chosen: set[int] | None = None
    for override in overrides:
        if override.key_or_group == "point":
            values = list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
            numbers = [str(value) for value in values if value is not None]
            if not all(number.isdecimal() for number in numbers):
                raise ConfigError(
                    f"{override.input_line} names no points: give their numbers, as in point=1,4; "
                    "`python -m scaling.sweep dry_run=true` lists them"
                )
            chosen = {int(number) for number in numbers} or None
    return chosen
