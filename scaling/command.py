"""What every entry shares: configs found from any folder, and errors of one paragraph with an exit code."""

import csv
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from hydra_plugins.scaling._register import register
from scaling.config import ConfigError, StudyConfig
from scaling.config_folder import config_folder
from scaling.data.config import DataError
from scaling.exits import EXIT_BAD_CONFIG, EXIT_INTERRUPTED, EXIT_NOBODY_LISTENS
from scaling.folders import FolderError, storage_words
from scaling.keys import key_paths, not_read
from scaling.launching.slurm import SlurmError
from scaling.names import nearest
from scaling.terminal import visible
from scaling.usage import asks_for_help, usage, with_flags_as_overrides
from scaling.values import ValueMismatch

NO_SUCH_KEY = re.compile(r"Could not (?:override|delete from config\.) '(?P<key>[^']+)'")
# Keys whose values are read as they are typed. A test holds these against what the configs say is text.
TEXTS = {
    *(
        "study",
        "runs",
        "cache",
        "question",
        "source",
        "out",
        "curves",
        "holdout",
        "convention",
        "where",
        "by",
        "decimal",
    ),
    *("loss_unit", "a", "b", "convention_a", "convention_b", "next", "until", "run", "size", "fit.validation"),
    *(
        "power.prior",
        "power.quantity",
        "power.source",
        "time_model.name",
        "data.source.document_separator",
        "data.name",
        "data.description",
        "data.licence",
    ),
    *("data.split_salt", "data.source.path", "data.source.name", "data.source.revision", "data.source.text_column"),
    *("data.source.train_split", "data.source.validation_path", "data.source.validation_split", "data.source.version"),
    *("data.source.google_version", "data.tokenizer.path", "data.tokenizer.revision", "data.tokenizer.separator"),
    *("trainer.call", "trainer.cwd", "trainer.signal", "trainer.resume.newest"),
}
# Keys below one that is null until somebody sets it.
ADDED = {"targets.flops", "targets.points", "fit.targets.flops", "fit.targets.points"}
LISTS_OF_TEXT = {"ignore", "conventions", "notify"}
# Hydra takes a choice that is a number for none.
ALSO_CALLED = {"time_model=4090": "time_model=rtx4090"}


def run_hydra(
    task: Callable[[DictConfig], int],
    config_name: str,
    *,
    command: str,
    about: str | None,
    overrides: Sequence[str] = (),
    argv: Sequence[str] | None = None,
) -> NoReturn:
    """Compose `config_name` with the command line's overrides, run `task`, exit with what it returns.

    `command` is the entry's name, by which `scaling.keys` knows what it reads; `about` its docstring, which `--help`
    shows above the keys; `overrides` are the entry's own, before those of the command line; `argv` is the command line
    without the program, that of this process where left out. A mistake of the user is told in one paragraph and exits
    with 2; `debug=true` shows the traceback.
    """
    with _command_line(argv):
        _run_hydra(task, config_name, command, about, overrides)


@contextmanager
def _command_line(argv: Sequence[str] | None) -> Iterator[None]:
    """Hydra reads the command line of the process and refuses to begin twice: this lends it one, and a fresh start."""
    before, running = list(sys.argv), GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        if argv is not None:
            sys.argv[1:] = argv
        yield
    finally:
        sys.argv[:] = before
        GlobalHydra.instance().hydra = running


def _run_hydra(
    task: Callable[[DictConfig], int], config_name: str, command: str, about: str | None, overrides: Sequence[str]
) -> NoReturn:
    sys.argv[1:] = [ALSO_CALLED.get(argument, argument) for argument in with_flags_as_overrides(sys.argv[1:])]
    if asks_for_help(sys.argv[1:]):
        group = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), None)
        print(usage(about or "", config_folder(), config_name, command) if group is None else help_on(group))
        sys.exit(0)
    sys.argv[1:] = [as_text(argument) for argument in sys.argv[1:]]
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
        said = not_read(command, sys.argv[1:])
        if said is not None:
            raise ConfigError(said)
        register()
        hydra.main(config_path=str(config_folder()), config_name=config_name, version_base="1.3")(run)()
    leave(max(exit_codes, default=0))


def help_on(group: str) -> str:
    """`--help grid`: the keys of a group."""
    from scaling.reference import GROUPS, help_of

    return help_of(group) if group in GROUPS else f"--help {group}: no such group, {nearest(group, GROUPS)}"


