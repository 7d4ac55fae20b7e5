"""What every entry shares: configs found from any folder, and errors of one paragraph with an exit code."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from hydra_plugins.scaling._register import register
from scaling.config import ConfigError
from scaling.config_folder import config_folder
from scaling.data.config import DataError
from scaling.launching.slurm import SlurmError
from scaling.usage import asks_for_help, usage, with_flags_as_overrides
from scaling.values import ValueMismatch

EXIT_BAD_CONFIG = 2
# Hydra takes a choice that is a number for none.
ALSO_CALLED = {"time_model=4090": "time_model=rtx4090"}
EXIT_NO_ANSWER = 3  # all went well, and the study, the table or the rounds still do not answer


def run_hydra(
    task: Callable[[DictConfig], int], config_name: str, *, about: str | None, overrides: Sequence[str] = ()
) -> None:
    """Compose `config_name` with the command line's overrides, run `task`, exit with what it returns.

    `about` is the entry's docstring, which `--help` shows above the keys; `overrides` are the entry's own, before those
    of the command line. A mistake of the user is told in one paragraph and exits with 2; `debug=true` shows the
    traceback.
    """
    sys.argv[1:] = [ALSO_CALLED.get(argument, argument) for argument in with_flags_as_overrides(sys.argv[1:])]
    if asks_for_help(sys.argv[1:]):
        print(usage(about or "", config_folder(), config_name))
        sys.exit(0)
    # Hydra would print its own account of an error and swallow the exception.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    # An option between overrides would end them for Hydra: `study=x -m point=1` is `-m study=x point=1`.
    options = [argument for argument in sys.argv[1:] if argument in ("-m", "--multirun")]
    sys.argv[1:] = [*options, *(argument for argument in sys.argv[1:] if argument not in options)]
    # The entry's own come before the others, but beside them.
    first = next((i for i, argument in enumerate(sys.argv) if i and not argument.startswith("-")), len(sys.argv))
    sys.argv[first:first] = overrides
    exit_codes: list[int] = []

    def run(composed: DictConfig) -> None:
        # Caught here, inside Hydra's job, around which it would print a line of its own.
        with told_in_one_paragraph(exit_codes):
            exit_codes.append(task(composed))

    with told_in_one_paragraph(exit_codes):
        register()
        hydra.main(config_path=str(config_folder()), config_name=config_name, version_base="1.3")(run)()
    sys.exit(max(exit_codes, default=0))


def as_text(argument: str, keys: Sequence[str]) -> str:
    """An override of one of the keys, quoted for Hydra, whose grammar has no place for `flops>1e20` or a space.

    A key that ends in a dot stands for all below it. Null stays null, and what is quoted stays as it is.
    """
    key, sign, value = argument.partition("=")
    named = any(key == known or (known.endswith(".") and key.startswith(known)) for known in keys)
    if not sign or not named or value in ("", "null", "???") or value[0] in "'\"":
        return argument
    escaped = value.replace("\\'", "\\\\'").replace("'", "\\'")
    return f"{key}='{escaped}'"


@contextmanager
def told_in_one_paragraph(exit_codes: list[int]) -> Iterator[None]:
    try:
        yield
    except (ConfigError, DataError, ValueMismatch, SlurmError, HydraException, OmegaConfBaseException) as error:
        if any(argument.lower() == "debug=true" for argument in sys.argv[1:]):
            traceback.print_exc()
        print(f"error: {explain(error)}", file=sys.stderr)
        exit_codes.append(EXIT_BAD_CONFIG)


def explain(error: Exception) -> str:
    """The message in one paragraph; Hydra's advice to append an unknown key with + would only move the error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("To append to your config", "full_key:", "object_type="))]
    if any(line.startswith("Could not override") for line in kept):
        kept.append("No such key exists: correct its name; `--cfg job` prints those that do.")
    return " ".join(kept)
