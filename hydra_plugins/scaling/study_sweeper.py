"""Hydra's sweeper for a study: the whole plan, or the points named by `point=1,4`, on any launcher."""

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.scaling._any_launcher import launch_runs
from hydra_plugins.scaling._study_launcher import StudyLauncher


class StudySweeper(Sweeper):
    """Drops what is done or in flight, hands over the rest longest first, and reads from disk what became of it.

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
        from scaling.stages.ending import notify
        from scaling.stages.rounds import in_rounds
        from scaling.stages.sweeping import EXIT_INTERRUPTED, sweep_study
        from scaling.terminal import PlainConsole

        assert self.config is not None
        assert self.hydra_context is not None
        assert self.launcher is not None
        overrides = OverridesParser.create().parse_overrides(arguments)
        points = _points(overrides)
        fixed = [str(override.input_line) for override in overrides if override.key_or_group != "point"]
        composed = self.config
        if points is not None:
            composed = self.hydra_context.config_loader.load_sweep_config(self.config, fixed)
        config = study_config(OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"]))
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
            launch = partial(launch_runs, self.launcher, fixed, config)
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
        if config.json and not config.dry_run:
            PlainConsole().print_json(
                data={"study": config.study, "folder": str(config.folder), "exit_code": code, **told}
            )
        if code:
            sys.exit(code)


def _points(overrides: Sequence[Override]) -> set[int] | None:
    """The indices that `point=` names; None where it is not given. Any other axis is refused."""
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
        elif override.is_sweep_override():
            raise ConfigError(
                f"{override.input_line} sweeps over {override.key_or_group}, and a study is one plan whose points are "
                "its only axis: run the command once for each value, each with its own study="
            )
    return chosen