def as_text(argument: str) -> str:
    """An override of a key that holds text, quoted for Hydra, whose grammar has no place for `flops>1e20`, an accent or
    a comma; of a list of texts, each of its items. Null stays null, and what is quoted stays as it is.
    """
    key, sign, value = argument.partition("=")
    name = key.lstrip("+")
    if not sign or value in ("", "null", "???"):
        return argument
    if name in LISTS_OF_TEXT:
        inner = value[1:-1] if value.startswith("[") and value.endswith("]") else value
        items = [item.strip() for item in next(csv.reader([inner], skipinitialspace=True, quotechar='"'), [])]
        return f"{key}=[{','.join(_quoted(item) for item in items)}]"
    if name == "targets" and value.startswith("["):  # beside `targets.points`, which no list has
        name = "targets.flops"
    if name in ADDED:
        return f"+{name}={value}"
    if name in TEXTS or name.startswith("columns."):
        return f"{key}={_quoted(value)}"
    return argument


def _quoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value
    # A backslash counts only before a quote, where it must be doubled.
    escaped = re.sub(r"(\\*)(')", lambda m: 2 * m[1] + "\\'", value)
    return "'" + re.sub(r"\\+$", lambda m: 2 * m[0], escaped) + "'"


TOLD = (ConfigError, DataError, FolderError, ValueMismatch, SlurmError, HydraException, OmegaConfBaseException, OSError)


@contextmanager
def told_in_one_paragraph(exit_codes: list[int], argv: Sequence[str] | None = None) -> Iterator[None]:
    """What a user can cause, in one paragraph and an exit code; `debug=true` in `argv`, or in the command line of the
    process where left out, shows the traceback too, and `json=true` prints the paragraph for programs."""
    try:
        yield
    except BrokenPipeError:
        exit_codes.append(EXIT_NOBODY_LISTENS)
    except KeyboardInterrupt:
        print("interrupted: what was measured stays, and no file is half-written", file=sys.stderr)
        exit_codes.append(EXIT_INTERRUPTED)
    except (*TOLD, ValueError) as error:
        if not isinstance(error, TOLD) and not raised_in(error, "omegaconf"):
            raise
        typed = sys.argv[1:] if argv is None else argv
        if any(argument.lower() == "debug=true" for argument in typed):
            traceback.print_exc()
        words = explain(error)
        print(f"error: {visible(words)}", file=sys.stderr)
        if "json=true" in typed:
            print(json.dumps({"error": words, "exit_code": EXIT_BAD_CONFIG}))
        exit_codes.append(EXIT_BAD_CONFIG)


def raised_in(error: Exception, package: str) -> bool:
    """Whether it comes from there, and not from us: OmegaConf has errors of Python's own for some paths of keys."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__", "")).startswith(package)


def leave(code: int) -> NoReturn:
    """End the process; where nobody reads its words any more, without a word on that."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = code or EXIT_NOBODY_LISTENS
    sys.exit(code)


LONGEST_MESSAGE = 2_000  # letters


def explain(error: Exception) -> str:
    """The message in one paragraph that a person reads: of one that shows a giant of a value, beginning and end."""
    words = _explained(error)
    if len(words) <= LONGEST_MESSAGE:
        return words
    begin, end = words[: LONGEST_MESSAGE // 2], words[-(LONGEST_MESSAGE // 4) :]
    return f"{begin}... ({len(words) - len(begin) - len(end):,} letters) ...{end}"


def _explained(error: Exception) -> str:
    """Hydra's advice to append an unknown key with + would only move the error."""
    if isinstance(error, OSError) and not isinstance(error, HydraException):  # some of whose kinds are both
        return storage_words(error)
    if isinstance(error, OverrideParseException):
        key, sign, value = error.override.partition("=")
        if not sign:
            return f"{error.override!r} is no override: write key=value, and quotes for the shell around a space"
        return (
            f"{key} is {value!r}, which cannot be read: outside of quotes there is no place for accents, '=', commas "
            f"or brackets that are not closed; write {key}='\"...\"' where text is meant, or correct it"
        )
    if not isinstance(error, TOLD):
        return f"a key of the command line leads nowhere ({error}): lists are given whole, as in grid.budgets=[1e6,2e6]"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        return f"{group} is {choice}, and no such choice exists: {nearest(choice, error.options)}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("To append to your config", "full_key:", "object_type="))]
    wrong = NO_SUCH_KEY.match(kept[0]) if kept else None
    if wrong is not None:
        return f"{wrong['key']} is given, and no such key exists: {nearest_key(wrong['key'])}"
    return " ".join(kept)


def nearest_key(key: str) -> str:
    """The end of a message: keys of that name elsewhere, or with a name like it."""
    known = list(key_paths(StudyConfig))
    elsewhere = [other for other in known if other.rpartition(".")[2] == key.rpartition(".")[2]]
    return f"did you mean {' or '.join(elsewhere[:3])}?" if elsewhere else nearest(key, known)
